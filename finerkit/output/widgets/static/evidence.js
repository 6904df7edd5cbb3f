// The additive idea in the browser: contrasts of one photo, in logits, from its evidence and logits.
// The same arithmetic as finerkit/evidence.py; tests/test_widget_arithmetic.py holds the two against each other.

/** Weights of the references from their logits; sums to 1. `objective`: "mean", "softmax" or "official". */
export function referenceWeights(logits, objective) {
  const n = logits.length;
  if (objective === "mean") return Array(n).fill(1 / n);
  const largest = Math.max(...logits);
  const powers = logits.map((y) => Math.exp(y - largest));
  const total = powers.reduce((a, b) => a + b, 0);
  const r = powers.map((p) => p / total);
  if (objective === "softmax") return r;
  const mean = r.reduce((sum, w, d) => sum + w * logits[d], 0);
  return r.map((w, d) => w * (1 + logits[d] - mean));
}

/** Factor of each class in the contrast: 1 for the target (first), -strength * weight for active references, else 0. */
export function coefficients(logits, active, strength, objective) {
  const chosen = [];
  active.forEach((on, d) => on && chosen.push(d + 1));
  const weights = referenceWeights(chosen.map((c) => logits[c]), objective);
  const factors = new Float64Array(active.length + 1);
  factors[0] = 1;
  chosen.forEach((c, i) => (factors[c] = -strength * weights[i]));
  return factors;
}

/** Contrast of one photo: `evidence` is (class, cell), flat, in logits; the result is signed, (cell). */
export function contrast(evidence, factors, out = new Float32Array(evidence.length / factors.length)) {
  const cells = out.length;
  out.fill(0);
  for (let c = 0; c < factors.length; c++) {
    const factor = factors[c];
    if (factor === 0) continue;
    for (let p = 0, q = c * cells; p < cells; p++, q++) out[p] += factor * evidence[q];
  }
  return out;
}

/** Mean of the active references subtracted from the target, from logits: how clearly the photo is the target. */
export function margin(logits, active, objective) {
  const factors = coefficients(logits, active, 1, objective);
  return logits.reduce((sum, y, c) => sum + y * factors[c], 0);
}

/**
 * Keep the fewest cells that together hold `share` of the evidence and put the others to 0, in place.
 * Positive evidence counts, or with `signed` its absolute value. Ties are broken by position.
 */
export function keepStrongest(map, share, signed) {
  if (share >= 1) return map;
  const size = (v) => (signed ? Math.abs(v) : Math.max(v, 0)) || 0;
  const order = Array.from(map.keys()).sort((a, b) => size(map[b]) - size(map[a]) || a - b);
  const wanted = share * map.reduce((sum, v) => sum + size(v), 0) * (1 - 1e-9);
  let held = 0;
  for (const p of order) {
    const own = size(map[p]);
    if (held >= wanted || own === 0) map[p] = 0;
    held += own;
  }
  return map;
}

/** Value at full colour of one map: the largest positive cell, or with `signed` the largest absolute one. */
export function peak(map, signed) {
  let top = 0;
  for (const v of map) {
    const size = signed ? Math.abs(v) : v;
    if (size > top) top = size; // NaN, of a photo that could not be explained, never is
  }
  return top;
}
