import assert from "node:assert/strict";
import test from "node:test";
import { doubts, told } from "../../finerkit/output/widgets/static/traits.js";
import { fileOf, percent } from "../../finerkit/output/widgets/static/regions.js";

test("edits are told in words", () => {
  assert.equal(told({ edit: "rename", trait: "trait 1", name: "eye" }), "“trait 1” renamed “eye”");
  assert.equal(told({ edit: "merge", traits: ["a", "b"], name: "c" }), "“a” and “b” merged into “c”");
  assert.equal(told({ edit: "split", traits: ["a"], name: "c", regions: [1, 2] }), "“c” made of 2 regions of “a”");
  assert.equal(told({ edit: "mark_background", trait: "a", background: false }), "“a” marked as no background");
});

test("numbers that are not known are dashes", () => {
  assert.equal(percent(null), "–");
  assert.equal(percent(0.126), "13 %");
  assert.equal(doubts({ off_animal: null, border: 0.5 }), "50 % at the photo's edge");
  assert.equal(doubts({ off_animal: 0.25, border: 0.5 }), "25 % off the animal");
  assert.equal(doubts({ off_animal: null, border: null }), "");
});

test("a photo is named by its file", () => {
  assert.equal(fileOf("Alba una/01.jpg"), "01.jpg");
});
