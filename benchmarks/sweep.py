"""A sweep of comparison strengths, three references, batch 8: ours, grad-cam, torchcam and one plain forward pass.

Usage: python benchmarks/sweep.py [--rounds 5] [--out FILE]
Every ratio is the median over rounds in which all ways take their turn, on the same photos, weights and threads. The
quick ways (the pass and our sweeps) take `TURNS` turns a round after one that warms up: the peers, which run for many
seconds, leave the caches to whoever is next.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torchcam.methods
import xarray as xr
from machine import machine
from pytorch_grad_cam import FinerCAM, GradCAM
from pytorch_grad_cam.utils.model_targets import FinerWeightedTarget
from torch import nn

import finerkit as fk
from finerkit.base.roles import species_coords
from finerkit.evidence.contrast import cam_evidence
from finerkit.evidence.gradcam import default_layer, gradcam_evidence

BATCH, SEED = 8, 0
STRENGTHS = np.linspace(0, 2, 11)
TURNS = 5


class Spatial(nn.Module):
    """A norm whose patch tokens pass through ``map`` as (batch, channel, y, x), which the peers' hooks need."""

    def __init__(self, norm: nn.Module, prefix: int) -> None:
        super().__init__()
        self.norm, self.prefix, self.map = norm, prefix, nn.Identity()

    def forward(self, tokens):
        tokens = self.norm(tokens)
        side = int((tokens.shape[1] - self.prefix) ** 0.5)
        patches = self.map(tokens[:, self.prefix :].unflatten(1, (side, side)).movedim(-1, 1))
        return torch.cat([tokens[:, : self.prefix], patches.movedim(1, -1).flatten(1, 2)], 1)


def pair_of(evidence: np.ndarray, logit: np.ndarray) -> xr.Dataset:
    names = ["target", "a", "b", "c"]
    return xr.Dataset(
        {"evidence": (("image", "species", "y", "x"), evidence), "logit": (("image", "species"), logit)},
        {"image": [str(i) for i in range(len(logit))], **species_coords(names[0], names[1:])},
    )


def vit():
    """ViT-S/14 with random weights and a class token read-out, at 224 pixels; its layer for us and for the peers."""
    model = fk.load_model("vit_small_patch14_dinov2", 224, pretrained=False)
    torch.manual_seed(SEED)
    model.module.reset_classifier(1000)
    block = model.module.blocks[-1]
    block.norm1 = Spatial(block.norm1, model.split.prefix_tokens or 1)
    return model, default_layer(model), block.norm1.map


def cnn():
    """The embedded network at 448 pixels, its own classes; the pooled features are the layer."""
    model = fk.load_model()
    return model, "closed form", model.layer(model.split.features if isinstance(model.split.features, str) else "bn2")


def ours(model, layer: str, classes, strengths):

    def sweep(pixels):
        if layer == "closed form":
            weight, bias = model.own_head
            cells, embedding = model.features(pixels)
            evidence, logit = cam_evidence(cells, weight[classes]), embedding @ weight[classes].T + bias[classes]
        else:
            evidence, logit = gradcam_evidence(model, pixels, classes, layer)
        return fk.contrast(pair_of(evidence, logit), strengths).values

    return sweep


def grad_cam(model, theirs, classes, strengths):
    def sweep(pixels):
        x, maps = model.input(pixels), []
        with FinerCAM(model.module, [theirs], base_method=GradCAM) as cam:
            for strength in strengths:
                target = FinerWeightedTarget(int(classes[0]), [int(c) for c in classes[1:]], float(strength))
                maps.append(cam(x, [target] * len(pixels)))
        return np.stack(maps)

    return sweep


def torch_cam(model, theirs, classes, strengths):
    def sweep(pixels):
        x, maps = model.input(pixels), []
        for strength in strengths:
            base = torchcam.methods.GradCAM
            with torchcam.methods.FinerCAM(model.module, theirs, base_method=base, gamma=float(strength)) as cam:
                scores = model.module(x)
                maps.append(cam(int(classes[0]), scores, [int(c) for c in classes[1:]])[0].detach().numpy())
        return np.stack(maps)

    return sweep


def forward(model):
    """What our sweep cannot do without: the network, once, in the model's own batches."""

    def once(pixels):
        with torch.inference_mode():
            return model.module(model.input(pixels))

    return once


def measure(make, rounds: int, say) -> dict[str, object]:
    model, layer, theirs = make()
    rng = np.random.default_rng(SEED)
    side = model.preprocess.image_size
    pixels = rng.integers(0, 256, (BATCH, side, side, 3), np.uint8)
    classes = np.argsort(-model.logits(pixels).mean(0))[:4]
    ways = {
        "forward": forward(model),
        "finerkit, 11 strengths": ours(model, layer, classes, STRENGTHS),
        "finerkit, 21 strengths": ours(model, layer, classes, np.linspace(0, 2, 21)),
        "grad-cam FinerCAM, 11 strengths": grad_cam(model, theirs, classes, STRENGTHS),
        "torchcam FinerCAM, 11 strengths": torch_cam(model, theirs, classes, STRENGTHS),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    peers = [name for name in ways if "FinerCAM" in name]
    quick = [name for name in ways if name not in peers]

    def timed(name: str) -> float:
        start = time.perf_counter()
        ways[name](pixels)
        return time.perf_counter() - start

    for turn in range(rounds + 1):
        for name in peers:
            seconds[name].append(timed(name))
        for again in range(TURNS + 1):
            for name in quick:
                took = timed(name)
                if again:
                    seconds[name].append(took)
        say(f"{model.name}: round {turn} of {rounds}")
    seconds = {name: took[len(took) // (rounds + 1) :] for name, took in seconds.items()}  # the first round warms up
    mine = seconds["finerkit, 11 strengths"]

    def ratio(name: str) -> float:
        each = mine[:: len(mine) // len(seconds[name])]
        return round(statistics.median(t / m for t, m in zip(seconds[name], each, strict=True)), 3)

    return {
        "network": f"{model.name}, {side} pixels, batch {BATCH}",
        "layer": layer,
        "median seconds": {name: round(statistics.median(t), 4) for name, t in seconds.items()},
        "times faster than grad-cam": ratio("grad-cam FinerCAM, 11 strengths"),
        "times faster than torchcam": ratio("torchcam FinerCAM, 11 strengths"),
        "cost in forward passes": round(1 / ratio("forward"), 3),
        "21 strengths to 11": ratio("finerkit, 21 strengths"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    result = {"machine": machine()}
    for make in (vit, cnn):
        result[make.__name__] = measure(make, options.rounds, lambda text: print(text, file=sys.stderr))
    print(json.dumps(result, indent=2))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
