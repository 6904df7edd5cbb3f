import assert from "node:assert/strict";
import test from "node:test";
import { abbreviated, cellAt, centred, forks, heat, labelled, level, mistakesOf, moved, neighbours, scrolled, sizes } from "../../finerkit/widgets/static/heatmap.js";

test("neighbours come nearest first, ties by rank, without numbers not at all", () => {
  const matrix = [1, 0.5, NaN, 0.9, 0.5];
  assert.deepEqual(neighbours(matrix, 5, 0, 9, [0, 4, 2, 3, 1]), [3, 4, 1]);
  assert.deepEqual(neighbours(matrix, 5, 0, 1, [0, 1, 2, 3, 4]), [3]);
});

test("forks stand between what they join", () => {
  const drawn = forks([[0, 1], [3, 2]], [0.9, 0.2], 3);
  assert.deepEqual(drawn[0], { similarity: 0.9, first: 0, last: 1, firstStem: NaN, lastStem: NaN, leaves: [0, 1], split: 0 });
  assert.deepEqual(drawn[1], { similarity: 0.2, first: 0.5, last: 2, firstStem: 0.9, lastStem: NaN, leaves: [0, 2], split: 1 });
});

test("the view keeps within the species and moves no further than needed", () => {
  assert.equal(centred(50, 10, 100), 46);
  assert.equal(centred(1, 10, 100), 0);
  assert.equal(centred(99, 10, 100), 90);
  assert.equal(scrolled(20, 19, 10), 19);
  assert.equal(scrolled(20, 30, 10), 21);
  assert.equal(scrolled(20, 25, 10), 20);
});

test("a point names its cell", () => {
  const place = { left: 100, top: 4, cell: 10 };
  assert.deepEqual(cellAt(place, 125, 5, 7, 3), { row: 7, column: 9 });
  assert.equal(cellAt(place, 131, 5, 7, 3), null);
  assert.equal(cellAt(place, 99, 5, 7, 3), null);
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
  assert.equal(mistakesOf([[1, 2, 3]])(1, 2), 3);
  assert.equal(mistakesOf([[1, 2, 3]])(2, 1), 0);
});
