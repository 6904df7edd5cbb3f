// The strength explorer: photos with the contrast drawn over them.
import { coefficients, contrast, keepStrongest, margin, peak } from "./evidence.js";
import { paint } from "./paint.js";
import { bytes, called, checkbox, chooser, colourBar, element, errorLine, floats, keepKeys, nextFrame, pager, photoDialog, renderer, sender, short, shown, shownIn, slider, toggle } from "./dom.js";

const LARGE = 900; // pixels on the longer side of the map over an enlarged photo: enough for a smooth map

/** What the present settings make of one photo: its map, factors of the classes, value at full colour and numbers. */
export function look(photo, settings) {
  const factors = coefficients(photo.logit, settings.active, settings.strength, settings.objective);
  const map = keepStrongest(contrast(photo.evidence, factors), settings.share, settings.signed);
  const largest = peak(map, settings.signed);
  const top = settings.scale === "common" ? settings.limit : largest;
  return { map, factors, largest, top, margin: margin(photo.logit, settings.active, settings.objective) };
}

/** The page that travelled, photo by photo. */
export function unpack(page) {
  const { rows, columns } = page;
  const evidence = floats(page.evidence);
  const logit = floats(page.logit);
  const n = page.images.length;
  const classes = logit.length / n;
  const size = classes * rows * columns;
  return page.images.map((image, i) => ({
    image,
    rows,
    columns,
    evidence: evidence.subarray(i * size, (i + 1) * size),
    logit: Array.from(logit.subarray(i * classes, (i + 1) * classes)),
    place: page.places[i],
    size: page.sizes[i],
    status: page.status[i],
    species: page.species[i],
    bytes: page.photos[i],
    gone: page.gone[i],
  }));
}

/** Where the grid lies on a picture of the photo of `width` x `height` pixels. */
export function placed([left, top, cellWidth, cellHeight], [originalWidth, originalHeight], width, height) {
  const across = width / originalWidth;
  const down = height / originalHeight;
  return { left: left * across, top: top * down, cellWidth: cellWidth * across, cellHeight: cellHeight * down };
}

/** Whether there is a kernel that can send other photos; on a page of its own what is there is all there is. */
const live = (model) => model.get("_about").live !== false;

function settingsOf(model) {
  const about = model.get("_about");
  const chosen = new Set(model.get("references"));
  const signed = model.get("signed");
  const name = model.get(signed ? "cmap_signed" : "cmap");
  return {
    active: about.references.map((r) => chosen.has(r)),
    strength: model.get("strength"),
    objective: model.get("objective"),
    share: model.get("share"),
    scale: model.get("scale"),
    limit: model.get("limit"),
    opacity: model.get("opacity"),
    smooth: model.get("smooth"),
    signed,
    table: bytes(model.get("_tables")[name]),
  };
}

/** A photo with its map on a canvas of these pixels; `draw` is all that happens per frame. */
function overlaid(photo, jpeg, words, width, height) {
  const canvas = element("canvas", { width, height, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  const place = placed(photo.place, photo.size, width, height);
  const draw = (seen, settings) => {
    paint(seen.map, photo.rows, photo.columns, { ...settings, width, height, place, top: seen.top }, pixels.data);
    context.putImageData(pixels, 0, 0);
  };
  return { layers: [shownIn(element("img", { alt: words }), "src", jpeg), canvas], draw };
}

/** Width and height of a picture of a photo whose longer side has so many pixels. */
const within = (photo, pixels) => photo.size.map((side) => Math.max(1, Math.round((pixels * side) / Math.max(...photo.size))));

/** Bars of the logits of target and references; references that are switched off are struck through. */
function logitBars(photo, names) {
  const low = Math.min(0, ...photo.logit);
  const span = Math.max(0, ...photo.logit) - low || 1;
  const node = element("div", { class: "fk-bars" });
  const labels = names.map((name, c) => {
    const y = photo.logit[c];
    const bar = element("i", { class: c ? null : "fk-target" });
    bar.style.left = `${(100 * (Math.min(y, 0) - low)) / span}%`;
    bar.style.width = `${(100 * Math.abs(y)) / span}%`;
    const label = element("span", { text: shown(name), title: shown(name) });
    node.append(label, element("span", { class: "fk-bar", "aria-hidden": "true" }, bar), element("span", { text: short(y), title: "logit" }));
    return label;
  });
  const show = (active) => labels.slice(1).forEach((label, d) => label.classList.toggle("fk-off", !active[d]));
  return { node, show };
}

function tileOf(photo, model, send, width) {
  const names = [model.get("_about").target, ...model.get("_about").references];
  const tick = checkbox({ "aria-label": `Select ${photo.image}` }, (on) => {
    const others = model.get("selected").filter((i) => i !== photo.image);
    send("selected", on ? [...others, photo.image] : others);
  });
  const name = element("span", { class: "fk-name", text: photo.image.split("/").pop(), title: `${photo.image} (${shown(photo.species)})` });
  const node = element("figure", { class: "fk-tile" });
  const caption = element("figcaption", {}, element("div", { class: "fk-words" }, live(model) ? tick : null, name));
  const select = () => {
    const on = model.get("selected").includes(photo.image);
    tick.checked = on;
    node.classList.toggle("fk-chosen", on);
  };
  select();
  if (photo.status !== "ok") {
    node.append(element("div", { class: "fk-failed", text: `Could not be explained: ${photo.status}` }), caption);
    return { node, select, draw() {} };
  }
  const [across, down] = within(photo, width); // photos fill a square at most, so that rows line up
  const { layers, draw } = overlaid(photo, photo.bytes, "", across, down);
  const button = element("button", { type: "button", class: "fk-photo", "aria-label": called(`Enlarge ${photo.image}`, photo.gone) }, ...layers);
  button.style.aspectRatio = `${photo.size[0]} / ${photo.size[1]}`;
  button.style.width = `${(100 * across) / width}%`;
  keepKeys(button).addEventListener("click", () => send("enlarged", photo.image));
  const numbers = element("div", { class: "fk-numbers" });
  const bars = logitBars(photo, names);
  caption.append(numbers, bars.node);
  node.append(element("div", { class: "fk-frame" }, button), caption);
  return {
    node,
    select,
    draw(settings) {
      const seen = look(photo, settings);
      draw(seen, settings);
      numbers.textContent = `margin ${short(seen.margin)}, strongest cell ${short(seen.largest)}`;
      numbers.title = "in logits";
      bars.show(settings.active);
    },
  };
}

function referenceBoxes(model, send) {
  const known = model.get("_about").references;
  const boxes = known.map((name) =>
    checkbox({ value: name }, () => {
      send("references", known.filter((_, i) => boxes[i].checked));
      show();
    }));
  const show = () => {
    const chosen = model.get("references");
    boxes.forEach((box, i) => {
      box.checked = chosen.includes(known[i]);
      box.disabled = box.checked && chosen.length === 1; // a contrast needs something to contrast with
    });
  };
  show();
  const labels = boxes.map((box, i) => element("label", { class: "fk-check" }, box, element("span", { text: shown(known[i]) })));
  return { node: element("fieldset", {}, element("legend", { text: "against" }), ...labels), show };
}

/** Draw the colour bar: its ends are in logits, where photos share a scale. */
function showBar(bar, { table, opacity, signed, scale, limit }) {
  const common = scale === "common";
  const low = signed ? (common ? `−${short(limit)}` : "−") : "0";
  bar.show(table, low, common ? `≥ ${short(limit)} logits` : "photo's strongest", "Colour bar", opacity);
}

const strengthSlider = (model, send) => slider(model, "strength", "Comparison strength", { min: 0, max: 2, step: 0.05, send });

function toolbar(model, send) {
  const about = model.get("_about");
  const tables = Object.keys(model.get("_tables"));
  const diverging = tables.filter((n) => n.endsWith("_r"));
  const percent = (v) => `${Math.round(100 * v)} %`;
  const strength = strengthSlider(model, send);
  strength.node.classList.add("fk-main-slider");
  const parts = {
    strength,
    references: referenceBoxes(model, send),
    signed: toggle(model, "signed", "signed (what argues against, too)", send),
    share: slider(model, "share", "Cells with the top", { min: 0.05, max: 1, step: 0.05, format: (v) => `${percent(v)} of the evidence`, send }),
    opacity: slider(model, "opacity", "Opacity", { min: 0, max: 1, step: 0.05, format: percent, send }),
    cmap: chooser(model, "cmap", "Colours", tables.filter((n) => !diverging.includes(n)).map((n) => [n, n]), send),
    cmap_signed: chooser(model, "cmap_signed", "Colours", diverging.map((n) => [n, n.replace(/_r$/, "")]), send),
    scale: chooser(model, "scale", "Scale", [["common", "common, in logits"], ["photo", "each photo's own"]], send),
    smooth: toggle(model, "smooth", "smooth", send),
    sort: chooser(model, "sort", "Order", [["margin", "clearest first"], ["error", "nearest to a mistake first"], ["name", "by name"]], send),
  };
  const limit = keepKeys(element("input", { type: "number", min: 0, step: "any", "aria-label": "Evidence at full colour, in logits" }));
  limit.addEventListener("change", () => Number(limit.value) > 0 && send("limit", Number(limit.value)));
  const full = element("label", { class: "fk-field" }, element("span", { text: "full colour at" }), limit);
  const bar = colourBar();
  const show = (settings) => {
    for (const part of Object.values(parts)) part.show();
    parts.cmap.node.hidden = settings.signed;
    parts.cmap_signed.node.hidden = !settings.signed;
    full.hidden = settings.scale !== "common";
    if (document.activeElement !== limit) limit.value = Number(settings.limit.toPrecision(3));
    showBar(bar, settings);
  };
  const gap = () => element("span", { class: "fk-break" });
  const options = [parts.signed, parts.share, parts.opacity, parts.scale].map((p) => p.node);
  const rest = [full, parts.cmap.node, parts.cmap_signed.node, parts.smooth.node, live(model) && about.photos > 1 ? parts.sort.node : null];
  const more = live(model)
    ? [gap(), ...options, ...rest]
    : [gap(), element("details", {}, element("summary", { text: "More settings" }), element("div", { class: "fk-more" }, ...options, ...rest))];
  const node = element("div", { class: "fk-tools", role: "group", "aria-label": "Settings" },
    parts.strength.node, parts.references.node, bar.node, ...more);
  return { node, show };
}

/** The enlarged photo, with its own slider. */
function enlargement(model, send) {
  const dialog = photoDialog(model, send, "Enlarged photo");
  let draw = () => {};
  const show = (photos) => {
    const photo = photos.find((p) => p.image === model.get("enlarged") && p.status === "ok");
    if (!photo) {
      dialog.close();
      return;
    }
    const original = model.get("_photo");
    const jpeg = original.image === photo.image ? original.photo : photo.bytes;
    const { layers, draw: drawMap } = overlaid(photo, jpeg, called(`Photo ${photo.image}`, photo.gone), ...within(photo, LARGE));
    const picture = element("div", { class: "fk-photo" }, ...layers);
    picture.style.aspectRatio = `${photo.size[0]} / ${photo.size[1]}`;
    picture.style.setProperty("--fk-aspect", photo.size[0] / photo.size[1]);
    const strength = strengthSlider(model, send);
    const bars = logitBars(photo, [model.get("_about").target, ...model.get("_about").references]);
    const numbers = element("p", { class: "fk-numbers" });
    const side = element("div", { class: "fk-side" }, strength.node, numbers, element("p", { class: "fk-note", text: "Logits" }), bars.node);
    draw = (settings) => {
      const seen = look(photo, settings);
      drawMap(seen, settings);
      strength.show();
      bars.show(settings.active);
      numbers.textContent = `margin ${short(seen.margin)}, strongest cell ${short(seen.largest)} logits; ${photo.size[0]} × ${photo.size[1]} pixels`;
    };
    dialog.open(element("div", { class: "fk-large" }, picture, side));
    draw(settingsOf(model));
  };
  return { node: dialog.node, show, draw: (settings) => dialog.node.open && draw(settings) };
}

function build({ model, el, listen }) {
  const send = sender(model);
  const about = model.get("_about");
  const tools = toolbar(model, send);
  const pages = pager(model, send, () => about.photos, (first, last) => {
    const picked = model.get("selected").length;
    return `${first}–${last} of ${about.photos} photos${picked ? `, ${picked} selected` : ""}`;
  });
  const large = enlargement(model, send);
  const grid = element("div", { class: "fk-grid" });
  const notes = [
    about.additive ? null : "Cells of these maps do not add up to the logits.",
    about.only_scales ? "With these references, all other species together, the strength only scales the map." : null,
  ].filter(Boolean);
  const root = element("section", { class: "fk", "aria-label": about.title },
    live(model) ? element("h2", { text: about.title }) : null, tools.node, grid, live(model) ? pages.node : null,
    notes.length ? element("p", { class: "fk-note", text: notes.join(" ") }) : null, large.node);
  root.append(errorLine(model, listen));
  let photos = [];
  let tiles = [];
  const draw = nextFrame(() => {
    const settings = settingsOf(model);
    tools.show(settings);
    tiles.forEach((tile) => tile.draw(settings));
    large.draw(settings);
  });
  const fill = () => {
    photos = unpack(model.get("_page"));
    const width = model.get("_page").tile;
    grid.style.gridTemplateColumns = `repeat(auto-fill, minmax(min(${width}px, 100%), ${width}px))`;
    tiles = photos.map((photo) => tileOf(photo, model, send, width));
    grid.replaceChildren(...tiles.map((tile) => tile.node));
    pages.show();
    draw();
  };
  const drawn = ["strength", "references", "objective", "signed", "share", "opacity", "cmap", "cmap_signed", "scale", "limit", "smooth", "sort"];
  listen(drawn.map((n) => `change:${n}`), draw);
  listen(["change:_page"], fill);
  listen(["change:page", "change:page_size"], () => pages.show());
  listen(["change:selected"], () => {
    tiles.forEach((tile) => tile.select());
    pages.show();
  });
  listen(["change:enlarged", "change:_photo", "change:_page"], () => large.show(photos));
  el.append(root);
  fill();
  large.show(photos);
}

const render = renderer(build);

export default { render };
