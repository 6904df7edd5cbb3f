"""The main job on real photos: a folder of species folders enters; accuracy, look-alikes and cost leave, as JSON.

The cost is a ratio measured in one run, rounds in turn: `analyze`, whole, against decoding every photo to network input
and running the bare network over it, one after the other, at the same batch size, type and number of threads.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from machine import machine

import finerkit as fk
from finerkit.photos.decode import load_image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", help="folder with one folder per species")
    parser.add_argument(
        "--pairs", nargs="*", default=[], metavar="A=B", help="species whose nearest should be the other"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    images = fk.read_images(options.photos, progress=False)
    model = fk.load_model()
    result = {"machine": machine(), "photos": int(images.sizes["image"]), "model": repr(model)}
    result |= cost(images, model, options.rounds)
    with tempfile.TemporaryDirectory() as folder:
        study = fk.analyze(images, model, Path(folder, "study.zarr"), progress=False)
        result["accuracy"] = study["species"].attrs["accuracy"]
        result["nearest"] = {a: nearest(study, a) for pair in options.pairs for a in pair.split("=")}
        result["as_expected"] = all(
            nearest(study, a) == b for pair in options.pairs for a, b in (pair.split("="), pair.split("=")[::-1])
        )
        result["second_question"] = second_question(study, model)
    text = json.dumps(result, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


def cost(images, model, rounds: int) -> dict:
    ratios, seconds = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        pixels = [model.preprocess.pixels(load_image(p, need=448)) for p in images.path.values]
        decoded = time.perf_counter()
        with torch.inference_mode():
            for i in range(0, len(pixels), model.batch_size):
                model.cells(model.input(np.stack(pixels[i : i + model.batch_size])))
        done = time.perf_counter()
        del pixels
        with tempfile.TemporaryDirectory() as folder:
            again = time.perf_counter()
            fk.analyze(images, model, Path(folder, "study.zarr"), progress=False)
            whole = time.perf_counter() - again
        ratios.append(whole / (done - start))
        seconds.append({"decode": decoded - start, "forward": done - decoded, "analyze": whole})
    return {"analyze_to_decode_plus_forward": statistics.median(ratios), "rounds": seconds}


def nearest(study, species: str) -> str:
    return fk.similar_species(study, species, k=1).species.item(0)


def second_question(study, model) -> dict:
    """Forward passes that another target, other references and eleven strengths take, with features kept."""
    passes = 0

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1

    handle = model.module.register_forward_hook(count)
    inner = next(model.module.children()).register_forward_hook(count)
    start = time.perf_counter()
    species = [str(s) for s in study["species"]["species"].values]
    pair = fk.compare(study, species[-1], species[:2], progress=False)
    fk.contrast(pair, np.linspace(0, 2, 11)).compute()
    elapsed = time.perf_counter() - start
    handle.remove()
    inner.remove()
    return {"forward_passes": passes, "seconds": elapsed, "photos": int(pair.sizes["image"])}


if __name__ == "__main__":
    main()
