"""From JPEG files to a study on disk: photos per second, against bare decoding and the bare forward pass.

Usage: python benchmarks/throughput.py [--photos 384] [--rounds 3] [--out FILE]
Photos are rendered butterflies of 1,600 x 1,200 pixels. All ways take their turn in every round, at the same batch
size, type and number of threads; ratios are medians over rounds.

Two networks. "on the CPU": the embedded one, which decoding takes cores from, so that the best there is is the sum of
what both need of the processor, spread over its cores ("shared cores"). "beside the CPU": one that sleeps for as long
as it takes, as a GPU does from the processor's point of view, so that decoding, computing and writing can overlap.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from machine import machine
from PIL import Image
from torch import nn

import finerkit as fk
from finerkit.analysis import analyze as pipeline
from finerkit.photos.decode import load_image

SIZE = (1600, 1200)


class Asleep(nn.Module):
    """Features of the embedded network's shape from one device that takes so many seconds a photo, one at a time."""

    def __init__(self, seconds: float, device: threading.Lock | None = None) -> None:
        super().__init__()
        self.seconds, self.device, self.out = seconds, device or threading.Lock(), nn.Identity()
        self.register_buffer("found", torch.randn(1, 1280, 14, 14))

    def __deepcopy__(self, memo):
        return Asleep(self.seconds, self.device)  # another thread's way to the same device

    def forward(self, x):
        with self.device:
            time.sleep(self.seconds * len(x))
        return self.out(self.found * x[:, :1, :1, :1])  # every photo's own


def photos(folder: Path, count: int) -> Path:
    """Of two species, every file another one: the embedded sample's photos, enlarged, with noise as cameras make it."""
    sample = sorted((Path(__file__).parents[1] / "data" / "mimics").rglob("*.jpg"))
    rng = np.random.default_rng(0)
    for i in range(count):
        place = folder / f"species {i % 2}" / f"{i:06}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.asarray(Image.open(sample[i % len(sample)]).resize(SIZE), np.int16)
        noise = rng.integers(-6, 7, pixels.shape, np.int16)
        Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(place, quality=90)
    return folder


class Clock:
    """Seconds by the wall and of all cores."""

    def __init__(self) -> None:
        self.wall, self.cores = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        return {"wall": time.perf_counter() - self.wall, "cores": time.process_time() - self.cores}


def decode(paths, model) -> dict[str, float]:
    """Every photo to network input, by as many threads as the pipeline has."""
    clock = Clock()
    with ThreadPoolExecutor(max(2, os.cpu_count())) as pool:
        need = model.preprocess.image_size
        deque(pool.map(lambda p: model.preprocess.pixels(load_image(p, need=need)), paths), maxlen=0)
    return clock.read()


def forward(count: int, pixels, model) -> dict[str, float]:
    """The network over as many photos, its features fetched from where it runs."""
    clock = Clock()
    for i in range(0, count, model.batch_size):
        at = np.arange(i, min(i + model.batch_size, count)) % len(pixels)
        model.features(pixels[at])
    return clock.read()


def whole(images, model, keep: bool) -> dict[str, float]:
    """`analyze`, whose parts are told apart: all of it, and until the features are on disk."""
    parts = {}
    embed = pipeline.embed

    def timed(*arguments):
        clock = Clock()
        embed(*arguments)
        parts["features on disk"] = clock.read()

    pipeline.embed = timed
    try:
        with tempfile.TemporaryDirectory() as folder:
            clock = Clock()
            fk.analyze(images, model, Path(folder, "study.zarr"), keep_features=keep, progress=False)
            parts["study on disk"] = clock.read()
    finally:
        pipeline.embed = embed
    return parts


def measure(images, model, rounds: int, say) -> dict[str, object]:
    paths = list(images.path.values)
    pixels = np.stack([model.preprocess.pixels(load_image(p, need=448)) for p in paths[: 4 * model.batch_size]])
    found: dict[str, list[dict]] = {}
    for turn in range(rounds + 1):
        ways = {"decode": decode(paths, model), "forward": forward(len(paths), pixels, model)}
        for kind, keep in (("", False), (", maps kept", True)):
            ways |= {name + kind: clock for name, clock in whole(images, model, keep).items()}
        if turn:  # the first turn warms up
            for name, clock in ways.items():
                found.setdefault(name, []).append(clock)
        say(f"{model.name}: round {turn} of {rounds}")

    def median(of) -> float:
        return round(statistics.median(map(of, range(rounds))), 3)

    def slower(i: int) -> float:
        return max(found["decode"][i]["wall"], found["forward"][i]["wall"])

    def shared(i: int) -> float:
        cores = found["decode"][i]["cores"] + found["forward"][i]["cores"]
        return max(slower(i), cores / os.cpu_count())

    whole_ways = [name for name in found if name not in ("decode", "forward")]
    return {
        "photos per second": {n: round(len(paths) / median(lambda i, n=n: found[n][i]["wall"]), 1) for n in found},
        "seconds of all cores": {n: median(lambda i, n=n: found[n][i]["cores"]) for n in found},
        "to the slower of decoding and forward": {
            n: median(lambda i, n=n: slower(i) / found[n][i]["wall"]) for n in whole_ways
        },
        "to what shared cores allow": {n: median(lambda i, n=n: shared(i) / found[n][i]["wall"]) for n in whole_ways},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    embedded = fk.load_model(device="cpu")
    result: dict[str, object] = {"machine": machine(), "photos": options.photos, "pixels": list(SIZE)}
    with tempfile.TemporaryDirectory() as folder:
        images = fk.read_images(photos(Path(folder), options.photos), progress=False)
        result["on the CPU"] = measure(images, embedded, options.rounds, print)
        rate = result["on the CPU"]["photos per second"]["decode"]
        for kind, seconds in (("beside the CPU, as quick as decoding", 1 / rate), ("half as quick", 2 / rate)):
            asleep = fk.load_model(Asleep(seconds), 448, "cpu", split=fk.Split("out"))
            result[kind] = measure(images, asleep, options.rounds, print)
    print(json.dumps(result, indent=2))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
