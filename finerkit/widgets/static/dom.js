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

/** Bytes of an image as a URL; call `URL.revokeObjectURL` when done. */
export const imageUrl = (bytes, type = "image/jpeg") => URL.createObjectURL(new Blob([bytes], { type }));

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
  const box = keepKeys(element("input", { type: "checkbox" }));
  const show = () => (box.checked = model.get(name));
  box.addEventListener("change", () => send(name, box.checked));
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
