// The map of the species explorer: similarities, tree and focus enter; a canvas that answers mouse and keys leaves.
import { abbreviated, cellAt, centred, forks, heat, labelled, moved, neighbours, scrolled, sizes } from "./heatmap.js";
import { element, floats, keepKeys, nextFrame, shown, short } from "./dom.js";

const LINE = 12; // pixels that one label needs
const OVERVIEW = 112; // side of the small map of all species

/** What travelled of the present map, ready to draw; everything in it goes by place in the tree's order. */
export function unpackMap(sent, about) {
  const n = sent.order.length;
  const matrix = floats(sent.matrix);
  const places = new Map(sent.order.map((species, place) => [species, place]));
  return {
    ...sent,
    n,
    matrix,
    names: sent.order.map((i) => about.species[i]),
    forks: forks(sent.merges, sent.joined, n),
    place: (name) => places.get(about.species.indexOf(name)) ?? -1,
    alike: (place, k) => neighbours(matrix, n, place, k, sent.order),
    at: (row, column) => matrix[row * n + column],
  };
}

/** Colours of the theme, as a canvas takes them. */
function inks(root) {
  const probe = element("span");
  root.append(probe);
  const ink = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const found = { ink: ink("--fk-ink"), quiet: ink("--fk-quiet"), ground: ink("--fk-ground"), panel: ink("--fk-panel"), line: ink("--fk-line"), accent: ink("--fk-accent") };
  probe.style.color = "color-mix(in srgb, var(--fk-accent) 65%, var(--fk-ink))";
  found.chosen = getComputedStyle(probe).color; // readable as text on either ground
  probe.remove();
  found.font = getComputedStyle(root).fontFamily;
  return found;
}

/** One pixel per pair, to be stretched over the map. */
function stamp(map) {
  const canvas = element("canvas", { width: map.n, height: map.n });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(map.n, map.n);
  heat(map.matrix, map.n, map.low, map.high, new Uint8Array(map.table.buffer, map.table.byteOffset, 1024), pixels.data);
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/** The longest beginning of a text that fits, with an ellipsis where it had to be cut. */
function fitted(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > width) end--;
  return `${text.slice(0, end).trimEnd()}…`;
}

const onPath = (fork, place) => fork.leaves[0] <= place && place <= fork.leaves[1];

function drawTree(context, map, s, colour, start, count, chosen) {
  const low = Math.min(...map.joined);
  const high = Math.max(...map.joined);
  const x = (v) => (Number.isNaN(v) ? s.tree - 4 : 4 + ((s.tree - 16) * (v - low)) / (high - low || 1));
  const y = (place) => s.top + (place - start + 0.5) * s.cell;
  context.save();
  context.beginPath();
  context.rect(0, s.top, s.tree, s.side);
  context.clip();
  const ordered = [...map.forks].sort((a, b) => onPath(a, chosen) - onPath(b, chosen)); // the chosen branch on top
  for (const fork of ordered) {
    if (fork.leaves[1] < start || fork.leaves[0] >= start + count) continue;
    const here = x(fork.similarity);
    context.strokeStyle = colour.quiet;
    context.lineWidth = s.cell < 3 ? 0.6 : 1;
    context.globalAlpha = 0.8;
    context.beginPath();
    context.moveTo(x(fork.firstStem), y(fork.first));
    context.lineTo(here, y(fork.first));
    context.lineTo(here, y(fork.last));
    context.lineTo(x(fork.lastStem), y(fork.last));
    context.stroke();
    if (!onPath(fork, chosen)) continue;
    const down = chosen > fork.split;
    context.strokeStyle = colour.accent;
    context.lineWidth = 2;
    context.globalAlpha = 1;
    context.beginPath();
    context.moveTo(x(down ? fork.lastStem : fork.firstStem), y(down ? fork.last : fork.first));
    context.lineTo(here, y(down ? fork.last : fork.first));
    context.lineTo(here, y((fork.first + fork.last) / 2));
    context.stroke();
  }
  context.restore();
  context.fillStyle = colour.quiet;
  context.font = `11px ${colour.font}`;
  context.textBaseline = "top";
  context.textAlign = "left";
  context.fillText(short(low), 2, s.top + s.side + 4);
  if (high > low) {
    context.textAlign = "right";
    context.fillText(short(high), s.tree - 6, s.top + s.side + 4);
  }
}

function drawCells(context, map, picture, s, colour, start, count) {
  context.fillStyle = colour.panel;
  context.fillRect(s.left, s.top, s.side, s.side);
  context.imageSmoothingEnabled = false;
  context.drawImage(picture, start, start, count, count, s.left, s.top, s.side, s.side);
  if (s.cell < 9) return;
  context.fillStyle = colour.ground;
  for (let i = 1; i < count; i++) {
    context.fillRect(s.left + i * s.cell - 0.5, s.top, 1, s.side);
    context.fillRect(s.left, s.top + i * s.cell - 0.5, s.side, 1);
  }
}

function drawNames(context, map, s, colour, start, count, marks) {
  const { chosen, seen, ticked, alike } = marks;
  const first = [chosen, seen?.row, ...ticked, ...alike].filter((i) => i !== undefined).map((i) => i - start);
  context.textBaseline = "middle";
  context.textAlign = "left";
  const left = s.left + s.side + 8;
  const face = (place) => {
    const strong = place === chosen || ticked.includes(place);
    context.font = `${strong ? "600 " : ""}12px ${colour.font}`;
    context.fillStyle = place === chosen ? colour.chosen : strong || place === seen?.row || place === seen?.column ? colour.ink : colour.quiet;
  };
  for (const i of labelled(count, s.cell, LINE, first)) {
    face(i + start);
    context.fillText(fitted(context, shown(map.names[i + start]), s.labels - 10), left, s.top + (i + 0.5) * s.cell);
  }
  if (!s.named) return;
  context.textAlign = "right";
  for (let i = 0; i < count; i++) {
    context.save();
    context.translate(s.left + (i + 0.5) * s.cell, s.top + s.side + 6);
    context.rotate(-Math.PI / 3);
    face(i + start);
    context.fillText(fitted(context, abbreviated(shown(map.names[i + start])), 88), 0, 4);
    context.restore();
  }
}

function drawMarks(context, map, s, colour, start, count, { chosen, seen, ticked, alike }, focused) {
  const at = (place) => (place - start) * s.cell;
  const box = (x, y, w, h, style, width) => {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.strokeRect(s.left + x, s.top + y, w, h);
  };
  context.save();
  context.beginPath();
  context.rect(s.left - 2, s.top - 2, s.side + 4, s.side + 4);
  context.clip();
  if (chosen >= 0) {
    const [y, h] = s.cell < 4 ? [at(chosen) - 1, s.cell + 2] : [at(chosen), s.cell];
    box(0, y, s.side, h, colour.ground, 4);
    box(0, y, s.side, h, colour.accent, 2);
    const radius = Math.max(1.5, Math.min(5, s.cell / 5));
    for (const place of new Set([...alike, ...ticked])) {
      context.beginPath();
      context.arc(s.left + at(place) + s.cell / 2, s.top + at(chosen) + s.cell / 2, radius, 0, 2 * Math.PI);
      context.fillStyle = ticked.includes(place) ? "#000" : "#fff";
      context.strokeStyle = ticked.includes(place) ? "#fff" : "#000";
      context.lineWidth = Math.max(1, radius / 2.5);
      context.fill();
      context.stroke();
    }
  }
  if (seen && s.cell < 9) {
    context.globalAlpha = 0.6;
    box(0, at(seen.row), s.side, s.cell, colour.ink, 0.7);
    box(at(seen.column), 0, s.cell, s.side, colour.ink, 0.7);
    context.globalAlpha = 1;
  }
  if (seen) {
    const grow = s.cell < 6 ? 3 : 0;
    const [x, y, w] = [at(seen.column) - grow, at(seen.row) - grow, s.cell + 2 * grow];
    box(x, y, w, w, "#fff", focused ? 5 : 3);
    box(x, y, w, w, "#000", focused ? 2 : 1);
  }
  context.restore();
}

/** All species in small, with a frame around those in view; `move(place)` is called for where a person points. */
function overview(move) {
  const node = element("canvas", { class: "fk-overview", "aria-hidden": "true", title: "All species; click to move the map" });
  const context = node.getContext("2d");
  let n = 1;
  const point = (event) => {
    const at = node.getBoundingClientRect();
    const share = ((event.clientX - at.left) / at.width + (event.clientY - at.top) / at.height) / 2; // the map lies on the diagonal
    move(Math.max(0, Math.min(n - 1, Math.floor(share * n))));
  };
  node.addEventListener("pointerdown", (event) => {
    node.setPointerCapture(event.pointerId);
    point(event);
  });
  node.addEventListener("pointermove", (event) => event.buttons && point(event));
  const draw = (picture, colour, start, count, chosen) => {
    n = picture.width;
    node.hidden = count >= n;
    if (node.hidden) return;
    node.width = node.height = 2 * OVERVIEW;
    const scale = node.width / n;
    context.fillStyle = colour.panel;
    context.fillRect(0, 0, node.width, node.width);
    context.drawImage(picture, 0, 0, node.width, node.width);
    const side = Math.max(8, count * scale);
    for (const [style, width] of [["#000", 6], ["#fff", 3]]) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.strokeRect(start * scale, start * scale, side, side);
    }
    if (chosen < 0) return;
    context.fillStyle = colour.accent;
    context.fillRect(0, chosen * scale - 1, node.width, 3);
  };
  return { node, draw };
}

/**
 * The canvas and its keys. `hooks`: `map()` what travelled, `marks()` chosen species, ticked and listed look-alikes by
 * place, `inView()` how many species; `choose(name)`, `tick(name)` and `read(pair, aloud)` are called for what a person does.
 */
export function speciesMap(root, hooks) {
  const canvas = keepKeys(element("canvas", { class: "fk-heatmap", tabindex: 0, role: "application", "aria-roledescription": "heat map" }));
  const context = canvas.getContext("2d");
  let picture = null;
  let start = 0;
  let focus = null; // the pair that the keys move
  let hover = null;
  let s = null;
  const count = () => Math.min(hooks.inView(), hooks.map().n);
  const small = overview((place) => {
    start = centred(place, count(), hooks.map().n);
    draw();
  });
  const draw = nextFrame(() => {
    const map = hooks.map();
    const width = canvas.parentElement?.clientWidth ?? 0;
    if (!width || !map.n) return;
    const colour = inks(root);
    const visible = count();
    start = Math.max(0, Math.min(map.n - visible, start));
    context.font = `600 12px ${colour.font}`;
    const widest = (names) => Math.max(...names.map((name) => context.measureText(name).width));
    s = sizes(width, visible, widest(map.names.map(shown)), widest(map.names.map((name) => abbreviated(shown(name)))));
    const dense = Math.max(1, window.devicePixelRatio || 1);
    canvas.width = Math.round(width * dense);
    canvas.height = Math.round(s.height * dense);
    canvas.style.height = `${s.height}px`;
    context.setTransform(dense, 0, 0, dense, 0, 0);
    picture ??= stamp(map);
    const focused = document.activeElement === canvas || root.getRootNode().activeElement === canvas;
    const marks = { ...hooks.marks(), seen: hover ?? (focused ? focus : null) };
    drawTree(context, map, s, colour, start, visible, marks.chosen);
    drawCells(context, map, picture, s, colour, start, visible);
    drawMarks(context, map, s, colour, start, visible, marks, focused && !hover);
    drawNames(context, map, s, colour, start, visible, marks);
    small.draw(picture, colour, start, visible, marks.chosen);
  });
  /** Bring the chosen species into view, in the middle where it was not. */
  const centre = (always) => {
    const { chosen, alike } = hooks.marks();
    if (chosen >= 0) {
      if (always || chosen < start || chosen >= start + count()) start = centred(chosen, count(), hooks.map().n);
      if (always || focus?.row !== chosen) focus = { row: chosen, column: alike[0] ?? chosen };
    }
    draw();
  };
  const show = () => {
    start = scrolled(scrolled(start, focus.row, count()), focus.column, count());
    start = scrolled(start, focus.row, count());
    hooks.read(focus, true);
    draw();
  };
  const under = (event) => {
    if (!s) return null;
    const at = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - at.left, event.clientY - at.top];
    return cellAt(s, x, y, start, count()) ?? (y > s.top && y < s.top + s.side ? { row: cellAt(s, s.left, y, start, count())?.row } : null);
  };
  canvas.addEventListener("pointermove", (event) => {
    const pair = under(event);
    const next = pair?.column === undefined ? null : pair;
    canvas.style.cursor = pair ? "pointer" : "default";
    if (next?.row === hover?.row && next?.column === hover?.column) return;
    hover = next;
    hooks.read(hover ?? focus, false);
    draw();
  });
  canvas.addEventListener("pointerleave", () => {
    hover = null;
    hooks.read(focus, false);
    draw();
  });
  canvas.addEventListener("click", (event) => {
    const pair = under(event);
    if (pair?.row === undefined) return;
    focus = { row: pair.row, column: pair.column ?? pair.row };
    hooks.choose(hooks.map().names[pair.row]);
  });
  canvas.addEventListener("keydown", (event) => {
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
  canvas.addEventListener("focus", () => {
    if (focus) show();
  });
  canvas.addEventListener("blur", draw);
  const watched = new ResizeObserver(draw);
  const themed = new MutationObserver(draw);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  themed.observe(document.body, { attributes: true });
  themed.observe(document.documentElement, { attributes: true });
  dark.addEventListener("change", draw);
  return {
    node: canvas,
    overview: small.node,
    draw,
    centre,
    started: () => watched.observe(canvas.parentElement),
    renew() {
      picture = null;
      focus = null;
      hover = null;
      centre(true);
    },
    focus: () => focus,
    drop() {
      watched.disconnect();
      themed.disconnect();
      dark.removeEventListener("change", draw);
    },
  };
}
