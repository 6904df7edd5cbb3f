"""Photos per second of decoding, forward passes, the whole pipeline and grad-cam's FinerCAM, on the device there is.

Usage: python benchmarks/gpu.py [--photos 2000] [--model efficientnet-lite0] [--out FILE]
Photos are the drawn ones of data/mimics, JPEG files of 512 pixels. With a GPU: float32, float16 and compiled. Without a
GPU it runs all the same, on fewer photos.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from machine import machine
from sweep import STRENGTHS, grad_cam

import finerkit as fk
from finerkit.photos.decode import load_image


def linked(folder: Path, count: int) -> Path:
    """`count` photos of two species, as links to the embedded sample."""
    sample = sorted((Path(__file__).parents[1] / "data" / "mimics").rglob("*.jpg"))
    for i in range(count):
        place = folder / f"species {i % 2}" / f"{i:06}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(sample[i % len(sample)])
    return folder


def rate(count: int, work) -> float:
    """Photos per second; a GPU is warmed up first."""
    if torch.cuda.is_available():
        work()
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return round(count / (time.perf_counter() - start), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=2000 if torch.cuda.is_available() else 64)
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    random = {"pretrained": options.model == "efficientnet-lite0"}
    model = fk.load_model(options.model, options.image_size, **random)
    result: dict[str, object] = {"machine": machine(), "model": repr(model), "photos": options.photos, "per second": {}}
    rates = result["per second"]
    with tempfile.TemporaryDirectory() as folder:
        images = fk.read_images(linked(Path(folder, "photos"), options.photos), progress=False)
        paths = list(images.path.values)

        def decode():
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return list(pool.map(lambda p: model.preprocess.pixels(load_image(p, need=448)), paths))

        rates["decode"] = rate(len(paths), decode)
        pixels = np.stack(decode()[: 4 * model.batch_size])
        kinds = {"float32": {}}
        if torch.cuda.is_available():
            kinds |= {
                "float16": {"precision": "float16"},
                "float16, compiled": {"precision": "float16", "compiled": True},
            }
        for kind, made in kinds.items():
            one = fk.load_model(options.model, options.image_size, **random, **made)

            def forward(one=one):
                for i in range(0, len(pixels), one.batch_size):
                    one.features(pixels[i : i + one.batch_size])

            rates[f"forward, {kind}"] = rate(len(pixels), forward)
            start = time.perf_counter()
            fk.analyze(images, one, Path(folder, f"{len(rates)}.zarr"), keep_features=False, progress=False)
            rates[f"whole pipeline, {kind}"] = round(len(paths) / (time.perf_counter() - start), 1)
        if options.model == "efficientnet-lite0":
            batch = pixels[:8]
            classes = np.argsort(-model.logits(batch).mean(0))[:4]
            layer = model.layer("bn2")
            rates["grad-cam FinerCAM, 11 strengths"] = rate(
                8, lambda: grad_cam(model, layer, classes, STRENGTHS)(batch)
            )
    print(json.dumps(result, indent=2))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
