import assert from "node:assert/strict";
import test from "node:test";
import { abbreviated, cellAt, heat, labelled, level, moved, neighbours, pathUp, sizes } from "../../finerkit/output/widgets/static/heatmap.js";

test("neighbours come nearest first, ties by rank, without numbers not at all", () => {
  const matrix = [1, 0.5, NaN, 0.9, 0.5];
  assert.deepEqual(neighbours(matrix, 5, 0, 9, [0, 4, 2, 3, 1]), [3, 4, 1]);
  assert.deepEqual(neighbours(matrix, 5, 0, 1, [0, 1, 2, 3, 4]), [3]);
});

test("the way up the tree goes from fork to fork", () => {
  const branches = [[[0, NaN], [0, 0.9], [1, 0.9], [1, NaN]], [[2, NaN], [2, 0.5], [3, 0.5], [3, NaN]], [[0.5, 0.9], [0.5, 0.2], [2.5, 0.2], [2.5, 0.5]]];
  assert.deepEqual(pathUp(branches, 1), [[1, NaN], [1, 0.9], [0.5, 0.9], [0.5, 0.2], [1.5, 0.2]]);
  assert.deepEqual(pathUp(branches, 2), [[2, NaN], [2, 0.5], [2.5, 0.5], [2.5, 0.2], [1.5, 0.2]]);
});

test("a point names its cell", () => {
  const place = { left: 100, top: 4, cell: 10 };
  assert.deepEqual(cellAt(place, 125, 5, 3), { row: 0, column: 2 });
  assert.equal(cellAt(place, 131, 5, 3), null);
  assert.equal(cellAt(place, 99, 5, 3), null);
});

test("keys move the focus within the map", () => {
  assert.deepEqual(moved("ArrowUp", { row: 0, column: 2 }, 4), { row: 0, column: 2 });
  assert.deepEqual(moved("ArrowRight", { row: 0, column: 2 }, 4), { row: 0, column: 3 });
  assert.deepEqual(moved("PageDown", { row: 1, column: 2 }, 4), { row: 3, column: 2 });
  assert.equal(moved("Enter", { row: 0, column: 2 }, 4), null);
});

test("labels never overlap, and the important ones are there", () => {
  const rows = labelled(100, 2, 13, [51, 52, 120]);
  assert.ok(rows.includes(51) && !rows.includes(52));
  rows.slice(1).forEach((r, i) => assert.ok((r - rows[i]) * 2 >= 13));
  assert.deepEqual(labelled(3, 20, 13, []), [0, 1, 2]);
});

test("colours run from the least to the most similar; gaps and the diagonal are left out", () => {
  const table = Uint8Array.from({ length: 1024 }, (_, i) => (i % 4 === 3 ? 255 : i >> 2));
  const out = heat([9, 0, 1, 9], 2, 0, 1, table, new Uint8ClampedArray(16));
  assert.deepEqual([...out], [0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 0, 0, 0, 0]);
  assert.equal(heat([9, NaN, 1, 9], 2, 0, 1, table, new Uint8ClampedArray(16))[7], 0);
  assert.equal(level(3, 2, 2), 255);
});

test("cells grow and shrink with the place there is", () => {
  const few = sizes(600, 10, 100, 50);
  assert.ok(few.named && few.tree + few.side + few.labels <= 600);
  const many = sizes(600, 300, 100, 50);
  assert.ok(!many.named && many.cell > 1 && many.tree + many.side + many.labels <= 601);
});

test("words", () => {
  assert.equal(abbreviated("Velanthis marena"), "V. marena");
  assert.equal(abbreviated("Egyptian Mau cat"), "Egyptian Mau cat");
});
