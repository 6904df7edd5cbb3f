"""Compare ways of placing small traits on drawn butterflies, and their price (``PYTHONPATH=data``).

Every way contrasts the species that shows a planted trait with its sister, at strength 1, on photos that the species
head has not seen. Precision is the average precision of the map for the trait's mask over the photo's pixels; "hit":
the strongest pixel lies on the trait; "near": within one cell of plain 448 px of it. Cost is CPU time in plain forward
passes of 448 px, measured photo by photo in turn (median of ratios).

"hires" is gradient times activation, cell by cell (HiResCAM, Draelos & Carin 2020), of the margin at an inner layer.
"spread" keeps the plain evidence of every cell and only spreads it over finer cells, in proportion to hires nearby, so
that sums are kept: of the margin, or "by class", before the contrast, which is ``compare(..., detail="fine")``.
"sharpened" adds to the plain map what hires of each class has beyond its own coarse part, so that sums are kept too.
"guided" is a guided filter with the photo. "dense" undoes the last strides by dilation. "crop" explains a half-size
crop around the strongest cell again; "crop ... spread" spreads the plain evidence of each cell by what the crop says
inside the cell (or, for hires, within 1.5 cells), so that sums are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from mimics_generator import PAIRS, draw_mimics
from planted import cells_of, rounded, upsampled
from scipy.ndimage import maximum_filter, uniform_filter

import finerkit as fk
from finerkit.datasets import mask
from finerkit.evidence.fine import fine_evidence
from finerkit.evidence.gradcam import gradcam_evidence
from finerkit.networks.decode_ahead import run_photos
from finerkit.photos.decode import load_image
from finerkit.species.heads import fit_head

COARSE = 14
INNER = "blocks.5.0.bn1"  # the expanded features, after their activation and before the last halving of the grid
LAYERS = ("blocks.2", "blocks.3", "blocks.4.0", "blocks.4", INNER, "blocks.5")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where photos and embeddings are kept; what is there is used again")
    parser.add_argument("--photos", type=int, default=80, help="of each species")
    parser.add_argument("--held-out", type=int, default=24, help="of each species, not used to fit heads")
    parser.add_argument("--explained", type=int, default=10, help="held-out photos of each species to explain")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    images = draw_mimics(options.photos, out=options.folder / f"mimics{options.photos}", progress=False)
    bench = Bench(images, options)
    for number, (row, pair) in enumerate(bench.chosen()):
        bench.explain(row, pair)
        print(f"{number + 1} photos", flush=True)
    text = json.dumps(rounded(bench.result()), indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


class Bench:
    """Networks, heads, and scores by way and pair."""

    def __init__(self, images, options) -> None:
        self.images, self.options = images, options
        self.number = np.array([int(i.rsplit("-", 1)[1][:-4]) for i in images.image.values])
        self.species = images.species.values.astype(str)
        self.models = {size: fk.load_model(image_size=size) for size in (448, 672)}
        self.dense = {stride: fk.load_model(output_stride=stride) for stride in (16, 8)}
        for model in (*self.models.values(), *self.dense.values()):
            model.module.requires_grad_(False)
        self.accuracy, self.heads = {}, {}
        for size in self.models:
            self.fit(size)
        self.scores: dict[str, dict[str, list]] = {}
        self.price: dict[str, list[float]] = {}
        self.sums: list[tuple[float, float]] = []

    def fit(self, size: int) -> None:
        kept = self.options.folder / f"embeddings-{self.options.photos}-{size}.npy"
        if not kept.exists():
            np.save(kept, embeddings(self.images, self.models[size]))
        embedding = np.load(kept)
        train = self.number < self.options.photos - self.options.held_out
        head = self.heads[size] = fit_head(embedding[train], self.species[train])
        guess = head.species[head.logits(embedding[~train]).argmax(1)]
        self.accuracy[size] = np.mean(guess == self.species[~train])

    def chosen(self):
        first = self.options.photos - self.options.explained
        for pair in PAIRS:
            for row in np.flatnonzero((self.species == pair.shows) & (self.number >= first)):
                if mask(self.images, self.images.image.values[row], "trait").any():
                    yield row, pair

    def direction(self, size: int, pair) -> torch.Tensor:
        head = self.heads[size]
        a, b = (list(head.species).index(s) for s in pair.species)
        return torch.as_tensor(head.weight[a] - head.weight[b], dtype=torch.float32)

    def explain(self, row: int, pair) -> None:
        photo = load_image(self.images.path.values[row], need=896)
        truth = mask(self.images, self.images.image.values[row], "trait")
        picture = np.asarray(photo, np.float32) / 255
        maps = self.maps(photo, pair)
        ways = {name: upsampled(cells * cells.size, truth.shape) for name, cells in maps.items() if name[0] != "("}
        plain, hires = ways["plain 448"], ways[f"hires {INNER}"]
        for layer in ("blocks.2", "blocks.4"):
            ways[f"plain x hires {layer}"] = np.maximum(plain, 0) * np.maximum(ways[f"hires {layer}"], 0)
        ways["sqrt(hires blocks.2 x blocks.4)"] = np.sqrt(
            np.maximum(ways["hires blocks.2"], 0) * np.maximum(ways["hires blocks.4"], 0)
        )
        ways["hires + flipped"] = hires + ways["flipped hires"]
        ways["hires + 672 hires"] = hires + ways[f"672 hires {INNER}"]
        start = time.process_time()
        ways["plain, guided 16"] = guided(plain, picture, 16)
        self.price.setdefault("guided filter", []).append((time.process_time() - start) / self.unit)
        ways["plain, guided 32"] = guided(plain, picture, 32)
        ways["plain, superpixels"] = superpixels(plain, picture)
        for radius in (10, 16, 24):
            ways[f"hires, guided {radius}"] = guided(np.maximum(hires, 0), picture, radius)
        ways["hires, superpixels"] = superpixels(np.maximum(hires, 0), picture)
        ways["hires + flipped, guided 16"] = guided(np.maximum(ways["hires + flipped"], 0), picture, 16)
        ways["672 hires, guided 16"] = guided(np.maximum(ways[f"672 hires {INNER}"], 0), picture, 16)
        ways["hires + 672 hires, guided 16"] = guided(np.maximum(ways["hires + 672 hires"], 0), picture, 16)
        coarse = maps["plain 448"]
        for radius in (1.0, 1.5, 2.0):
            spread = spread_over(coarse, maps[f"hires {INNER}"], radius)
            assert abs(spread.sum() - coarse.sum()) < 1e-3 * np.abs(coarse).sum()
            ways[f"spread {radius}"] = upsampled(spread * spread.size, truth.shape)
        ways["spread 1.5 + flipped"] = upsampled(
            784 * spread_over(coarse, maps[f"hires {INNER}"] + maps["flipped hires"], 1.5), truth.shape
        )
        ways["672 spread 1.5"] = upsampled(
            1764 * spread_over(maps["plain 672"], maps[f"672 hires {INNER}"], 1.5), truth.shape
        )
        ways["sharpened 1.5 by class"] = upsampled(784 * maps["(sharpened)"], truth.shape)
        ways["crop half, spread"] = upsampled(784 * crop_spread(coarse, maps, "half", 0.5), truth.shape)
        ways["crop half hires, spread 1.5"] = upsampled(
            3136 * crop_spread(coarse, maps, "half hires", 1.5), truth.shape
        )
        fine = guided(hires, picture, 16)
        ways["spread 1.5, guided 16"] = spread_over(coarse, fine, 1.5)
        ways["spread 2.0, guided 16"] = spread_over(coarse, fine, 2.0)
        for name, inner in (("half", "plain 448"), ("half hires", f"hires {INNER}")):
            for size in (448, 672):
                crop = maps[f"(crop {name} {size})"]
                ways[f"crop {name}, head {size}"] = pasted(ways[inner], crop, maps["(box)"])
        self.sums.append((float(maps[f"hires {INNER}"].sum()), float(coarse.sum())))
        for name, value in ways.items():
            self.score(name, pair.genus, np.maximum(value, 0), truth)

    def maps(self, photo, pair) -> dict[str, np.ndarray]:
        w448, w672 = self.direction(448, pair), self.direction(672, pair)
        pixels = {size: self.models[size].preprocess.pixels(photo)[None] for size in self.models}
        model = self.models[448]
        maps = {}
        self.unit = 1.0
        maps["plain 448"], self.unit = timed(plain_map, model, pixels[448], w448)
        maps["plain 672"], seconds = timed(plain_map, self.models[672], pixels[672], w672)
        self.price.setdefault("plain 672", []).append(seconds / self.unit)
        for stride, dense in self.dense.items():
            maps[f"dense stride {stride}"], seconds = timed(plain_map, dense, pixels[448], w448)
            self.price.setdefault(f"dense stride {stride}", []).append(seconds / self.unit)
        for layer in LAYERS:
            (maps[f"hires {layer}"], average), seconds = timed(hires, model, pixels[448], w448, layer)
            self.price.setdefault(f"hires {layer}", []).append(seconds / self.unit)
            if layer == "blocks.4":
                maps["Grad-CAM blocks.4"] = average
        maps |= self.by_class(pixels[448], pair)
        maps["flipped hires"] = hires(model, pixels[448][:, :, ::-1].copy(), w448, INNER)[0][:, ::-1]
        (maps[f"672 hires {INNER}"], _), seconds = timed(hires, self.models[672], pixels[672], w672, INNER)
        self.price.setdefault(f"672 hires {INNER}", []).append(seconds / self.unit)
        y, x = np.unravel_index(maps["plain 448"].argmax(), maps["plain 448"].shape)
        left, top = (float(np.clip((v + 0.5) / COARSE, 0.25, 0.75) - 0.25) for v in (x, y))
        box = left * photo.width, top * photo.height, (left + 0.5) * photo.width, (top + 0.5) * photo.height
        crop = model.preprocess.pixels(photo.crop(tuple(round(v) for v in box)))[None]
        for size, direction in ((448, w448), (672, w672)):
            maps[f"(crop half {size})"] = plain_map(model, crop, direction)
            maps[f"(crop half hires {size})"] = hires(model, crop, direction, INNER)[0]
        return maps | {"(box)": np.array([left, top])}

    def by_class(self, pixels: np.ndarray, pair) -> dict[str, np.ndarray]:
        head, model = self.heads[448], self.models[448]
        order = sorted(range(len(head.species)), key=lambda k: head.species[k] not in pair.species)
        order[:2] = [list(head.species).index(s) for s in pair.species]
        for references in (3, 1):
            some = order[: 1 + references]
            (fine, _), seconds = timed(fine_evidence, model, pixels, head.weight[some], head.bias[some], INNER)
            name = f"spread 1.5 by class, {references} reference{'s' * (references > 1)}"
            self.price.setdefault(name, []).append(seconds / self.unit)
        both = np.array(order[:2])
        coarse = gradcam_evidence(model, pixels, both, "features", (head.weight, head.bias))[0][0]
        inner = gradcam_evidence(model, pixels, both, INNER, (head.weight, head.bias), pointwise=True)[0][0]
        sharp = [sharpened(c, f, 1.5) for c, f in zip(coarse, inner, strict=True)]
        return {"spread 1.5 by class": fine[0, 0] - fine[0, 1], "(sharpened)": sharp[0] - sharp[1]}

    def score(self, name: str, genus: str, value: np.ndarray, truth: np.ndarray) -> None:
        y, x = np.unravel_index(value.argmax(), value.shape)
        near = maximum_filter(cells_of(truth, (COARSE, COARSE)), 3)
        row = (
            precision(value, truth),
            bool(truth[y, x]),
            bool(near[y * COARSE // len(truth), x * COARSE // truth.shape[1]]),
        )
        self.scores.setdefault(name, {}).setdefault(genus, []).append(row)

    def result(self) -> dict:
        means = {n: {g: np.mean(v, 0) for g, v in by.items()} for n, by in self.scores.items()}
        base = np.mean([v[0] for v in means["plain 448"].values()])
        table = {}
        for name, by in means.items():
            average, hit, near = np.mean(list(by.values()), 0)
            table[name] = {"precision": average, "to_plain": average / base, "hit": hit, "near": near}
            table[name] |= {"by_pair": {g: v[0] for g, v in by.items()}}
        sums = np.array(self.sums)
        return {
            "machine": {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "torch": torch.__version__},
            "photos_explained": sum(len(v) for v in self.scores["plain 448"].values()),
            "accuracy_held_out": {str(k): v for k, v in self.accuracy.items()},
            "cost_to_plain_448": {k: statistics.median(v) for k, v in self.price.items()},
            "correlation_of_sums_hires_plain": np.corrcoef(sums.T)[0, 1],
            "ways": dict(sorted(table.items(), key=lambda item: -item[1]["precision"])),
        }


# --- explaining ---


def embeddings(images, model) -> np.ndarray:
    out = np.full((images.sizes["image"], model.n_features), np.nan, np.float32)
    for rows, pixels, _, _ in run_photos([images.path.values], model.preprocess, model.batch_size):
        out[rows] = model.features(pixels)[1]
    return out


def timed(call, *arguments):
    start = time.process_time()
    value = call(*arguments)
    return value, time.process_time() - start


def plain_map(model, pixels: np.ndarray, direction: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        cells = model.cells(model.input(pixels))[0] @ direction
    return (cells / cells.numel()).numpy()


def hires(model, pixels: np.ndarray, direction: torch.Tensor, layer: str) -> tuple[np.ndarray, np.ndarray]:
    """Gradient times activation of the margin, cell by cell; and with the gradient averaged, as Grad-CAM does."""
    leaf = []

    def cut(output: torch.Tensor) -> torch.Tensor:
        leaf.append(output.detach().requires_grad_())
        return leaf[0].clone()

    with model.hooked(layer, cut), torch.enable_grad():
        margin = model.cells(model.input(pixels)).mean((0, 1, 2)) @ direction
        (gradient,) = torch.autograd.grad(margin, leaf[0])
    activation = leaf[0].detach()
    average = gradient.mean((2, 3), keepdim=True)
    return (activation * gradient)[0].sum(0).numpy(), (activation * average)[0].sum(0).numpy()


# --- refining ---


def spread_over(coarse: np.ndarray, fine: np.ndarray, radius: float) -> np.ndarray:
    """Spread each coarse cell's evidence over fine cells up to `radius` coarse cells away, each sign by its own."""
    reach = [hat(fine.shape[axis], coarse.shape[axis], radius) for axis in (0, 1)]
    out = np.zeros(fine.shape)
    for sign in (1, -1):
        share = np.maximum(sign * fine, 0).astype(np.float64)
        share += 1e-3 * share.mean() + 1e-12  # where there is nothing nearby, evenly
        evidence = np.maximum(sign * coarse, 0) / (reach[0].T @ share @ reach[1])
        out += sign * share * (reach[0] @ evidence @ reach[1].T)
    return out


def hat(fine: int, coarse: int, radius: float) -> np.ndarray:
    """Closeness (fine, coarse) of centres: 1 at the same place, falling linearly to 0 at `radius` coarse cells."""
    places = (np.arange(fine) + 0.5) / fine * coarse
    return np.maximum(1 - np.abs(places[:, None] - (np.arange(coarse) + 0.5)) / radius, 0)


def sharpened(coarse: np.ndarray, fine: np.ndarray, radius: float) -> np.ndarray:
    """The coarse map drawn finely, plus what is finer than it in `fine`, scaled to the same total strength."""
    down, across = (hat(fine.shape[axis], coarse.shape[axis], radius) for axis in (0, 1))
    given = down.T @ np.ones(fine.shape) @ across
    taken = down @ np.ones(coarse.shape) @ across.T

    def draw(cells: np.ndarray) -> np.ndarray:
        return down @ (cells / given) @ across.T

    detail = fine - draw(down.T @ (fine / taken) @ across)
    return draw(coarse) + np.abs(coarse).sum() / np.abs(fine).sum() * detail


def crop_spread(coarse: np.ndarray, maps: dict[str, np.ndarray], name: str, radius: float) -> np.ndarray:
    """Spread the plain evidence by what the half-size crop says; evenly where it does not reach."""
    crop = maps[f"(crop {name} 448)"]
    side = 2 * len(crop)
    left, top = (round(v * side) for v in maps["(box)"])
    covered = np.zeros((side, side))
    covered[top : top + len(crop), left : left + len(crop)] = crop
    inside = np.zeros((side, side), bool)
    inside[top : top + len(crop), left : left + len(crop)] = True
    even = np.kron(coarse, np.ones((side // COARSE,) * 2))  # by the sign of the cell itself, so that it is kept
    return spread_over(coarse, np.where(inside, covered, even), radius)


def pasted(whole: np.ndarray, crop: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Replace what the half-size crop covers, with the same sum of positive evidence."""
    height, width = whole.shape
    left, top = round(corner[0] * width), round(corner[1] * height)
    out = np.maximum(whole, 0)
    place = np.s_[top : top + height // 2, left : left + width // 2]
    inner = np.maximum(upsampled(crop, out[place].shape), 0)
    out[place] = inner * out[place].sum() / max(inner.sum(), 1e-9)
    return out


def guided(value: np.ndarray, picture: np.ndarray, radius: int, smooth: float = 1e-3) -> np.ndarray:
    """Guided filter (He, Sun & Tang 2010): locally a linear function of the picture's colours."""

    def box(a: np.ndarray) -> np.ndarray:
        return uniform_filter(a, (2 * radius + 1,) * 2 + (1,) * (a.ndim - 2))

    value = value.astype(np.float32)
    colour, mean = box(picture), box(value)
    together = box(picture * value[..., None]) - colour * mean[..., None]
    product = picture[..., :, None] * picture[..., None, :]
    variance = box(product) - colour[..., :, None] * colour[..., None, :] + smooth * np.eye(3, dtype=np.float32)
    slope = np.linalg.solve(variance, together[..., None])[..., 0]
    offset = mean - (slope * colour).sum(-1)
    return (box(slope) * picture).sum(-1) + box(offset)


def superpixels(value: np.ndarray, picture: np.ndarray) -> np.ndarray:
    from skimage.segmentation import slic

    label = slic(picture, n_segments=1200, compactness=8, start_label=0)
    return (np.bincount(label.ravel(), value.ravel()) / np.maximum(np.bincount(label.ravel()), 1))[label]


def precision(value: np.ndarray, truth: np.ndarray, levels: int = 1 << 16) -> float:
    """Average precision over pixels, in so many equal steps of the map: as scikit-learn's, many times quicker."""
    step = (value / max(float(value.max()), 1e-12) * (levels - 1)).astype(np.int64)
    hits = np.bincount(step[truth], minlength=levels)[::-1]
    found = hits.cumsum()
    return float(
        (hits * found / np.maximum(np.bincount(step.ravel(), minlength=levels)[::-1].cumsum(), 1)).sum() / found[-1]
    )


if __name__ == "__main__":
    main()
