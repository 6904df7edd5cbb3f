// The trait explorer: rows of crops, a map of regions, and who shows which trait.
import { button, called, checkbox, chooser, drawing, element, errorLine, floats, keepKeys, nextFrame, pager, photoDialog, renderer, sender, short, shown, toggle } from "./dom.js";
import { marker, tally } from "./lasso.js";
import { cropped, fileOf, heatTable, percent, swatch, whole } from "./regions.js";
import { scatter } from "./scatter.js";

const PATIENCE = 8000; // milliseconds without an answer after which the kernel is asked about

/** What a person did, in words: one entry of the history. */
export function told(entry) {
  const quoted = (names) => names.map((n) => `“${n}”`).join(" and ");
  if (entry.edit === "rename") return `“${entry.trait}” renamed “${entry.name}”`;
  if (entry.edit === "merge") return `${quoted(entry.traits)} merged into “${entry.name}”`;
  if (entry.edit === "split") return `“${entry.name}” made of ${entry.regions.length} regions of ${quoted(entry.traits)}`;
  if (entry.edit === "mark_background") return `“${entry.trait}” marked ${entry.background ? "as background" : "as no background"}`;
  return entry.edit;
}

/** What is to be said of a trait that may be no part of the animal. */
export function doubts(row) {
  if (row.off_animal !== null) return `${percent(row.off_animal)} off the animal`;
  return row.border === null ? "" : `${percent(row.border)} at the photo's edge`;
}

/** Ask Python for an edit; say so if no answer comes. */
function asker(model, listen, line) {
  let timer = null;
  const done = () => {
    clearTimeout(timer);
    line.textContent = "";
  };
  listen(["change:_about", "change:error"], done);
  return (kind, request = {}) => {
    if (model.get("error")) {
      model.set("error", ""); // so that the same error, come again, is a change
      model.save_changes();
    }
    done();
    model.send({ kind, ...request });
    timer = setTimeout(() => (line.textContent = "No answer from Python: is its kernel running?"), PATIENCE);
  };
}

/** Crops as buttons that open their photo. */
function cropButtons(crops, colours, open) {
  return crops.map((crop) => {
    const words = called(`${fileOf(crop.image)}, ${shown(crop.species)}: ${short(crop.evidence)} logits`, crop.gone);
    const node = button("", () => open(crop.image), { class: "fk-crop-button", title: words, "aria-label": `Open photo ${words}` });
    node.append(cropped(crop, colours[crop.trait]));
    return node;
  });
}

const figure = (value, words, title) => element("div", { class: "fk-figure", title }, element("b", { text: value }), element("span", { text: words }));

function nameField(row, editable, ask) {
  const input = keepKeys(element("input", { type: "text", value: row.name, class: "fk-trait-name", "aria-label": `Name of ${row.name}`, readonly: !editable, "data-key": `name ${row.trait}`, spellcheck: "false" }));
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") input.blur();
    if (event.key === "Escape") input.value = row.name;
  });
  input.addEventListener("change", () => {
    if (input.value.trim() && input.value !== row.name) ask("rename", { old: row.name, new: input.value });
    else input.value = row.name;
  });
  return input;
}

function rowOf(row, context) {
  const { model, send, ask, colours, editable, open } = context;
  const tick = checkbox({ "aria-label": `Tick ${row.name} to merge it`, "data-key": `tick ${row.trait}`, hidden: !editable }, (on) => {
    const others = model.get("ticked").filter((n) => n !== row.name);
    send("ticked", on ? [...others, row.name] : others);
  });
  tick.checked = model.get("ticked").includes(row.name);
  const flag = element("span", { class: "fk-badge", text: "background", hidden: !row.background });
  const figures = element("div", { class: "fk-figures" },
    figure(percent(row.share), "of the margin", "Share of what tells the species from its look-alikes, in logits, over its photos"),
    figure(percent(row.prevalence), "of its photos", "Share of the species' photos that show the trait"),
    figure(percent(row.elsewhere), "of look-alikes’", "Share of the references' photos that show it"),
    figure(row.stability === null ? "–" : row.stability.toFixed(2), "stability", row.stability === null ? "Not known: this trait was made by hand" : "Mean Jaccard index over bootstraps of the photos: above 0.75 is stable, below 0.5 is not"));
  const actions = element("div", { class: "fk-actions" },
    button("Split in two", () => ask("split", { trait: row.name }), { "aria-label": `Split ${row.name} in two`, "data-key": `split ${row.trait}`, disabled: row.regions < 2, title: "By k-means on the regions" }),
    button("Background", () => ask("background", { trait: row.name, background: !row.background }), { "aria-pressed": String(row.background), "aria-label": `${row.name} is background`, "data-key": `background ${row.trait}`, title: "Mark as background, or not" }));
  actions.hidden = !editable;
  const about = element("div", { class: "fk-trait-about" },
    element("div", { class: "fk-trait-head" }, tick, swatch(row.trait, row.colour), nameField(row, editable, ask), flag),
    figures, element("div", { class: "fk-numbers", text: [`${row.regions} regions`, doubts(row)].filter(Boolean).join(", ") }), actions);
  const crops = element("div", { class: "fk-crops" }, ...cropButtons(row.crops, colours, open));
  crops.style.setProperty("--fk-across", Math.max(row.crops.length, 4));
  const node = element("article", { class: "fk-trait", "aria-label": row.name }, about, crops);
  node.classList.toggle("fk-dimmed", row.background);
  return node;
}

/** Rows of the page that is shown; whoever had the keyboard keeps it. */
function traitRows(model, context) {
  const node = element("div", { class: "fk-traits" });
  const show = () => {
    const key = document.activeElement?.dataset?.key;
    const held = node.contains(document.activeElement) ? key : null;
    node.replaceChildren(...model.get("_rows").rows.map((row) => rowOf(row, context())));
    if (held) node.querySelector(`[data-key="${held}"]`)?.focus();
  };
  const ticks = () => node.querySelectorAll("[data-key^=tick]").forEach((box, i) => (box.checked = model.get("ticked").includes(model.get("_rows").rows[i]?.name)));
  const names = () => node.querySelectorAll(".fk-trait-name").forEach((input, i) => input !== document.activeElement && (input.value = model.get("_rows").rows[i].name));
  return { node, show, ticks, names };
}

/** Merge, undo, save and what is known of them. */
function toolbar(model, send, ask, line) {
  const merge = button("Merge ticked traits", () => ask("merge", { names: model.get("ticked") }));
  const undo = button("Undo", () => ask("undo"));
  const save = button("Save", () => ask("save"));
  const auto = toggle(model, "autosave", "save every edit", send);
  const state = element("span", { class: "fk-numbers", "aria-live": "polite" });
  const list = element("ol", { class: "fk-history" });
  const words = element("summary");
  const past = element("details", { class: "fk-past" }, words, list);
  const node = element("div", { class: "fk-tools", role: "group", "aria-label": "Edits" }, merge, undo, save, auto.node, state, line, past);
  const show = () => {
    const about = model.get("_about");
    node.hidden = !about.editable;
    merge.disabled = model.get("ticked").length < 2;
    undo.disabled = !about.undo;
    const memory = about.saved === "memory";
    save.hidden = auto.node.hidden = memory;
    save.disabled = about.saved === "saved";
    auto.show();
    state.textContent = memory ? "Edits are kept in explorer.traits: the study cannot be written to." : about.saved === "saved" ? "Saved in the study." : "Not saved yet.";
    const edits = model.get("edits");
    words.textContent = `${edits.length} edit${edits.length === 1 ? "" : "s"}`;
    past.hidden = !edits.length;
    list.replaceChildren(...edits.map((entry) => element("li", { text: told(entry), title: entry.date })));
  };
  return { node, show };
}

/** What is selected on the map: how many of which trait, crops, and the way to make a trait of them. */
function selection(model, send, ask, context) {
  const name = keepKeys(element("input", { type: "text", placeholder: "name of the new trait", "aria-label": "Name of the new trait" }));
  const make = button("Make a trait of them", () => {
    ask("split", { trait: null, regions: model.get("regions"), name: name.value.trim() || null });
    name.value = "";
  });
  name.addEventListener("keydown", (event) => event.key === "Enter" && make.click());
  const clear = button("Clear", () => send("regions", []));
  const words = element("p", { class: "fk-picked-words", "aria-live": "polite" });
  const crops = element("div", { class: "fk-crops fk-picked" });
  const tools = element("div", { class: "fk-actions" }, name, make, clear);
  const show = () => {
    const picked = model.get("regions");
    const about = model.get("_about");
    const trait = floats(model.get("_points").trait);
    const parts = tally(picked, trait).map(([k, n]) => `${n} of ${about.names[k]}`);
    words.textContent = picked.length ? `${picked.length} selected: ${parts.join(", ")}` : "";
    name.hidden = make.hidden = !about.editable;
    tools.hidden = !picked.length;
    words.hidden = !picked.length;
    if (!picked.length) drawCrops();
  };
  const drawCrops = () => {
    const { colours, open } = context();
    const picked = new Set(model.get("regions"));
    const wanted = model.get("_picked").filter((crop) => picked.has(crop.region));
    crops.replaceChildren(...cropButtons(wanted, colours, open));
  };
  return { node: element("div", {}, words, tools, crops), show, drawCrops };
}

/** The region that is looked at: its crop and what it is. */
function lookedAt(model, context) {
  const node = element("div", { class: "fk-looked" });
  const show = () => {
    const i = model.get("region");
    const about = model.get("_about");
    if (i < 0) {
      node.replaceChildren(element("p", { class: "fk-note", text: "Each point is a region of a photo; near points argue for the species in the same way. Point at one to see it. Draw around some to select them (Shift adds). Keys: arrows go from point to point, Space selects, Enter opens the photo." }));
      return;
    }
    const { colours, open, crops } = context();
    const crop = model.get("_region").region === i ? model.get("_region") : crops.get(i);
    const trait = floats(model.get("_points").trait)[i];
    const title = element("div", { class: "fk-trait-head" }, swatch(trait, colours[trait]), element("b", { class: "fk-name", text: about.names[trait] ?? "" }));
    if (!crop) {
      const wait = about.editable ? element("div", { class: "fk-crop fk-waiting" }) : element("p", { class: "fk-note", text: "Its picture is not on this page." });
      node.replaceChildren(wait, title);
      return;
    }
    const picture = cropButtons([crop], colours, open);
    const lines = [shown(crop.species), fileOf(crop.image), `${short(crop.evidence)} logits`];
    node.replaceChildren(...picture, title, ...lines.map((text) => element("div", { class: "fk-numbers fk-name", text, title: text })));
  };
  return { node, show };
}

/** The photo at its file's resolution with outlines, and what each trait adds to its margin. */
function photoView(model, send, context) {
  const dialog = photoDialog(model, send, "Photo with the outlines of its traits");
  const show = () => {
    const [image, photo] = [model.get("enlarged"), model.get("_photo")];
    const words = model.get("_about").editable ? "Fetching the photo…" : "The whole photo is not on this page: it needs Python.";
    if (!image) dialog.close();
    else if (photo.image === image) dialog.open(contents(photo, model, context().colours));
    else dialog.open(element("p", { class: "fk-note", text: words }));
  };
  return { node: dialog.node, show };
}

function contents(photo, model, colours) {
  const names = model.get("_about").names;
  const { node, groups } = whole(photo, colours);
  const lines = names.map((name, k) => {
    const box = checkbox({ "aria-label": `Outline ${name}`, disabled: !groups.has(k) }, (on) => groups.get(k).setAttribute("visibility", on ? "visible" : "hidden"));
    box.checked = groups.has(k);
    return element("tr", {}, element("td", {}, box), element("td", {}, swatch(k, colours[k])), element("th", { scope: "row", text: name }), element("td", { text: short(photo.evidence[k] ?? NaN) }));
  });
  const sum = (text, value, rule) => element("tr", { class: rule }, element("td"), element("td"), element("th", { scope: "row", text }), element("td", { text: short(value ?? NaN) }));
  const table = element("table", { class: "fk-sum" }, element("caption", { text: "What speaks for the species here, in logits" }),
    element("tbody", {}, ...lines, sum("remainder", photo.remainder), sum("margin", photo.margin, "fk-total")));
  const words = element("p", { class: "fk-numbers", text: `${shown(photo.species)}; ${photo.size[0]} × ${photo.size[1]} pixels` });
  return element("div", { class: "fk-large" }, node, element("div", { class: "fk-side" }, words, table));
}

function legend(names, colours) {
  return element("div", { class: "fk-key" }, ...names.map((name, k) => element("span", {}, swatch(k, colours[k]), name)),
    element("span", {}, drawing("svg", { viewBox: "-8 -8 16 16", class: "fk-swatch", "aria-hidden": "true" }, drawing("path", { d: marker(0, 5.5), fill: "none", stroke: "currentColor", "stroke-width": 1.6 })), "hollow: in other species’ photos"));
}

function build({ model, el, listen }) {
  const send = sender(model);
  const line = element("span", { class: "fk-patience", role: "status" });
  const ask = asker(model, listen, line);
  const open = (image) => send("enlarged", image);
  const context = () => {
    const about = model.get("_about");
    const rows = model.get("_rows").rows;
    const crops = new Map([...rows.flatMap((r) => r.crops), ...model.get("_picked")].map((c) => [c.region, c]));
    return { model, send, ask, open, crops, editable: about.editable, colours: about.colours };
  };
  const title = element("h2");
  const lead = element("p", { class: "fk-note fk-lead" });
  const tools = toolbar(model, send, ask, line);
  const rows = traitRows(model, context);
  const count = () => model.get("_rows").count;
  const pages = pager(model, send, count, (first, last) => `traits ${first}–${last} of ${count()}`);
  const picked = selection(model, send, ask, context);
  const looked = lookedAt(model, context);
  const photo = photoView(model, send, context);
  const key = element("div");
  const table = element("div", { class: "fk-matrix-frame", tabindex: 0, role: "region", "aria-label": "Traits in each species" });
  const unpacked = () => {
    const { xy, trait, own } = model.get("_points");
    return { xy: floats(xy), trait: floats(trait), own: floats(own) };
  };
  let data = unpacked();
  const words = (i) => `${model.get("_about").names[data.trait[i]]}, region ${i + 1} of ${data.trait.length}, ${data.own[i] ? "in a photo of the species" : "in another species' photo"}${model.get("regions").includes(i) ? ", selected" : ""}`;
  const imageOf = (i) => (model.get("_region").region === i ? model.get("_region").image : context().crops.get(i)?.image);
  const map = scatter({
    label: "Map of regions. Arrow keys go from point to point, Space selects, Enter opens the photo.",
    words,
    on: { select: (found) => send("regions", found), look: (i) => send("region", i), open: (i) => imageOf(i) && open(imageOf(i)) },
  });
  let version = 0;
  const moveRing = () => {
    const all = model.get("references_shown");
    map.show({ ...data, version, colours: model.get("_about").colours, selected: model.get("regions"), region: model.get("region"), seen: (i) => all || data.own[i] === 1 });
  };
  const drawMap = () => {
    version++;
    moveRing();
  };
  const names = { pca: "principal components", umap: "UMAP" };
  const projections = model.get("_about").projections;
  const projection = chooser(model, "projection", "Layout", projections.map((p) => [p, names[p]]), send);
  projection.node.hidden = projections.length < 2 || !model.get("_about").editable;
  const others = toggle(model, "references_shown", "other species’ photos, too", send);
  const mapTools = element("div", { class: "fk-actions" }, projection.node, others.node);
  const mapSide = element("section", { class: "fk-map", "aria-label": "Map of regions" },
    element("div", { class: "fk-heading" }, element("h3", { text: "Map of regions" }), mapTools), key,
    element("div", { class: "fk-map-body" }, map.node, looked.node), picked.node);
  const tableSide = element("section", { class: "fk-species-table" },
    element("h3", { text: "Who shows them" }), element("p", { class: "fk-note", text: "Share of each species’ photos that show a trait." }), table);
  const fill = () => {
    const about = model.get("_about");
    title.textContent = about.title;
    lead.textContent = `What tells it from ${about.references.map(shown).join(", ")}, in ${about.photos} photos, at comparison strength ${about.strength}. Outlined: where each trait was found.`;
    rows.show();
    pages.show();
    tools.show();
    key.replaceChildren(legend(about.names, context().colours));
    table.replaceChildren(heatTable(model.get("_matrix"), shown));
    data = unpacked();
    picked.show();
    looked.show();
    drawMap();
  };
  const root = element("section", { class: "fk fk-trait-explorer", "aria-label": model.get("_about").title }, title, lead, tools.node,
    rows.node, pages.node, element("div", { class: "fk-sides" }, mapSide, tableSide), photo.node);
  root.append(errorLine(model, listen));
  listen(["change:_rows", "change:_points", "change:_matrix"], nextFrame(fill));
  listen(["change:error"], rows.names); // a name that was refused goes
  listen(["change:_about", "change:edits", "change:ticked", "change:autosave"], tools.show);
  listen(["change:ticked"], rows.ticks);
  listen(["change:page", "change:page_size"], pages.show);
  listen(["change:regions", "change:references_shown"], drawMap);
  listen(["change:region"], moveRing);
  listen(["change:references_shown"], others.show);
  listen(["change:projection"], projection.show);
  listen(["change:regions"], picked.show);
  listen(["change:_picked"], picked.drawCrops);
  listen(["change:region", "change:_region"], looked.show);
  listen(["change:enlarged", "change:_photo"], photo.show);
  el.append(root);
  fill();
  picked.drawCrops();
  photo.show();
  return map.drop;
}

const render = renderer(build);

export default { render };
