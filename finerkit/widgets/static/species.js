// The species explorer: the traits of finerkit.SpeciesExplorer enter; a map of similarities and a list of look-alikes leave.
import { abbreviated, level, mistakesOf } from "./heatmap.js";
import { speciesMap, unpackMap } from "./speciesmap.js";
import { called, chooser, element, errorLine, imageUrl, keepKeys, listeners, sender, short, shown, slider } from "./dom.js";

/** Numbers of one species, and of how two are taken for each other, from what travelled. */
export function numbersOf(about) {
  const index = new Map(about.species.map((name, i) => [name, i]));
  const mistakes = mistakesOf(about.mistakes);
  const heads = about.cross_validated ? "heads that had not seen the photo" : "the network's own head";
  return {
    photos: (name) => about.photos[index.get(name)] ?? 0,
    judged: (name) => about.judged[index.get(name)] ?? 0,
    right: (name) => about.right[index.get(name)] ?? 0,
    taken: (name, other) => mistakes(index.get(name), index.get(other)),
    heads,
  };
}

const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

/** What is known of one species, in words. */
export function about(name, numbers) {
  const photos = numbers.photos(name);
  const judged = numbers.judged(name);
  if (!photos) return "no photos";
  if (!judged) return `${plural(photos, "photo")}, none put to the test`;
  const right = `${numbers.right(name)} of ${plural(judged, "photo")} (${Math.round((100 * numbers.right(name)) / judged)} %) recognised`;
  return judged === photos ? right : `${plural(photos, "photo")}; ${right}`;
}

/** How often photos of two species were taken for each other, in words. */
export function confused(name, other, numbers) {
  const ways = [[name, other], [other, name]].filter(([a]) => numbers.judged(a));
  if (!ways.length) return "neither put to the test";
  if (ways.every(([a, b]) => !numbers.taken(a, b))) return "never taken for each other";
  return ways.map(([a, b]) => `${numbers.taken(a, b)} of ${plural(numbers.judged(a), "photo")} of ${abbreviated(shown(a))} taken for ${abbreviated(shown(b))}`).join("; ");
}

/** A pair on the map, in words. */
export function pairWords(map, { row, column }, numbers) {
  const [name, other] = [map.names[row], map.names[column]];
  if (row === column) return `${shown(name)}: ${about(name, numbers)}.`;
  const value = map.at(row, column);
  const similarity = Number.isFinite(value) ? `similarity ${short(value)}` : "no number";
  return `${shown(name)} and ${shown(other)}: ${similarity}; ${confused(name, other, numbers)}.`;
}

/** Typical photos of what is listed, by species; URLs are taken back when others arrive. */
function photoShelf(model) {
  let urls = new Map();
  const drop = () => [...urls.values()].flat().forEach(({ url }) => URL.revokeObjectURL(url));
  const fill = () => {
    drop();
    urls = new Map(Object.entries(model.get("_photos")).map(([name, photos]) => [name, photos.map((p) => ({ image: p.image, gone: p.gone, url: imageUrl(p.jpeg) }))]));
  };
  const strip = (name, count) => {
    const node = element("div", { class: "fk-strip", style: `--fk-across: ${count}` });
    const photos = urls.get(name);
    if (!photos) node.append(element("span", { class: "fk-later", text: "Photos come with a running kernel." }));
    else if (!photos.length) node.append(element("span", { class: "fk-later", text: "no photos" }));
    for (const { image, gone, url } of (photos ?? []).slice(0, count)) node.append(element("img", { src: url, alt: called(`Typical photo of ${shown(name)}`, gone), title: image }));
    return node;
  };
  fill();
  return { fill, strip, drop };
}

/** The bar of a similarity, in the colour it has on the map. */
function similarityBar(map, value) {
  const at = level(value, map.low, map.high);
  const table = new Uint8Array(map.table.buffer, map.table.byteOffset, 1024);
  const bar = element("i");
  bar.style.width = `${Math.max(2, (100 * at) / 255)}%`;
  bar.style.background = `rgb(${table[4 * at]} ${table[4 * at + 1]} ${table[4 * at + 2]})`;
  return element("span", { class: "fk-level", "aria-hidden": "true" }, bar);
}

/** One look-alike: tick box, name to choose it by, numbers and photos. */
function lookAlike(name, place, context) {
  const { map, model, numbers, shelf, choose, tick } = context;
  const target = model.get("species");
  const value = map.at(map.place(target), place);
  const ticked = model.get("references").includes(name);
  const box = keepKeys(element("input", { type: "checkbox", "aria-label": `Take ${shown(name)} as a reference`, "data-tick": name }));
  box.checked = ticked;
  box.addEventListener("change", () => tick(name));
  const button = keepKeys(element("button", { type: "button", class: "fk-link", text: shown(name), title: `Choose ${shown(name)}` }));
  button.addEventListener("click", () => choose(name));
  const number = Number.isFinite(value) ? short(value) : "–";
  const head = element("div", { class: "fk-alike-head" }, box, button, similarityBar(map, value), element("span", { class: "fk-value", text: number, title: "similarity" }));
  const facts = element("div", { class: "fk-numbers" }, element("div", { text: about(name, numbers) }), element("div", { text: confused(target, name, numbers) }));
  return element("li", { class: ticked ? "fk-alike fk-ticked" : "fk-alike" }, head, element("div", { class: "fk-alike-body" }, shelf.strip(name, 3), facts));
}

/** What `explorer.compare()` would do now. */
function nextStep(model) {
  const target = shown(model.get("species"));
  const references = model.get("references").map(shown);
  const words = references.length
    ? ` compares ${target} with ${references.length > 1 ? `${references.slice(0, -1).join(", ")} and ` : ""}${references.at(-1)}.`
    : ` compares ${target} with its nearest look-alikes. Tick others to choose them yourself.`;
  return element("p", { class: "fk-next" }, element("code", { text: "explorer.compare()" }), words);
}

function listOf(context) {
  const { map, model, numbers, shelf } = context;
  const name = model.get("species");
  const place = map.place(name);
  const near = place < 0 ? [] : map.alike(place, model.get("k"));
  const also = model.get("references").map((r) => map.place(r)).filter((p) => p >= 0 && !near.includes(p));
  const items = [...near, ...also].map((p) => lookAlike(map.names[p], p, context));
  const none = items.length ? null : element("p", { class: "fk-note", text: "No numbers by this measure: try another." });
  return [
    element("h3", { text: shown(name) }),
    element("div", { class: "fk-numbers", text: about(name, numbers) }),
    shelf.strip(name, 4),
    element("h4", { text: "Look-alikes, most similar first" }),
    element("ol", { class: "fk-alikes" }, ...items),
    none,
    nextStep(model),
  ].filter(Boolean);
}

function speciesChoice(model, choose, numbers) {
  const names = [...model.get("_about").species].sort((a, b) => a.localeCompare(b));
  const select = keepKeys(element("select", { "aria-label": "Species", class: "fk-species-choice" }));
  for (const name of names) select.append(element("option", { value: name, text: numbers.photos(name) ? shown(name) : `${shown(name)} (no photos)` }));
  select.addEventListener("change", () => choose(select.value));
  const show = () => (select.value = model.get("species"));
  show();
  return { node: element("label", { class: "fk-field fk-main-slider" }, element("span", { text: "Species" }), select), show };
}

/** The colour bar, with its ends. */
function heatLegend() {
  const canvas = element("canvas", { width: 256, height: 1, role: "img" });
  const low = element("span");
  const high = element("span");
  const context = canvas.getContext("2d");
  const show = (map) => {
    const pixels = context.createImageData(256, 1);
    pixels.data.set(new Uint8Array(map.table.buffer, map.table.byteOffset, 1024));
    context.putImageData(pixels, 0, 0);
    low.textContent = short(map.low);
    high.textContent = short(map.high);
    canvas.setAttribute("aria-label", `Colours of similarity, from ${low.textContent} to ${high.textContent}`);
  };
  return { node: element("span", { class: "fk-legend" }, "similarity", low, canvas, high), show };
}

function settings(model, choose, numbers, send) {
  const sent = model.get("_about");
  const n = sent.species.length;
  const whole = (v) => String(Math.round(v));
  const parts = {
    species: speciesChoice(model, choose, numbers),
    by: chooser(model, "by", "Similar in", sent.measures.map(([by, words]) => [by, words]), send),
    k: slider(model, "k", "Look-alikes", { min: 1, max: Math.max(1, Math.min(sent.most, n - 1)), step: 1, format: whole, send }),
    view: slider(model, "in_view", "In view", { min: Math.min(8, n), max: sent.on_map ?? n, step: 1, format: (v) => (v >= n ? `all ${n}` : `${whole(v)} of ${n}`), send }),
    legend: heatLegend(),
  };
  parts.view.node.hidden = n <= 20;
  parts.by.node.hidden = sent.live === false; // on a page of its own there is no kernel to send another map
  const node = element("div", { class: "fk-tools", role: "group", "aria-label": "Settings" }, ...Object.values(parts).map((p) => p.node));
  const show = (map) => Object.values(parts).forEach((part) => part.show(map));
  return { node, show };
}

const HELP = "Arrow keys move over the pairs, Home and End along the row. Enter chooses the row's species, Space ticks the column's as a reference.";

function render({ model, el }) {
  const { listen, end } = listeners(model);
  const send = sender(model);
  const sent = model.get("_about");
  const numbers = numbersOf(sent);
  const shelf = photoShelf(model);
  let map = unpackMap(model.get("_map"), sent);
  const choose = (name) => {
    if (name === model.get("species")) return;
    send("references", []);
    send("species", name);
  };
  const tick = (name) => {
    if (name === model.get("species")) return;
    const others = model.get("references").filter((r) => r !== name);
    send("references", others.length < model.get("references").length ? others : [...others, name]);
  };
  const title = "Which species look alike";
  const tools = settings(model, choose, numbers, send);
  const readout = element("p", { class: "fk-readout" });
  const aloud = element("p", { class: "fk-unseen", "aria-live": "polite" });
  const measure = element("p", { class: "fk-note" });
  const panel = element("div", { class: "fk-species-side" });
  const root = element("section", { class: "fk fk-species", "aria-label": title });
  const marks = () => {
    const chosen = map.place(model.get("species"));
    const ticked = model.get("references").map((r) => map.place(r)).filter((p) => p >= 0);
    return { chosen, ticked, alike: chosen < 0 ? [] : map.alike(chosen, model.get("k")) };
  };
  const read = (pair, speak) => {
    readout.textContent = pair ? pairWords(map, pair, numbers) : "";
    if (speak) aloud.textContent = readout.textContent;
  };
  const heatmap = speciesMap(root, { map: () => map, marks, inView: () => model.get("in_view"), choose, tick, read });
  const labels = () => {
    const left = sent.species.length - map.n;
    const words = sent.measures.find(([by]) => by === map.by)?.[2] ?? "";
    measure.textContent = `Similarity: ${words}. The tree joins species at their mean similarity (numbers below it). ` +
      `Recognised and taken for: by ${numbers.heads}.${left ? (sent.on_map < sent.species.length ? ` The map holds the ${map.n} species nearest to the chosen one, of ${sent.species.length}.` : ` Without a number by this measure: ${left} species.`) : ""}`;
    heatmap.node.setAttribute("aria-label", `Similarity of ${map.n} species, ${shown(model.get("species"))} chosen. ${HELP}`);
  };
  const list = () => {
    const held = panel.contains(root.getRootNode().activeElement) ? root.getRootNode().activeElement.dataset.tick : undefined;
    panel.replaceChildren(...listOf({ map, model, numbers, shelf, choose, tick }));
    if (held !== undefined) [...panel.querySelectorAll("[data-tick]")].find((box) => box.dataset.tick === held)?.focus();
  };
  const show = () => {
    tools.show(map);
    labels();
    list();
    heatmap.draw();
  };
  listen(["change:_map"], () => {
    map = unpackMap(model.get("_map"), sent);
    show();
    heatmap.renew();
    read(heatmap.focus(), false);
  });
  listen(["change:species"], () => {
    show();
    heatmap.centre(false);
    read(heatmap.focus(), false);
  });
  listen(["change:references", "change:k", "change:by"], show);
  listen(["change:in_view"], () => {
    tools.show(map);
    heatmap.centre(true);
  });
  listen(["change:_photos"], () => {
    shelf.fill();
    list();
  });
  const place = element("div", { class: "fk-map-place" }, heatmap.node);
  const help = element("p", { class: "fk-note", text: `Click a row, or use the keyboard. ${HELP}` });
  const below = element("div", { class: "fk-below" }, heatmap.overview, element("div", {}, readout, help, measure));
  const left = element("div", { class: "fk-species-map" }, place, below);
  root.append(element("h2", { text: title }), tools.node, element("div", { class: "fk-sides" }, left, panel), aloud, errorLine(model, listen));
  el.append(root);
  heatmap.started();
  show();
  heatmap.renew();
  read(heatmap.focus(), false);
  return () => {
    end();
    heatmap.drop();
    shelf.drop();
  };
}

export default { render };
