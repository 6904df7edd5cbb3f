"""Time, bytes and peak memory against photos, species and cells, on simulated collections.

Usage: python benchmarks/scale.py [--photos 1000 2000] [--species 10 1000] [--sides 7 14 28] [--out FILE]
Each row is measured in a process of its own. The photos are tiny and so is the network (random weights, 1280 features),
so that what is left is the price of keeping a study; a row of `photos` is a study of 10 species.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from machine import machine
from PIL import Image
from torch import nn

import finerkit as fk
from finerkit.analysis import analyze as pipeline
from finerkit.species.predictions import trained, write_tables
from finerkit.store import groups as disk

FEATURES, KINDS, TEMPLATES, PIXELS = 1280, 10, 200, 32


class Tiny(nn.Module):
    """One convolution: cells of `PIXELS` / 4 pixels, whose mean colours are spread over the features."""

    def __init__(self, side: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Conv2d(3, FEATURES, PIXELS // 4, stride=PIXELS // 4)
        self.side = side

    def forward(self, x):
        return self.features(x)


def peak() -> float:
    """Largest resident size of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def tiny(side: int = 4) -> fk.Model:
    return fk.load_model(Tiny(side), side * PIXELS // 4, split=fk.Split("features"))


def photos(folder: Path, count: int) -> Path:
    """Folders of `KINDS` species: JPEGs of colours of their own, each file with other bytes after the picture."""
    rng = np.random.default_rng(0)
    colours = rng.integers(60, 190, (KINDS, 3))
    for kind in range(KINDS):
        place = folder / f"Species {kind}"
        place.mkdir(parents=True)
        templates = []
        for _ in range(TEMPLATES // KINDS):
            noise = rng.normal(colours[kind], 40, (PIXELS, PIXELS, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noise).save(place / "template.jpg")
            templates.append((place / "template.jpg").read_bytes())
        (place / "template.jpg").unlink()
        for i in range(kind, count, KINDS):
            (place / f"{i:06}.jpg").write_bytes(templates[i // KINDS % len(templates)] + i.to_bytes(4, "big"))
    return folder


def size(folder: Path) -> int:
    """Bytes of all files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@contextmanager
def timed(row: dict, name: str):
    start = time.perf_counter()
    yield
    row[name] = round(time.perf_counter() - start, 2)
    row[name.removesuffix(" s") + " peak MB"] = round(peak())


def by_photos(folder: Path, count: int) -> dict:
    """Read, analyse, open, compare and explore a collection of `count` photos; features are not kept."""
    row = {"photos": count, "start MB": round(peak())}
    model = tiny()
    photos(folder / "photos", count)
    with timed(row, "read s"):
        images = fk.read_images(folder / "photos", progress=False)
    store = folder / "study.zarr"
    with timed(row, "analyze s"):
        fk.analyze(images, model, store, keep_features=False, progress=False)
    row["bytes per photo"] = round(size(store) / count)
    row["files"] = sum(file.is_file() for file in store.rglob("*"))
    with timed(row, "open s"):
        study = fk.open_study(store)
    with timed(row, "nothing to do s"):
        fk.analyze(images, model, store, keep_features=False, progress=False)
    with timed(row, "open with xarray s"):
        xr.open_datatree(store, engine="zarr").close()
    with timed(row, "compare s"):
        pair = fk.compare(study, "Species 0", model=model, progress=False)
    row["compared photos"] = pair.sizes["image"]
    with timed(row, "first page s"):
        fk.StrengthExplorer(pair)
    with timed(row, "species explorer s"):
        fk.SpeciesExplorer(study)
    return row | growth(folder, images, model, store)


def growth(folder: Path, images: xr.Dataset, model: fk.Model, store: Path) -> dict:
    """Add 1 % of the photos, and tell what is written before the head is fitted anew from the head itself."""
    row, more = {}, folder / "photos" / "Species 0"
    for i in range(max(1, images.sizes["image"] // 100)):
        (more / f"new {i}.jpg").write_bytes(b"".join([(next(more.glob("*.jpg"))).read_bytes(), str(i).encode()]))
    with timed(row, "read again s"):
        grown = fk.read_images(folder / "photos", progress=False)
    started, before_head = time.perf_counter(), []

    def trained_later(*args: object, **options: object) -> object:
        before_head.append(time.perf_counter() - started)
        return trained(*args, **options)

    pipeline.trained = trained_later
    try:
        with timed(row, "grow by 1 % s"):
            fk.analyze(grown, model, store, keep_features=False, progress=False)
    finally:
        pipeline.trained = trained
    return row | {"of which before the head s": round(before_head[0], 2)}


def simulated(species: int, each: int, features: int) -> tuple[np.ndarray, xr.Dataset]:
    """Embeddings of `each` photos of every species about its own mean, and their ``/images``."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(species, features)).astype(np.float32)
    embedding = np.repeat(centres, each, 0)
    embedding += 1.5 * rng.standard_normal(embedding.shape, np.float32)
    count = len(embedding)
    names = np.array([f"Genus{i // 10:04} species{i:05}" for i in range(species)], object)
    columns = {
        "species": np.repeat(names, each),
        "path": np.array([f"/nowhere/{i}.jpg" for i in range(count)], object),
        "status": np.array(["ok"] * count, object),
        "width": np.full(count, 32),
        "height": np.full(count, 32),
    }
    ids = np.array([f"{i:06}.jpg" for i in range(count)], object)
    return embedding, xr.Dataset({k: ("image", v) for k, v in columns.items()}, {"image": ids})


def by_species(folder: Path, species: int, head: str, each: int, features: int, folds: int) -> dict:
    """Fit, cross-validate, write, and ask a study of simulated embeddings for look-alikes."""
    row = {"species": species, "photos": species * each, "features": features, "head": head, "folds": folds}
    embedding, images = simulated(species, each, features)
    store = folder / "study.zarr"
    row["start MB"] = round(peak())
    disk.commit(store, study_id="simulated", network_id="simulated", head_id="simulated", head=head)
    disk.write_group(store, "images", images)
    disk.write_group(store, "features", images[["image"]])
    shape, types = {"embedding": {"feature": features}}, {"embedding": "float32"}
    disk.make_arrays(store, "features", len(embedding), shape, types).write(0, embedding=embedding)
    with timed(row, "fit and cross-validate s"):
        judged = trained(embedding, images, head, folds=folds)
    with timed(row, "predict and write s"):
        write_tables(store, images, judged, {})
        disk.commit(store, "images", "features", "species", "predictions")
    row["MB of logits"] = round(4 * len(embedding) * species / 2**20)
    del judged, embedding
    study = fk.open_study(store)
    row["accuracy"] = round(study["species"].attrs["accuracy"], 3)
    target = str(study["species"]["species"].values[0])
    for by in ("embedding", "weights", "logits", "confusion"):
        with timed(row, f"look-alikes by {by} s"):
            fk.similar_species(study, target, by)
    with warnings.catch_warnings(), timed(row, "species explorer s"):
        warnings.simplefilter("ignore")
        fk.SpeciesExplorer(study)
    return row


def by_side(folder: Path, side: int, count: int = 500) -> dict:
    """Keep features of `side` x `side` cells, and the evidence of a comparison."""
    row = {"cells a side": side, "photos": count, "start MB": round(peak())}
    model = tiny(side)
    images = fk.read_images(photos(folder / "photos", count), progress=False)
    store = folder / "study.zarr"
    with timed(row, "analyze s"):
        study = fk.analyze(images, model, store, keep_features=True, progress=False)
    row["bytes per photo"] = round(size(store) / count)
    before = size(store)
    with timed(row, "compare s"):
        pair = fk.compare(study, "Species 0", images="all", progress=False)
    row["bytes of evidence per photo"] = round((size(store) - before) / pair.sizes["image"])
    return row


def alone(*arguments: object) -> dict:
    """A row, measured in a process of its own."""
    command = [sys.executable, __file__, "--row", *map(str, arguments)]
    print(*arguments, file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout, file=sys.stderr, flush=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure_row(kind: str, *arguments: str) -> dict:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if kind == "photos":
            return by_photos(place, int(arguments[0]))
        if kind == "species":
            species, head, each, features, folds = arguments
            return by_species(place, int(species), head, int(each), int(features), int(folds))
        return by_side(place, int(arguments[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, nargs="*", default=[1000, 2000, 10_000, 100_000])
    parser.add_argument("--species", type=int, nargs="*", default=[10, 1000, 10_000])
    parser.add_argument("--sides", type=int, nargs="*", default=[7, 14, 28])
    parser.add_argument("--heads", nargs="*", default=["nearest_mean", "linear"])
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--row", nargs="+", help="what one row measures, used by this script itself")
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure_row(*options.row)))
        return
    result = {"machine": machine()}
    if options.out and options.out.exists():  # parts that are not measured now stay
        result = json.loads(options.out.read_text(encoding="utf-8")) | result
    parts = {
        "photos": [(n,) for n in options.photos],
        "species": [
            (n, head, 5 if n > 1000 else 20, options.features, options.folds)
            for n in options.species
            for head in options.heads
        ],
        "sides": [(n,) for n in options.sides],
    }
    for kind, rows in parts.items():
        if rows:
            result[kind] = [alone(kind, *row) for row in rows]
            if options.out:
                options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
