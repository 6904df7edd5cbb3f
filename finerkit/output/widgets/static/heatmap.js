// Arithmetic of the map of similarities: orders, places, sizes, colours and words. Nothing here touches the page.

/**
 * The `k` species most similar to the one at `row`, nearest first; those without a number are left out.
 *
 * `matrix` is (rows, n), flat; where two are equally similar the one that comes first by `rank` comes first.
 */
export function neighbours(matrix, n, row, k, rank) {
  const others = [];
  for (let j = 0; j < n; j++) if (j !== row && Number.isFinite(matrix[row * n + j])) others.push(j);
  return others.sort((a, b) => matrix[row * n + b] - matrix[row * n + a] || rank[a] - rank[b]).slice(0, k);
}

/** The way from a leaf to the root of the tree, as [place, similarity] corners; a fork comes after those below it. */
export function pathUp(branches, leaf) {
  let end = [leaf, NaN];
  const path = [end];
  for (const [a, b, c, d] of branches) {
    const stem = [[a, b], [d, c]].find(([point]) => Math.abs(point[0] - end[0]) < 1e-3 && Object.is(point[1], end[1]));
    if (!stem) continue;
    end = [(a[0] + d[0]) / 2, b[1]];
    path.push(stem[1], end);
  }
  return path;
}

/** Row and column under a point, or null. `place` is {left, top, cell}; `n` is how many species there are. */
export function cellAt({ left, top, cell }, x, y, n) {
  const row = Math.floor((y - top) / cell);
  const column = Math.floor((x - left) / cell);
  return row >= 0 && row < n && column >= 0 && column < n ? { row, column } : null;
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

/** Sizes of the drawing, in CSS pixels, for `n` species on `width` pixels; `text` and `under` are the widths of the longest names. */
export function sizes(width, n, text, under, { least = 11, most = 46 } = {}) {
  const tree = Math.round(Math.max(36, Math.min(130, 0.17 * width)));
  const labels = Math.round(Math.min(text + 12, 190, 0.34 * width));
  const cell = Math.max(0.5, Math.min(most, (width - tree - labels) / n));
  const below = cell >= least ? Math.round(0.87 * Math.min(88, under) + 18) : 20;
  return { tree, labels, cell, left: tree, top: 4, side: cell * n, height: Math.ceil(4 + cell * n + below), named: cell >= least };
}

/** A name as biologists write it where space is short: "V. marena". */
export const abbreviated = (name) => name.replace(/^(\p{L})\p{L}* (\S+)$/u, "$1. $2");
