// A map of similarities: matrix, tree and sizes enter; places, orders and words leave. Nothing here touches the page.

/**
 * The `k` species most similar to the one at `row`, nearest first; those without a number are left out.
 *
 * `matrix` is (n, n), flat; where two are equally similar the one that comes first by `rank` comes first.
 */
export function neighbours(matrix, n, row, k, rank) {
  const others = [];
  for (let j = 0; j < n; j++) if (j !== row && Number.isFinite(matrix[row * n + j])) others.push(j);
  return others.sort((a, b) => matrix[row * n + b] - matrix[row * n + a] || rank[a] - rank[b]).slice(0, k);
}

/**
 * The tree laid out: per merge the similarity where it joins, the places of its two stems and the similarities where
 * these begin (NaN at a leaf), the first and last leaf below it, and the last one of its first stem. As
 * finerkit.similarity_tree.branches.
 */
export function forks(merges, joined, n) {
  const place = Array.from({ length: n }, (_, i) => i);
  const stem = new Array(n).fill(NaN);
  const span = place.map((i) => [i, i]);
  return merges.map(([a, b], i) => {
    const fork = { similarity: joined[i], first: place[a], last: place[b], firstStem: stem[a], lastStem: stem[b], leaves: [span[a][0], span[b][1]], split: span[a][1] };
    place.push((place[a] + place[b]) / 2);
    stem.push(joined[i]);
    span.push(fork.leaves);
    return fork;
  });
}

/** First species in view so that `at` lies in the middle, of `count` in view of `n`. */
export const centred = (at, count, n) => Math.max(0, Math.min(n - count, Math.round(at - (count - 1) / 2)));

/** First species in view, moved no further than needed to show `at`. */
export const scrolled = (start, at, count) => (at < start ? at : at >= start + count ? at - count + 1 : start);

/** Row and column under a point, or null. `place` is {left, top, cell}. */
export function cellAt({ left, top, cell }, x, y, start, count) {
  const row = Math.floor((y - top) / cell);
  const column = Math.floor((x - left) / cell);
  const inside = row >= 0 && row < count && column >= 0 && column < count;
  return inside ? { row: row + start, column: column + start } : null;
}

/** Where a key moves the focus; null for keys that do not move it. */
export function moved(key, { row, column }, n) {
  const to = (r, c) => ({ row: Math.max(0, Math.min(n - 1, r)), column: Math.max(0, Math.min(n - 1, c)) });
  switch (key) {
    case "ArrowUp": return to(row - 1, column);
    case "ArrowDown": return to(row + 1, column);
    case "ArrowLeft": return to(row, column - 1);
    case "ArrowRight": return to(row, column + 1);
    case "PageUp": return to(row - 10, column);
    case "PageDown": return to(row + 10, column);
    case "Home": return to(row, 0);
    case "End": return to(row, n - 1);
    default: return null;
  }
}

/** Which of `count` rows get a label when each needs `least` pixels: those in `first` before all others. */
export function labelled(count, cell, least, first) {
  const taken = [];
  const free = (i) => taken.every((j) => Math.abs(i - j) * cell >= least);
  for (const i of first) if (i >= 0 && i < count && free(i)) taken.push(i);
  for (let i = 0; i < count; i++) if (free(i)) taken.push(i);
  return taken.sort((a, b) => a - b);
}

/** Place of a value in a table of 256 colours. */
export const level = (value, low, high) => (high > low ? Math.max(0, Math.min(255, Math.round((255 * (value - low)) / (high - low)))) : 255);

/** Pixels of the whole map, a pixel per pair; pairs without a number and the diagonal stay transparent. */
export function heat(matrix, n, low, high, table, out) {
  for (let i = 0, o = 0; i < n; i++) {
    for (let j = 0; j < n; j++, o += 4) {
      const value = matrix[i * n + j];
      if (i === j || value !== value) {
        out[o + 3] = 0;
        continue;
      }
      const t = 4 * level(value, low, high);
      for (let c = 0; c < 4; c++) out[o + c] = table[t + c];
    }
  }
  return out;
}

/** Sizes of the drawing, in CSS pixels, for `count` species in view on `width` pixels; `text` and `below` are the widths of the longest names. */
export function sizes(width, count, text, under, { least = 11, most = 46 } = {}) {
  const tree = Math.round(Math.max(36, Math.min(130, 0.17 * width)));
  const labels = Math.round(Math.min(text + 12, 190, 0.34 * width));
  const cell = Math.max(0.5, Math.min(most, (width - tree - labels) / count));
  const below = cell >= least ? Math.round(0.87 * Math.min(88, under) + 18) : 20;
  return { tree, labels, cell, left: tree, top: 4, side: cell * count, height: Math.ceil(4 + cell * count + below), named: cell >= least };
}

/** A name as biologists write it where space is short: "V. marena". */
export const abbreviated = (name) => name.replace(/^(\p{L})\p{L}* (\S+)$/u, "$1. $2");

/** How many photos of species `a` were taken for `b`, from the list of mistakes [a, b, photos]. */
export function mistakesOf(mistakes) {
  const found = new Map(mistakes.map(([a, b, photos]) => [`${a} ${b}`, photos]));
  return (a, b) => found.get(`${a} ${b}`) ?? 0;
}
