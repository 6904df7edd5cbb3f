// Small pieces of page that all explorers use. Text from files and species names only ever enters as text, never as markup.

/** Make an element; `attrs` may hold attributes, `text`, `class` and `on…` listeners; children are nodes or strings. */
export function element(tag, attrs = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attrs)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
}

/** Make an SVG element; children are elements. */
export function drawing(tag, attrs, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attrs)) if (value !== undefined && value !== null) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

/** A species name as it is shown: underscores as spaces. */
export const shown = (name) => String(name).replaceAll("_", " ");

/** What to call a photo, for those who cannot see it; `gone` says that its file is not there, or is empty. */
export const called = (words, gone) => (gone ? `${words} (${gone})` : words);

/** A number for people: three significant digits, with a true minus sign. */
export function short(value) {
  if (!Number.isFinite(value)) return "–";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits).replace("-", "−").replace(/^−(0(\.0*)?)$/, "$1");
}

/** Show bytes of a JPEG in an element ("src" of an `img`, "href" of an SVG `image`); the URL goes once it is read. */
export function shownIn(node, attribute, bytes) {
  const url = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
  for (const event of ["load", "error"]) node.addEventListener(event, () => URL.revokeObjectURL(url), { once: true });
  node.setAttribute(attribute, url);
  return node;
}

/** Numbers that travel as bytes. Copied, since a view need not begin at a multiple of four. */
export function floats(view) {
  return new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

/** Bytes as they are. */
export const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

/** JupyterLab binds arrows and letters in command mode: keep the keys of our controls to ourselves. */
export function keepKeys(node) {
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") event.stopPropagation();
  });
  return node;
}

export function button(text, onclick, attrs = {}) {
  return keepKeys(element("button", { type: "button", text, onclick, ...attrs }));
}

export function checkbox(attrs, onchange) {
  const box = keepKeys(element("input", { type: "checkbox", ...attrs }));
  box.addEventListener("change", () => onchange(box.checked));
  return box;
}

/** Set a value now; tell Python at most every 80 ms, and always of the last one. Without a kernel nothing is lost. */
export function sender(model) {
  let timer = null;
  const flush = () => {
    timer = null;
    model.save_changes();
  };
  return (name, value) => {
    model.set(name, value);
    timer ??= setTimeout(flush, 80);
  };
}

/** Listen to changes of the model as long as the view lives; returns a function that ends all. */
export function listeners(model) {
  const ends = [];
  const listen = (events, callback) => {
    for (const event of events) {
      model.on(event, callback);
      ends.push(() => model.off(event, callback));
    }
  };
  const end = () => ends.splice(0).forEach((stop) => stop());
  return { listen, end };
}

/** Run `draw` once in the next frame, however often it is asked for. */
export function nextFrame(draw) {
  let asked = 0;
  return () => {
    if (asked) return;
    asked = requestAnimationFrame(() => {
      asked = 0;
      draw();
    });
  };
}

/** A labelled slider, native so that keyboards and screen readers know it. */
export function slider(model, name, label, { min, max, step, format = short, send = sender(model) }) {
  const output = element("output");
  const input = keepKeys(element("input", { type: "range", min, max, step, "aria-label": label }));
  const show = () => {
    input.value = model.get(name);
    output.textContent = format(model.get(name));
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", () => send(name, Number(input.value)));
  show();
  return { node: element("label", { class: "fk-field" }, element("span", { text: label }), input, output), show, input };
}

/** A labelled choice; `options` are [value, words] pairs. */
export function chooser(model, name, label, options, send = sender(model)) {
  const select = keepKeys(element("select", { "aria-label": label }));
  for (const [value, words] of options) select.append(element("option", { value, text: words }));
  const show = () => (select.value = model.get(name));
  select.addEventListener("change", () => send(name, select.value));
  show();
  return { node: element("label", { class: "fk-field" }, element("span", { text: label }), select), show, select };
}

/** A labelled check box for a boolean of the model. */
export function toggle(model, name, label, send = sender(model)) {
  const box = checkbox({}, (on) => send(name, on));
  const show = () => (box.checked = model.get(name));
  show();
  return { node: element("label", { class: "fk-check" }, box, element("span", { text: label })), show, box };
}

/** Where errors of callbacks and of bad values are shown: under the widget. */
export function errorLine(model, listen) {
  const line = element("div", { class: "fk-error", role: "alert" });
  const show = () => {
    line.textContent = model.get("error") ?? "";
    line.hidden = !line.textContent;
  };
  listen(["change:error"], show);
  show();
  return line;
}

/** Buttons that turn the pages of `count()` things; `words(first, last)` says which are shown, counted from 1. */
export function pager(model, send, count, words) {
  const turn = (step) => () => send("page", model.get("page") + step);
  const back = button("‹ Previous", turn(-1));
  const on = button("Next ›", turn(1));
  const where = element("span", { "aria-live": "polite" });
  const show = () => {
    const size = model.get("page_size");
    const first = model.get("page") * size;
    where.textContent = words(first + 1, Math.min(first + size, count()));
    back.disabled = first === 0;
    on.disabled = first + size >= count();
    back.hidden = on.hidden = count() <= size;
  };
  return { node: element("div", { class: "fk-pager" }, back, where, on), show };
}

/** A bar of 256 colours between what its ends mean. `show(table, low, high, label, opacity)` draws it. */
export function colourBar(words = "") {
  const canvas = element("canvas", { width: 256, height: 1, role: "img" });
  const low = element("span");
  const high = element("span");
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(256, 1);
  const show = (table, from, to, label, opacity = 1) => {
    for (let i = 0; i < 1024; i++) pixels.data[i] = i % 4 === 3 ? table[i] * opacity : table[i];
    context.putImageData(pixels, 0, 0);
    low.textContent = from;
    high.textContent = to;
    canvas.setAttribute("aria-label", `${label} from ${from} to ${to}`);
  };
  return { node: element("span", { class: "fk-legend" }, words, low, canvas, high), show };
}

/** A dialog for the photo that the model names in "enlarged"; Escape and its button close it. */
export function photoDialog(model, send, label) {
  const dialog = element("dialog", { "aria-label": label });
  dialog.addEventListener("close", () => model.get("enlarged") && send("enlarged", ""));
  const open = (...contents) => {
    const exit = element("button", { type: "button", text: "Close", onclick: () => dialog.close() });
    const heading = element("div", { class: "fk-heading" }, element("h3", { text: model.get("enlarged") }), exit);
    dialog.replaceChildren(heading, ...contents);
    if (!dialog.open) dialog.showModal();
  };
  return { node: dialog, open, close: () => dialog.open && dialog.close() };
}

const views = []; // where explorers are shown

/**
 * Make a widget's `render` of `build({ model, el, listen })`, which fills `el` and may return what to do at the end.
 *
 * When the still picture joins an output, JupyterLab renders that again and takes the old place out of the page without
 * saying so. What was there moves to the new place as it is; the layout tells whose it was.
 */
export const renderer = (build) => ({ model, el }) => {
  const layout = model.get("layout");
  let view = layout && views.find((other) => other.layout === layout && !other.el.parentNode);
  if (!view) {
    const { listen, end } = listeners(model);
    const place = element("div");
    el.append(place); // before it is filled: a dialog opens only on the page
    const drop = build({ model, el: place, listen });
    view = { layout, place, end: () => [end(), drop?.()] };
    views.push(view);
  }
  view.el = el;
  el.append(view.place);
  return () => {
    if (view.el !== el) return; // it moved on
    view.end();
    views.splice(views.indexOf(view), 1);
  };
};
