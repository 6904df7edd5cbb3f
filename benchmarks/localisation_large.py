"""Compare larger input and second looks at crops for placing small traits finely (``PYTHONPATH=data``).

A smaller sample than `localisation.py` (some pairs, heads of their species alone), since 896 px costs four times 448 px
or more. Ways and scores are as there: the trait's species against its sister at strength 1, on photos that the heads
have not seen; precision is the average precision over pixels; "near" is within one cell of plain 448 px. Every way but
"hires" keeps the evidence adding up to the logit. "by class" is ``compare(..., detail="fine")``. "crop" explains the
photo, then the half-size crop around the strongest cell (or two crops, around the next strongest cell outside of the
first as well), and spreads each plain cell's evidence by what the crop says inside the cell, or within 1.5 cells.
The price of "hires" ways is an upper bound: unlike the package, they keep a graph from the photo on (see `hires`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from pathlib import Path

import numpy as np
import torch
from localisation import COARSE, INNER, embeddings, hires, plain_map, precision, spread_over, timed
from mimics_generator import PAIRS, draw_mimics
from planted import cells_of, rounded, upsampled
from scipy.ndimage import maximum_filter

import finerkit as fk
from finerkit.datasets import mask
from finerkit.evidence.fine import fine_evidence
from finerkit.photos.decode import load_image
from finerkit.species.heads import fit_head

SIZES = (448, 672, 896)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where photos and embeddings are kept; what is there is used again")
    parser.add_argument("--pairs", nargs="+", default=["Velanthis", "Ruvessa"], help="genera")
    parser.add_argument("--photos", type=int, default=80, help="of each species, in the folder")
    parser.add_argument("--train", type=int, default=40, help="of each species, to fit heads")
    parser.add_argument("--explained", type=int, default=12, help="of each species, the last ones")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    images = draw_mimics(options.photos, out=options.folder / f"mimics{options.photos}", progress=False)
    pairs = [p for p in PAIRS if p.genus in options.pairs]
    images = images.isel(image=np.isin(images.species.values.astype(str), [s for p in pairs for s in p.species]))
    bench = Bench(images, options)
    for pair in pairs:
        for row in bench.rows(pair.shows):
            bench.explain(row, pair)
    text = json.dumps(rounded(bench.result()), indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


class Bench:
    """Networks at every size, heads, scores by way and pair, prices in plain forward passes of 448 px (CPU time)."""

    def __init__(self, images, options) -> None:
        self.images, self.options = images, options
        self.number = np.array([int(i.rsplit("-", 1)[1][:-4]) for i in images.image.values])
        self.species = images.species.values.astype(str)
        self.models = {size: fk.load_model(image_size=size) for size in SIZES}
        self.heads = {size: self.fit(size) for size in SIZES}
        self.scores: dict[str, dict[str, list]] = {}
        self.price: dict[str, list[float]] = {}

    def fit(self, size: int):
        train = np.flatnonzero(self.number < self.options.train)
        kept = self.options.folder / f"embeddings-{'-'.join(self.options.pairs)}-{self.options.train}-{size}.npy"
        if not kept.exists():
            np.save(kept, embeddings(self.images.isel(image=train), self.models[size]))
        return fit_head(np.load(kept), self.species[train])

    def rows(self, species: str) -> list[int]:
        late = np.flatnonzero((self.species == species) & (self.number >= self.options.photos - self.options.explained))
        return [int(r) for r in late if mask(self.images, self.images.image.values[r], "trait").any()]

    def explain(self, row: int, pair) -> None:
        photo = load_image(self.images.path.values[row], need=max(SIZES))
        truth = mask(self.images, self.images.image.values[row], "trait")
        maps, spent = {}, {}
        for size in SIZES:
            self.at_size(size, photo, pair, maps, spent)
        self.second_look(photo, pair, maps, spent)
        for name, cells in maps.items():
            self.score(name, pair.genus, np.maximum(upsampled(cells * cells.size, truth.shape), 0), truth)
        for name, seconds in spent.items():
            self.price.setdefault(name, []).append(seconds / spent["plain 448"])

    def weights(self, size: int, pair) -> tuple[np.ndarray, torch.Tensor]:
        head = self.heads[size]
        weight = head.weight[[list(head.species).index(s) for s in pair.species]]
        return weight, torch.as_tensor(weight[0] - weight[1], dtype=torch.float32)

    def at_size(self, size: int, photo, pair, maps: dict, spent: dict) -> None:
        weight, direction = self.weights(size, pair)
        model = self.models[size]
        pixels = model.preprocess.pixels(photo)[None]
        maps[f"plain {size}"], spent[f"plain {size}"] = timed(plain_map, model, pixels, direction)
        (maps[f"hires {size}"], _), spent[f"hires {size}"] = timed(hires, model, pixels, direction, INNER)
        name = f"spread 1.5 by class {size}"
        (fine, _), spent[name] = timed(fine_evidence, model, pixels, weight, np.zeros(2), INNER)
        maps[name] = fine[0, 0] - fine[0, 1]

    def second_look(self, photo, pair, maps: dict, spent: dict) -> None:
        _, direction = self.weights(448, pair)
        model, coarse = self.models[448], maps["plain 448"]
        corners = strongest_boxes(coarse, 2)
        for kind, call in (("plain", plain_map), ("hires", lambda *a: hires(*a, INNER)[0])):
            crops, seconds = [], []
            for left, top in corners:
                box = [v / COARSE * s for v, s in zip((left, top, left + 7, top + 7), 2 * photo.size, strict=True)]
                crop = model.preprocess.pixels(photo.crop(tuple(round(v) for v in box)))[None]
                cells, spent_here = timed(call, model, crop, direction)
                crops.append(cells)
                seconds.append(spent_here)
            for count in (1, 2):
                guide = patched(coarse, crops[:count], corners[:count])
                for words, radius in (("inside the cell", 0.5), ("1.5", 1.5)):
                    name = f"{count} {kind} crop{'s' * (count > 1)} 448, spread {words}"
                    maps[name] = spread_over(coarse, guide, radius)
                    spent[name] = spent["plain 448"] + sum(seconds[:count])
                    assert abs(maps[name].sum() - coarse.sum()) < 1e-3 * np.abs(coarse).sum()

    def score(self, name: str, genus: str, value: np.ndarray, truth: np.ndarray) -> None:
        y, x = np.unravel_index(value.argmax(), value.shape)
        near = maximum_filter(cells_of(truth, (COARSE, COARSE)), 3)
        hit = bool(truth[y, x]), bool(near[y * COARSE // len(truth), x * COARSE // truth.shape[1]])
        self.scores.setdefault(name, {}).setdefault(genus, []).append((precision(value, truth), *hit))

    def result(self) -> dict:
        means = {n: {g: np.mean(v, 0) for g, v in by.items()} for n, by in self.scores.items()}
        base = np.mean([v[0] for v in means["plain 448"].values()])
        table = {}
        for name, by in means.items():
            average, hit, near = np.mean(list(by.values()), 0)
            cost = statistics.median(self.price[name])
            table[name] = {"precision": average, "to_plain": average / base, "cost": cost, "hit": hit, "near": near}
            table[name] |= {"by_pair": {g: v[0] for g, v in by.items()}}
        return {
            "machine": {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "torch": torch.__version__},
            "photos_explained": {g: len(v) for g, v in self.scores["plain 448"].items()},
            "photos_fitted_per_species": self.options.train,
            "ways": dict(sorted(table.items(), key=lambda item: -item[1]["precision"])),
        }


def strongest_boxes(coarse: np.ndarray, count: int) -> list[tuple[int, int]]:
    """Left and top cell of half-size boxes around the strongest cell, then the strongest outside of the first box."""
    left_over, corners = coarse.copy(), []
    for _ in range(count):
        y, x = np.unravel_index(left_over.argmax(), left_over.shape)
        left, top = (int(np.clip(v - 3, 0, COARSE - 7)) for v in (x, y))
        left_over[top : top + 7, left : left + 7] = -np.inf
        corners.append((left, top))
    return corners


def patched(coarse: np.ndarray, crops: list[np.ndarray], corners: list[tuple[int, int]]) -> np.ndarray:
    """What the crops say, the first on top, on the grid that they share; the plain map where none reaches."""
    step = len(crops[0]) // 7
    out = np.kron(coarse, np.ones((step, step))) / step**2
    for crop, (left, top) in list(zip(crops, corners, strict=True))[::-1]:
        out[step * top : step * (top + 7), step * left : step * (left + 7)] = crop
    return out


if __name__ == "__main__":
    main()
