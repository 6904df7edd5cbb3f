import assert from "node:assert/strict";
import test from "node:test";
import { about, confused, numbersOf, pairWords } from "../../finerkit/output/widgets/static/species.js";
import { unpackMap } from "../../finerkit/output/widgets/static/speciesmap.js";

const sent = {
  species: ["Alba una", "Alba duo", "Nemo visus", "Rara avis"], photos: [4, 5, 0, 1], judged: [4, 4, 0, 0], right: [3, 4, 0, 0],
  mistakes: [[0, 1, 1]], cross_validated: true,
};
const numbers = numbersOf(sent);
const matrix = (values) => new DataView(new Float32Array(values).buffer);
const map = unpackMap({ order: [1, 0], branches: matrix([0, NaN, 0, 0.5, 1, 0.5, 1, NaN]), matrix: matrix([1, 0.5, NaN, 1]), low: 0.5, high: 0.5, table: null }, sent);

test("numbers in words, with and without photos and tests", () => {
  assert.equal(about("Alba una", numbers), "3 of 4 photos (75 %) recognised");
  assert.equal(about("Alba duo", numbers), "5 photos; 4 of 4 photos (100 %) recognised");
  assert.equal(about("Nemo visus", numbers), "no photos");
  assert.equal(about("Rara avis", numbers), "1 photo, none put to the test");
  assert.equal(confused("Alba una", "Alba duo", numbers), "1 of 4 photos of A. una taken for A. duo; 0 of 4 photos of A. duo taken for A. una");
  assert.equal(confused("Alba duo", "Nemo visus", numbers), "never taken for each other");
  assert.equal(confused("Rara avis", "Nemo visus", numbers), "neither put to the test");
});

test("the map goes by the tree's order", () => {
  assert.deepEqual(map.names, ["Alba duo", "Alba una"]);
  assert.equal(map.place("Alba una"), 1);
  assert.equal(map.place("Nemo visus"), -1);
  assert.deepEqual(map.branches, [[[0, NaN], [0, 0.5], [1, 0.5], [1, NaN]]]);
  assert.ok(map.isWhole);
  assert.deepEqual(map.alike(0, 5), [1]);
  assert.match(pairWords(map, { row: 0, column: 1 }, numbers), /^Alba duo and Alba una: similarity 0\.50; 0 of 4 .* 1 of 4 /);
  assert.match(pairWords(map, { row: 1, column: 0 }, numbers), /no number/);
  assert.equal(pairWords(map, { row: 1, column: 1 }, numbers), "Alba una: 3 of 4 photos (75 %) recognised.");
});

test("of very many species only the chosen one's row travels", () => {
  const row = unpackMap({ order: [3, 1, 0], matrix: matrix([NaN, 0.9, 0.2]), low: 0.2, high: 0.9, table: null }, sent);
  assert.ok(!row.isWhole);
  assert.deepEqual(row.alike(0, 5), [1, 2]);
  assert.deepEqual(row.alike(1, 5), []);
  assert.deepEqual(row.branches, []);
});
