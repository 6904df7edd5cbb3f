// The map of regions: a canvas of points to hover over, lasso, and walk with the arrow keys.
import { element, keepKeys, nextFrame } from "./dom.js";
import { chosen, fitted, lassoed, marker, nearestPoint, towards } from "./lasso.js";

const REACH = 14; // pixels around a point in which it is meant
const RADIUS = 4.5;
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Build the map. `on.select(regions)`, `on.look(region)` and `on.open(region)` are told what the person does; `words(i)`
 * says what a point is. `show({xy, trait, own, colours, seen, selected, region, version})` draws; numbers are those of
 * regions; points are drawn again where `version` is another.
 */
export function scatter({ label, on, words }) {
  const canvas = element("canvas", { tabindex: 0, role: "application", "aria-label": label, class: "fk-scatter" });
  const live = element("span", { class: "fk-unseen", "aria-live": "polite" });
  const node = element("div", { class: "fk-scatter-frame" }, canvas, live);
  const context = canvas.getContext("2d");
  const layer = element("canvas"); // the points alone, so that a hover or a lasso does not draw thousands again
  let drawn = "";
  let data = null;
  let at = new Float32Array(0);
  let lasso = null;

  const draw = nextFrame(() => {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!data || !width || !height) return;
    const now = [data.version, width, height, ratio].join();
    if (now !== drawn) {
      drawn = now;
      at = fitted(data.xy, width, height);
      canvas.width = layer.width = Math.round(width * ratio);
      canvas.height = layer.height = Math.round(height * ratio);
      const points = layer.getContext("2d");
      points.setTransform(ratio, 0, 0, ratio, 0, 0);
      paintPoints(points, at, data);
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(layer, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const style = getComputedStyle(canvas);
    if (data.region >= 0) ring(context, at, data.region, 9, style.color, 2);
    if (lasso) rope(context, lasso, style.outlineColor);
  });

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const look = (i) => {
    if (i < 0 || i === data.region) return;
    on.look(i);
    live.textContent = words(i);
  };
  const pick = (i) => on.select(data.selected.includes(i) ? data.selected.filter((j) => j !== i) : chosen(data.selected, [i], true));

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    lasso = [place(event)];
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (lasso) {
      lasso.push(place(event));
      draw();
    } else look(nearestPoint(at, ...place(event), REACH, data.seen));
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!lasso) return;
    const rope = lasso;
    lasso = null;
    const [x, y] = rope[0];
    const moved = rope.some(([a, b]) => Math.hypot(a - x, b - y) > 5);
    const add = event.shiftKey || event.ctrlKey || event.metaKey;
    if (moved) on.select(chosen(data.selected, lassoed(at, rope, data.seen), add));
    else {
      const i = nearestPoint(at, x, y, REACH, data.seen);
      look(i);
      if (i >= 0) pick(i);
      else if (!add) on.select([]);
    }
    draw();
  });
  canvas.addEventListener("pointercancel", () => {
    lasso = null;
    draw();
  });
  canvas.addEventListener("dblclick", () => data.region >= 0 && on.open(data.region));
  keepKeys(canvas).addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    const start = () => nearestPoint(at, canvas.clientWidth / 2, canvas.clientHeight / 2, Infinity, data.seen);
    if (step) look(data.region >= 0 && data.seen(data.region) ? towards(at, data.region, step, data.seen) : start());
    else if (event.key === " " && data.region >= 0) {
      pick(data.region);
      live.textContent = data.selected.includes(data.region) ? "taken out of the selection" : "selected";
    } else if (event.key === "Enter" && data.region >= 0) on.open(data.region);
    else return;
    event.preventDefault();
  });

  const watcher = new ResizeObserver(draw);
  watcher.observe(canvas);
  const show = (now) => {
    data = now;
    draw();
  };
  return { node, canvas, show, drop: () => watcher.disconnect() };
}

/** Points: filled for the target's photos, hollow for others; those not selected step back while some are. */
function paintPoints(context, at, { trait, own, colours, seen, selected }) {
  const shapes = colours.map((_, k) => new Path2D(marker(k, RADIUS)));
  const picked = new Set(selected);
  const order = [...trait.keys()].filter(seen).sort((a, b) => picked.has(a) - picked.has(b) || own[a] - own[b]);
  context.lineWidth = 1.3;
  for (const i of order) {
    context.save();
    context.translate(at[2 * i], at[2 * i + 1]);
    context.globalAlpha = picked.size && !picked.has(i) ? 0.3 : 0.85;
    context.fillStyle = context.strokeStyle = colours[trait[i]];
    if (own[i]) context.fill(shapes[trait[i]]);
    else context.stroke(shapes[trait[i]]);
    context.restore();
  }
}

function ring(context, at, i, radius, colour, width) {
  context.beginPath();
  context.arc(at[2 * i], at[2 * i + 1], radius, 0, 2 * Math.PI);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
}

function rope(context, path, colour) {
  context.beginPath();
  path.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.closePath();
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = 1.5;
  context.setLineDash([5, 4]);
  context.stroke();
  context.setLineDash([]);
  context.globalAlpha = 0.12;
  context.fill();
  context.globalAlpha = 1;
}
