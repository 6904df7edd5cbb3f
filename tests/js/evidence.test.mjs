import assert from "node:assert/strict";
import test from "node:test";
import { coefficients, contrast, keepStrongest, margin, peak, referenceWeights } from "../../finerkit/output/widgets/static/evidence.js";

test("weights of references sum to 1 and favour the strongest rival", () => {
  for (const objective of ["mean", "softmax", "official"]) {
    const weights = referenceWeights([2, 0.5, -1], objective);
    assert.ok(Math.abs(weights.reduce((a, b) => a + b) - 1) < 1e-12);
    if (objective !== "mean") assert.ok(weights[0] > weights[1] && weights[1] > weights[2]);
  }
});

test("softmax does not overflow", () => {
  assert.deepEqual(referenceWeights([1000, 0], "softmax"), [1, 0]);
});

test("references that are switched off have no part", () => {
  const factors = coefficients([9, 1, 2, 3], [true, false, true], 0.6, "mean");
  assert.deepEqual(Array.from(factors), [1, -0.3, 0, -0.3]);
});

test("contrast is evidence of the target less the strength times that of the references", () => {
  const evidence = new Float32Array([1, 2, 3, 4, 10, 20, 30, 40]); // two classes, four cells
  assert.deepEqual(Array.from(contrast(evidence, new Float64Array([1, -0.1]))), [0, 0, 0, 0]);
  assert.deepEqual(Array.from(contrast(evidence, new Float64Array([1, 0]))), [1, 2, 3, 4]);
});

test("the cells of an additive contrast at strength 1 add up to the margin", () => {
  const evidence = new Float32Array([1, 2, -1, 0.5, 0.25, 0.5, 1, 1, -2]);
  const logits = [0, 1, 2].map((c) => evidence.slice(3 * c, 3 * c + 3).reduce((a, b) => a + b));
  const map = contrast(evidence, coefficients(logits, [true, true], 1, "mean"));
  assert.ok(Math.abs(map.reduce((a, b) => a + b) - margin(logits, [true, true], "mean")) < 1e-6);
});

test("the threshold keeps the fewest cells; ties go by position", () => {
  const map = () => new Float32Array([1, 4, -9, 1, 2]);
  assert.deepEqual(Array.from(keepStrongest(map(), 0.5, false)), [0, 4, 0, 0, 0]);
  assert.deepEqual(Array.from(keepStrongest(map(), 0.8, false)), [1, 4, 0, 0, 2]);
  assert.deepEqual(Array.from(keepStrongest(map(), 0.5, true)), [0, 0, -9, 0, 0]);
  assert.deepEqual(Array.from(keepStrongest(map(), 1, false)), [1, 4, -9, 1, 2]);
});

test("the peak of what could not be explained is 0", () => {
  assert.equal(peak(new Float32Array([NaN, NaN]), false), 0);
  assert.equal(peak(new Float32Array([-3, 1]), false), 1);
  assert.equal(peak(new Float32Array([-3, 1]), true), 3);
});
