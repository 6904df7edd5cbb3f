// Points on a plane, and which of them are meant by a hand, a lasso or a key. Pure functions.

const MARKERS = 5;

/**
 * Place points in a frame of `width` x `height` pixels, the same scale on both axes, y upwards. `xy` is flat: x0, y0, x1, …
 * The frame is fitted to all points, so that nothing moves when some are hidden.
 */
export function fitted(xy, width, height, margin = 16) {
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let i = 0; i < xy.length; i += 2) {
    left = Math.min(left, xy[i]);
    right = Math.max(right, xy[i]);
    low = Math.min(low, xy[i + 1]);
    high = Math.max(high, xy[i + 1]);
  }
  const room = (length, span) => Math.max(length - 2 * margin, 1) / Math.max(span, 1e-12);
  const scale = Math.min(room(width, right - left), room(height, high - low));
  const at = new Float32Array(xy.length);
  for (let i = 0; i < xy.length; i += 2) {
    at[i] = width / 2 + (xy[i] - (left + right) / 2) * scale;
    at[i + 1] = height / 2 - (xy[i + 1] - (low + high) / 2) * scale;
  }
  return at;
}

/** Whether a point lies in a polygon, given as [[x, y], …]; the last corner joins the first. Even-odd rule. */
export function inPolygon(polygon, x, y) {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [xi, yi] = polygon[i];
    const [xj, yj] = polygon[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

/** Numbers of the points in a lasso; those that `seen` says no to are left out. */
export function lassoed(at, polygon, seen = () => true) {
  const found = [];
  for (let i = 0; i < at.length / 2; i++) if (seen(i) && inPolygon(polygon, at[2 * i], at[2 * i + 1])) found.push(i);
  return found;
}

/** Number of the point nearest to a place, -1 if none is within `reach` pixels. */
export function nearestPoint(at, x, y, reach, seen = () => true) {
  let best = -1;
  let least = reach * reach;
  for (let i = 0; i < at.length / 2; i++) {
    const d = (at[2 * i] - x) ** 2 + (at[2 * i + 1] - y) ** 2;
    if (d <= least && seen(i)) [best, least] = [i, d];
  }
  return best;
}

/**
 * Number of the next point in a direction ([1, 0] is right, [0, 1] down): the nearest within 45 degrees of it, or, where
 * there is none, the same point. Of points on one spot each is reached: they count as ahead of all with lower numbers.
 */
export function towards(at, from, [dx, dy], seen = () => true) {
  let best = from;
  let least = Infinity;
  for (let i = 0; i < at.length / 2; i++) {
    if (i === from || !seen(i)) continue;
    const x = at[2 * i] - at[2 * from];
    const y = at[2 * i + 1] - at[2 * from + 1];
    const along = x * dx + y * dy;
    const aside = Math.abs(x * dy) + Math.abs(y * dx);
    const same = x === 0 && y === 0;
    if (same ? (dx + dy > 0) !== i > from : along <= 0 || aside > along) continue;
    const far = same ? 0 : along + aside;
    if (far < least) [best, least] = [i, far];
  }
  return best;
}

/** Outline of the marker of trait `k`, as an SVG path around (0, 0): shapes tell traits where colours do not. */
export function marker(k, r) {
  const corners = [
    null,
    [[-1, -1], [1, -1], [1, 1], [-1, 1]],
    [[0, -1.25], [1.15, 0.85], [-1.15, 0.85]],
    [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
    [[0, 1.25], [1.15, -0.85], [-1.15, -0.85]],
  ][k % MARKERS];
  if (!corners) return `M${-r} 0A${r} ${r} 0 1 0 ${r} 0A${r} ${r} 0 1 0 ${-r} 0Z`;
  const s = 0.88 * r;
  return `M${corners.map(([x, y]) => `${+(x * s).toFixed(3)} ${+(y * s).toFixed(3)}`).join("L")}Z`;
}

/** What is selected after a lasso: what it holds, or with `add` that and what was selected. */
export function chosen(before, found, add) {
  return [...new Set(add ? [...before, ...found] : found)].sort((a, b) => a - b);
}

/** How many of the selected points are of each trait: [[trait, count], …], most first. */
export function tally(selected, trait) {
  const counts = new Map();
  for (const i of selected) counts.set(trait[i], (counts.get(trait[i]) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
}
