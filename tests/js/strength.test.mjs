import assert from "node:assert/strict";
import test from "node:test";
import { look, placed, unpack } from "../../finerkit/output/widgets/static/strength.js";
import { decoded, standIn } from "../../finerkit/output/widgets/static/mount.js";
import { floats, short } from "../../finerkit/output/widgets/static/dom.js";

const view = (numbers, offset = 0) => {
  const buffer = new ArrayBuffer(offset + 4 * numbers.length);
  new Uint8Array(buffer).set(new Uint8Array(new Float32Array(numbers).buffer), offset);
  return new DataView(buffer, offset);
};

const page = {
  images: ["a", "b"], rows: 1, columns: 2, evidence: view([1, 2, 3, 4, 5, 6, 7, 8], 1), logit: view([3, 7, 11, 15], 1),
  places: [[0, 0, 5, 10], [0, 0, 1, 1]], sizes: [[10, 10], [2, 1]], status: ["ok", "ok"], species: ["A", "A"], photos: [null, null], gone: ["", "photo not found"],
};

test("a page is unpacked photo by photo, wherever its bytes begin", () => {
  const photos = unpack(page);
  assert.deepEqual(Array.from(photos[1].evidence), [5, 6, 7, 8]);
  assert.deepEqual(photos.map((p) => p.logit), [[3, 7], [11, 15]]);
});

test("a photo is seen under the present settings", () => {
  const settings = { active: [true], strength: 1, objective: "mean", share: 1, signed: true, scale: "photo", limit: 9 };
  const seen = look(unpack(page)[0], settings);
  assert.deepEqual(Array.from(seen.map), [-2, -2]);
  assert.equal(seen.top, 2);
  assert.equal(seen.margin, -4);
  assert.equal(look(unpack(page)[0], { ...settings, scale: "common" }).top, 9);
});

test("the grid scales with the picture", () => {
  assert.deepEqual(placed([10, 20, 5, 6], [100, 50], 50, 100), { left: 5, top: 40, cellWidth: 2.5, cellHeight: 12 });
});

test("bytes survive base64 at any depth", () => {
  const base64 = Buffer.from(new Float32Array([1.5, -2]).buffer).toString("base64");
  const state = decoded({ a: [{ base64 }], b: { c: null, d: "base64" } });
  assert.deepEqual(Array.from(floats(state.a[0])), [1.5, -2]);
  assert.deepEqual(state.b, { c: null, d: "base64" });
});

test("the stand-in tells of changes only, and stops when asked", () => {
  const model = standIn({ x: 1 });
  let calls = 0;
  const count = () => calls++;
  model.on("change:x", count);
  model.set("x", 1);
  model.set("x", 2);
  model.off("change:x", count);
  model.set("x", 3);
  assert.equal(calls, 1);
  assert.equal(model.get("x"), 3);
});

test("numbers for people", () => {
  assert.deepEqual([0, -0.001, 1.234, -12.34, 123.4, NaN].map(short), ["0.00", "0.00", "1.23", "−12.3", "123", "–"]);
});
