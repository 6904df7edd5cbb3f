// The species explorer: a map of similarities, and a list of look-alikes with photos and numbers.
import { abbreviated, level } from "./heatmap.js";
import { speciesMap, unpackMap } from "./speciesmap.js";
import { button, called, checkbox, chooser, colourBar, element, errorLine, keepKeys, renderer, sender, short, shown, shownIn, slider } from "./dom.js";

/** Numbers of one species, and of how two are taken for each other, from what travelled. */
export function numbersOf(about) {
  const index = new Map(about.species.map((name, i) => [name, i]));
  const mistakes = new Map(about.mistakes.map(([a, b, photos]) => [`${a} ${b}`, photos]));
  const heads = about.cross_validated ? "heads that had not seen the photo" : "the network's own head";
  return {
    photos: (name) => about.photos[index.get(name)] ?? 0,
    judged: (name) => about.judged[index.get(name)] ?? 0,
    right: (name) => about.right[index.get(name)] ?? 0,
    taken: (name, other) => mistakes.get(`${index.get(name)} ${index.get(other)}`) ?? 0,
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

/** Typical photos of what is listed, by species; pictures are made once, so that a list that is drawn again does not flicker. */
function photoShelf(model) {
  let pictures = new Map();
  const picture = (name, { image, gone, jpeg }) => shownIn(element("img", { alt: called(`Typical photo of ${shown(name)}`, gone), title: image }), "src", jpeg);
  const fill = () => {
    pictures = new Map(Object.entries(model.get("_photos")).map(([name, photos]) => [name, photos.map((photo) => picture(name, photo))]));
  };
  const strip = (name, count) => {
    const there = pictures.get(name);
    const words = !there ? "Photos come with a running kernel." : there.length ? null : "no photos";
    return element("div", { class: "fk-strip", style: `--fk-across: ${count}` }, ...(there ?? []).slice(0, count), words && element("span", { class: "fk-later", text: words }));
  };
  fill();
  return { fill, strip };
}

/** The bar of a similarity, in the colour it has on the map. */
function similarityBar(map, value) {
  const at = level(value, map.low, map.high);
  const { table } = map;
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
  const box = checkbox({ "aria-label": `Take ${shown(name)} as a reference`, "data-tick": name }, () => tick(name));
  box.checked = ticked;
  const link = button(shown(name), () => choose(name), { class: "fk-link", title: `Choose ${shown(name)}` });
  const number = Number.isFinite(value) ? short(value) : "–";
  const head = element("div", { class: "fk-alike-head" }, box, link, similarityBar(map, value), element("span", { class: "fk-value", text: number, title: "similarity" }));
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
  const away = !map.isWhole && place !== 0; // its numbers are on their way
  const none = items.length ? null : element("p", { class: away ? "fk-later" : "fk-note", text: away ? "Numbers come with a running kernel." : "No numbers by this measure: try another." });
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

/** A box to search for one of very many names in. */
function speciesSearch(model, choose) {
  const names = new Map(model.get("_about").species.map((name) => [shown(name).toLowerCase(), name]));
  const list = element("datalist", { id: `fk-${Math.random()}` }, ...[...names.values()].sort().map((name) => element("option", { value: shown(name) })));
  const input = keepKeys(element("input", { type: "search", "aria-label": "Species", class: "fk-species-choice", list: list.id }));
  const show = () => (input.value = shown(model.get("species")));
  input.addEventListener("focus", () => input.select());
  input.addEventListener("input", () => input.setCustomValidity(""));
  input.addEventListener("change", () => {
    const name = names.get(input.value.trim().toLowerCase());
    if (name) choose(name);
    else input.setCustomValidity("No species of this name: choose one from the list.");
    input.reportValidity();
  });
  show();
  return { node: element("label", { class: "fk-field fk-main-slider" }, element("span", { text: "Species" }), input, list), show };
}

function settings(model, choose, numbers, map, send) {
  const sent = model.get("_about");
  const parts = [
    map.isWhole ? speciesChoice(model, choose, numbers) : speciesSearch(model, choose),
    chooser(model, "by", "Similar in", sent.measures.map(([by, words]) => [by, words]), send),
    slider(model, "k", "Look-alikes", { min: 1, max: Math.max(1, Math.min(sent.most, sent.species.length - 1)), step: 1, format: String, send }),
  ];
  parts[1].node.hidden = sent.live === false; // on a page of its own there is no kernel to send other numbers
  const bar = colourBar("similarity");
  const node = element("div", { class: "fk-tools", role: "group", "aria-label": "Settings" }, ...parts.map((p) => p.node), bar.node);
  const show = (now) => {
    parts.forEach((part) => part.show());
    bar.show(now.table, short(now.low), short(now.high), "Colours of similarity,");
  };
  return { node, show };
}

const HELP = "Arrow keys move over the pairs, Home and End along the row. Enter chooses the row's species, Space ticks the column's as a reference.";

/** The map with what is read from it; only a note where there are too many species for one. */
function mapSide(root, context) {
  const { model, numbers, state, choose, tick } = context;
  const sent = model.get("_about");
  const measure = element("p", { class: "fk-note" });
  const words = () => `Similarity: ${sent.measures.find(([by]) => by === state.map.by)?.[2] ?? ""}. Recognised and taken for: by ${numbers.heads}.`;
  if (!state.map.isWhole) {
    const show = () => (measure.textContent = `${words()} Of ${sent.species.length} species no map is drawn: search for one above.`);
    return { node: measure, show, follow() {}, renew() {}, drop() {} };
  }
  const readout = element("p", { class: "fk-readout" });
  const aloud = element("p", { class: "fk-unseen", "aria-live": "polite" });
  const marks = () => {
    const { place, alike } = state.map;
    const chosen = place(model.get("species"));
    return { chosen, ticked: model.get("references").map(place).filter((p) => p >= 0), alike: chosen < 0 ? [] : alike(chosen, model.get("k")) };
  };
  const read = (pair, speak) => {
    readout.textContent = pair ? pairWords(state.map, pair, numbers) : "";
    if (speak) aloud.textContent = readout.textContent;
  };
  const heatmap = speciesMap(root, { map: () => state.map, marks, choose, tick, read });
  const show = () => {
    const left = sent.species.length - state.map.n;
    const tree = state.map.branches.length ? " The tree joins species at their mean similarity (numbers below it)." : "";
    measure.textContent = `${words()}${tree}${left ? ` Without a number by this measure: ${left} species.` : ""}`;
    heatmap.node.setAttribute("aria-label", `Similarity of ${state.map.n} species, ${shown(model.get("species"))} chosen. ${HELP}`);
    heatmap.draw();
  };
  const afterwards = (work) => () => {
    work();
    read(heatmap.focus(), false);
  };
  const help = element("p", { class: "fk-note", text: `Click a row, or use the keyboard. ${HELP}` });
  const node = element("div", { class: "fk-species-map" }, heatmap.node, readout, help, measure, aloud);
  return { node, show, follow: afterwards(heatmap.follow), renew: afterwards(heatmap.renew), drop: heatmap.drop };
}

function build({ model, el, listen }) {
  const send = sender(model);
  const sent = model.get("_about");
  const numbers = numbersOf(sent);
  const shelf = photoShelf(model);
  const state = { map: unpackMap(model.get("_map"), sent) };
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
  const tools = settings(model, choose, numbers, state.map, send);
  const panel = element("div", { class: "fk-species-side" });
  const root = element("section", { class: "fk fk-species", "aria-label": title });
  const side = mapSide(root, { model, numbers, state, choose, tick });
  const list = () => {
    const { activeElement } = root.getRootNode();
    const held = panel.contains(activeElement) ? activeElement.dataset.tick : undefined;
    panel.replaceChildren(...listOf({ map: state.map, model, numbers, shelf, choose, tick }));
    if (held !== undefined) [...panel.querySelectorAll("[data-tick]")].find((box) => box.dataset.tick === held)?.focus();
  };
  const show = () => {
    tools.show(state.map);
    list();
    side.show();
  };
  listen(["change:_map"], () => {
    state.map = unpackMap(model.get("_map"), sent);
    show();
    side.renew();
  });
  listen(["change:species"], () => {
    show();
    side.follow();
  });
  listen(["change:references", "change:k", "change:by"], show);
  listen(["change:_photos"], () => {
    shelf.fill();
    list();
  });
  root.append(element("h2", { text: title }), tools.node, element("div", { class: "fk-sides" }, side.node, panel), errorLine(model, listen));
  el.append(root);
  show();
  side.renew();
  return side.drop;
}

const render = renderer(build);

export default { render };
