import assert from "node:assert/strict";
import test from "node:test";
import { chosen, fitted, inPolygon, lassoed, marker, nearestPoint, tally, towards } from "../../finerkit/output/widgets/static/lasso.js";

const SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10]];

test("points are placed on one scale, upwards, within the frame", () => {
  const at = fitted(Float32Array.of(0, 0, 4, 0, 4, 2), 120, 90, 10);
  assert.deepEqual([...at], [10, 70, 110, 70, 110, 20]);
  assert.deepEqual([...fitted(Float32Array.of(3, 7), 100, 60)], [50, 30]);
  assert.deepEqual([...fitted(new Float32Array(0), 100, 60)], []);
});

test("a polygon holds what is in it, also when it is not convex", () => {
  assert.ok(inPolygon(SQUARE, 5, 5));
  assert.ok(!inPolygon(SQUARE, 11, 5));
  assert.ok(!inPolygon(SQUARE, 5, -1));
  const u = [[0, 0], [3, 0], [3, 6], [7, 6], [7, 0], [10, 0], [10, 10], [0, 10]];
  assert.ok(!inPolygon(u, 5, 3));
  assert.ok(inPolygon(u, 1, 3));
  assert.ok(inPolygon(u, 5, 8));
});

test("random points: in a triangle by angles and by crossings", () => {
  const [a, b, c] = [[0, 0], [9, 1], [4, 8]];
  const side = ([x, y], [u, v], p, q) => Math.sign((u - x) * (q - y) - (v - y) * (p - x));
  let state = 7;
  const random = () => (state = (state * 16807) % 2147483647) / 2147483647;
  for (let i = 0; i < 500; i++) {
    const [p, q] = [random() * 10, random() * 10];
    const sides = [side(a, b, p, q), side(b, c, p, q), side(c, a, p, q)];
    assert.equal(inPolygon([a, b, c], p, q), sides.every((s) => s > 0));
  }
});

test("a lasso takes the points that are seen", () => {
  const at = Float32Array.of(5, 5, 20, 5, 1, 9);
  assert.deepEqual(lassoed(at, SQUARE), [0, 2]);
  assert.deepEqual(lassoed(at, SQUARE, (i) => i > 0), [2]);
  assert.deepEqual(lassoed(at, [[5, 5]]), []);
});

test("the nearest point within reach is meant", () => {
  const at = Float32Array.of(0, 0, 10, 0, 10, 4);
  assert.equal(nearestPoint(at, 9, 1, 5), 1);
  assert.equal(nearestPoint(at, 9, 1, 5, (i) => i !== 1), 2);
  assert.equal(nearestPoint(at, 50, 50, 5), -1);
});

test("arrow keys reach every point of a cloud", () => {
  let state = 11;
  const random = () => (state = (state * 16807) % 2147483647) / 2147483647;
  const at = Float32Array.from({ length: 120 }, () => Math.round(random() * 40));
  const reached = new Set([0]);
  for (const i of reached) for (const step of [[1, 0], [-1, 0], [0, 1], [0, -1]]) reached.add(towards(at, i, step));
  assert.equal(reached.size, 60);
});

test("arrow keys go the way they point, and stay at the edge", () => {
  const at = Float32Array.of(0, 0, 10, 1, 30, 0, 0, 12);
  assert.equal(towards(at, 0, [1, 0]), 1);
  assert.equal(towards(at, 1, [1, 0]), 2);
  assert.equal(towards(at, 0, [0, 1]), 3);
  assert.equal(towards(at, 2, [1, 0]), 2);
  assert.equal(towards(at, 0, [1, 0], (i) => i !== 1), 2);
});

test("lassos replace or add, and are counted by trait", () => {
  assert.deepEqual(chosen([5, 1], [3, 1], false), [1, 3]);
  assert.deepEqual(chosen([5, 1], [3, 1], true), [1, 3, 5]);
  assert.deepEqual(tally([0, 1, 2, 4], [2, 0, 2, 0, 1]), [[2, 2], [0, 1], [1, 1]]);
});

test("markers of neighbouring traits differ, and are closed", () => {
  const drawn = [0, 1, 2, 3, 4].map((k) => marker(k, 5));
  assert.equal(new Set(drawn).size, 5);
  assert.ok(drawn.every((d) => d.startsWith("M") && d.endsWith("Z")));
  assert.equal(marker(5, 5), drawn[0]);
});
