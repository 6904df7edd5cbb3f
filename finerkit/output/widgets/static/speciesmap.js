// The map of the species explorer: similarities, tree and focus in a drawing that answers mouse and keys.
import { abbreviated, cellAt, heat, labelled, moved, neighbours, pathUp, sizes } from "./heatmap.js";
import { bytes, drawing, element, floats, keepKeys, nextFrame, shown, short } from "./dom.js";

const LINE = 12; // pixels that one label needs

/**
 * What travelled of the present measure, ready to use; everything in it goes by place in `order`.
 *
 * Of very many species the matrix has one row, that of the chosen one, and there is no map.
 */
export function unpackMap(sent, about) {
  const n = sent.order.length;
  const matrix = floats(sent.matrix);
  const rows = matrix.length / n;
  const places = new Map(sent.order.map((species, place) => [species, place]));
  const line = sent.branches ? floats(sent.branches) : [];
  const corner = (fork, i) => [line[8 * fork + 2 * i], line[8 * fork + 2 * i + 1]];
  return {
    ...sent,
    n,
    matrix,
    isWhole: rows === n,
    table: sent.table && bytes(sent.table),
    names: sent.order.map((i) => about.species[i]),
    branches: Array.from({ length: line.length / 8 }, (_, fork) => [0, 1, 2, 3].map((i) => corner(fork, i))),
    place: (name) => places.get(about.species.indexOf(name)) ?? -1,
    alike: (place, k) => (place < rows ? neighbours(matrix, n, place, k, sent.order) : []),
    at: (row, column) => matrix[row * n + column],
  };
}

/** The cells, one pixel per pair, to be stretched over the map. */
function stamp(map) {
  const canvas = element("canvas", { width: map.n, height: map.n });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(map.n, map.n);
  heat(map.matrix, map.n, map.low, map.high, map.table, pixels.data);
  context.putImageData(pixels, 0, 0);
  return drawing("image", { href: canvas.toDataURL(), preserveAspectRatio: "none", style: "image-rendering: pixelated" });
}

/** Widths of texts in the labels' font. */
function ruler(root) {
  const context = element("canvas").getContext("2d");
  context.font = `600 12px ${getComputedStyle(root).fontFamily}`;
  return (text) => context.measureText(text).width;
}

/** The longest beginning of a text that fits, with an ellipsis where it had to be cut. */
function fitted(wide, text, width) {
  if (wide(text) <= width) return text;
  let end = text.length;
  while (end > 1 && wide(`${text.slice(0, end)}…`) > width) end--;
  return `${text.slice(0, end).trimEnd()}…`;
}

const line = (d, ink, width, opacity = 1) => drawing("path", { d, fill: "none", style: `stroke: var(--fk-${ink}); stroke-width: ${width}; opacity: ${opacity}` });
const word = (x, y, text, more = {}) => Object.assign(drawing("text", { x, y, ...more }), { textContent: text });

function treeOf({ branches }, s, chosen) {
  if (!branches.length) return [];
  const joined = branches.map((fork) => fork[1][1]);
  const [low, high] = [Math.min(...joined), Math.max(...joined)];
  const x = (v) => (Number.isNaN(v) ? s.tree - 4 : 4 + ((s.tree - 16) * (v - low)) / (high - low || 1));
  const trace = (corners) => `M${corners.map(([place, v]) => `${x(v)} ${s.top + (place + 0.5) * s.cell}`).join("L")}`;
  return [
    line(branches.map(trace).join(""), "quiet", s.cell < 3 ? 0.6 : 1, 0.8),
    chosen >= 0 ? line(trace(pathUp(branches, chosen)), "accent", 2) : "",
    word(2, s.top + s.side + 14, short(low)),
    high > low ? word(s.tree - 6, s.top + s.side + 14, short(high), { "text-anchor": "end" }) : "",
  ];
}

function cellsOf(map, s, picture) {
  const place = { x: s.left, y: s.top, width: s.side, height: s.side };
  for (const [name, value] of Object.entries(place)) picture.setAttribute(name, value);
  const at = Array.from({ length: map.n - 1 }, (_, i) => (i + 1) * s.cell);
  const gaps = at.map((d) => `M${s.left} ${s.top + d}h${s.side}M${s.left + d} ${s.top}v${s.side}`).join("");
  return [drawing("rect", { ...place, style: "fill: var(--fk-panel)" }), picture, s.cell < 9 ? "" : line(gaps, "ground", 1)];
}

function namesOf(map, s, wide, { chosen, seen, ticked, alike }) {
  const first = [chosen, seen?.row, ...ticked, ...alike].filter((i) => i !== undefined);
  const face = (place) => {
    if (place === chosen) return "fk-is-chosen";
    return ticked.includes(place) ? "fk-is-ticked" : place === seen?.row || place === seen?.column ? "fk-is-read" : null;
  };
  const rows = labelled(map.n, s.cell, LINE, first).map((i) =>
    word(s.left + s.side + 8, s.top + (i + 0.5) * s.cell + 4, fitted(wide, shown(map.names[i]), s.labels - 10), { class: face(i) }));
  if (!s.named) return rows;
  const columns = map.names.map((name, i) =>
    word(0, 8, fitted(wide, abbreviated(shown(name)), 88), { class: face(i), "text-anchor": "end", transform: `translate(${s.left + (i + 0.5) * s.cell} ${s.top + s.side + 6}) rotate(-60)` }));
  return [...rows, ...columns];
}

function marksOf(s, { chosen, seen, ticked, alike }, focused) {
  const at = (place) => place * s.cell;
  const box = (x, y, width, height, ink, thick, opacity = 1) =>
    drawing("rect", { x: s.left + x, y: s.top + y, width, height, fill: "none", style: `stroke: ${ink}; stroke-width: ${thick}; opacity: ${opacity}` });
  const marks = [];
  if (chosen >= 0) {
    const [y, h] = s.cell < 4 ? [at(chosen) - 1, s.cell + 2] : [at(chosen), s.cell];
    const r = Math.max(1.5, Math.min(5, s.cell / 5));
    const dot = (place, [fill, stroke]) => drawing("circle", { cx: s.left + at(place + 0.5), cy: s.top + at(chosen + 0.5), r, fill, stroke, "stroke-width": Math.max(1, r / 2.5) });
    marks.push(box(0, y, s.side, h, "var(--fk-ground)", 4), box(0, y, s.side, h, "var(--fk-accent)", 2));
    for (const place of new Set([...alike, ...ticked])) marks.push(dot(place, ticked.includes(place) ? ["#000", "#fff"] : ["#fff", "#000"]));
  }
  if (!seen) return marks;
  if (s.cell < 9) marks.push(box(0, at(seen.row), s.side, s.cell, "var(--fk-ink)", 0.7, 0.6), box(at(seen.column), 0, s.cell, s.side, "var(--fk-ink)", 0.7, 0.6));
  const grow = s.cell < 6 ? 3 : 0;
  const place = [at(seen.column) - grow, at(seen.row) - grow, s.cell + 2 * grow, s.cell + 2 * grow];
  return [...marks, box(...place, "#fff", focused ? 5 : 3), box(...place, "#000", focused ? 2 : 1)];
}

/**
 * The drawing and its keys. `hooks`: `map()` what travelled, `marks()` chosen species, ticked and listed look-alikes by
 * place; `choose(name)`, `tick(name)` and `read(pair, aloud)` are called for what a person does.
 */
export function speciesMap(root, hooks) {
  const node = keepKeys(drawing("svg", { class: "fk-heatmap", tabindex: 0, role: "application", "aria-roledescription": "heat map" }));
  let picture = null;
  let focus = null; // the pair that the keys move
  let hover = null;
  let s = null;
  const draw = nextFrame(() => {
    const map = hooks.map();
    const width = node.clientWidth;
    if (!width || !map.n) return;
    const wide = ruler(root);
    const widest = (names) => Math.max(...names.map(wide));
    s = sizes(width, map.n, widest(map.names.map(shown)), widest(map.names.map((name) => abbreviated(shown(name)))));
    node.style.height = `${s.height}px`;
    picture ??= stamp(map);
    const focused = root.getRootNode().activeElement === node;
    const marks = { ...hooks.marks(), seen: hover ?? (focused ? focus : null) };
    node.replaceChildren(...treeOf(map, s, marks.chosen), ...cellsOf(map, s, picture), ...marksOf(s, marks, focused && !hover), ...namesOf(map, s, wide, marks));
  });
  /** Put the focus on the chosen species, if it is elsewhere. */
  const follow = () => {
    const { chosen, alike } = hooks.marks();
    if (chosen >= 0 && focus?.row !== chosen) focus = { row: chosen, column: alike[0] ?? chosen };
    draw();
  };
  const show = () => {
    hooks.read(focus, true);
    draw();
  };
  const under = (event) => {
    if (!s) return {};
    const at = node.getBoundingClientRect();
    const [x, y] = [event.clientX - at.left, event.clientY - at.top];
    const { n } = hooks.map();
    return cellAt(s, x, y, n) ?? { row: cellAt(s, s.left, y, n)?.row }; // beside the cells a row is meant
  };
  const point = (pair) => {
    if (pair?.row === hover?.row && pair?.column === hover?.column) return;
    hover = pair;
    hooks.read(hover ?? focus, false);
    draw();
  };
  node.addEventListener("pointermove", (event) => {
    const pair = under(event);
    node.style.cursor = pair.row === undefined ? "default" : "pointer";
    point(pair.column === undefined ? null : pair);
  });
  node.addEventListener("pointerleave", () => point(null));
  node.addEventListener("click", (event) => {
    const { row, column } = under(event);
    if (row === undefined) return;
    focus = { row, column: column ?? row };
    hooks.choose(hooks.map().names[row]);
  });
  node.addEventListener("keydown", (event) => {
    const map = hooks.map();
    if (!focus || event.ctrlKey || event.metaKey || event.altKey) return;
    const next = moved(event.key, focus, map.n);
    if (next) focus = next;
    else if (event.key === "Enter") hooks.choose(map.names[focus.row]);
    else if (event.key === " ") hooks.tick(map.names[focus.column]);
    else return;
    event.preventDefault();
    hover = null;
    show();
  });
  node.addEventListener("focus", () => focus && show());
  node.addEventListener("blur", draw);
  const watched = new ResizeObserver(draw);
  watched.observe(node);
  const renew = () => {
    picture = focus = hover = null;
    follow();
  };
  return { node, draw, follow, renew, focus: () => focus, drop: () => watched.disconnect() };
}
