"""Measure how well maps and traits find what was planted in drawn butterflies: ``PYTHONPATH=data python planted.py``.

Each species of each pair is contrasted with its sister alone. Numbers at cell level are about the cell with the most
evidence at strength 1. A cell is on the trait if the trait covers any of its pixels, near if it touches such a cell.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from mimics_generator import PAIRS, draw_mimics
from scipy.ndimage import maximum_filter
from sklearn.metrics import average_precision_score

import finerkit as fk
from finerkit.datasets import mask

STRENGTHS = (0.0, 0.6, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where photos and studies are kept; what is there is used again")
    parser.add_argument("--photos", type=int, default=80, help="of each species")
    parser.add_argument("--shortcut-photos", type=int, default=40, help="of each species, with a planted shortcut")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    images, study = studied(options.folder, options.photos, shortcut=False)
    result = {"photos_per_species": options.photos, "accuracy": study["species"].attrs["accuracy"], "pairs": {}}
    result["pair_accuracy"] = {p.genus: pair_accuracy(study, p) for p in PAIRS}
    for pair in PAIRS:
        result["pairs"][pair.genus] = {
            "trait": pair.trait,
            "shows": one_side(images, study, pair.shows, pair.lacks),
            "lacks": one_side(images, study, pair.lacks, pair.shows),
        }
    result["mean"] = {side: mean_of([p[side] for p in result["pairs"].values()]) for side in ("shows", "lacks")}
    result["background"] = {"without_shortcut": {p.genus: background(images, study, p) for p in PAIRS}}
    images, study = studied(options.folder, options.shortcut_photos, shortcut=True)
    result["background"]["with_shortcut"] = {p.genus: background(images, study, p) for p in PAIRS}
    result["shortcut"] = {"photos_per_species": options.shortcut_photos} | {
        p.genus: shortcut(images, study, p.shows, p.lacks) for p in PAIRS
    }
    text = json.dumps(rounded(result), indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


def studied(folder: Path, photos: int, *, shortcut: bool):
    name = f"mimics{photos}{'_shortcut' if shortcut else ''}"
    images = draw_mimics(photos, shortcut=shortcut, out=folder / name, progress=False)
    return images, fk.analyze(images, store=folder / f"{name}.zarr", progress=False)


def pair_accuracy(study, pair) -> float:
    predicted = study["predictions"]["predicted"].values.astype(str)
    species = study["images"]["species"].values.astype(str)
    return float(np.mean(predicted[np.isin(species, pair.species)] == species[np.isin(species, pair.species)]))


def one_side(images, study, target: str, reference: str) -> dict:
    pair = fk.compare(study, target, [reference], progress=False)
    maps = fk.contrast(pair, STRENGTHS).compute().values
    ids = [str(i) for i in pair["image"].values]
    truth = {i: mask(images, i, "trait") for i in ids}
    seen = [k for k, i in enumerate(ids) if truth[i].any()]
    grid = maps.shape[-2:]
    on = np.stack([cells_of(truth[i], grid) for i in ids])
    best = maps[:, STRENGTHS.index(1.0)].reshape(len(ids), -1).argmax(1)
    area = np.mean([truth[ids[k]].mean() for k in seen])
    precision = np.array([[pixel_precision(m, truth[ids[k]]) for m in maps[k]] for k in seen]).mean(0)
    signed = fk.contrast(pair, 1.0, relu=False).compute().values.sum((1, 2))
    traits = fk.find_traits(pair, study=study, masks=lambda i: mask(images, i))
    adds_up = np.abs(traits["trait_evidence"].sum("trait") + traits["remainder"] - traits["margin"]).max().item()
    more = traits["evidence_by_species"].sel(species=target) - traits["evidence_by_species"].sel(species=reference)
    top = int(more.values.argmax())  # what the target's photos have more of
    label = traits["label"].sel(image=ids).values
    touched = [np.any((label[k] == top) & on[k]) for k in seen]
    having = [np.any(label[k] == top) for k in seen]
    touched_near = [np.any((label[k] == top) & maximum_filter(on[k], 3)) for k in seen]
    evidence = np.maximum(maps[seen, STRENGTHS.index(1.0)], 0) * (label[seen] == top)
    near = np.stack([maximum_filter(on[k], 3) for k in seen])
    return {
        "photos": len(ids),
        "photos_with_trait_in_view": len(seen),
        "share_of_pixels": area,
        "on_trait": np.mean([on[k].ravel()[best[k]] for k in seen]),
        "near_trait": np.mean([maximum_filter(on[k], 3).ravel()[best[k]] for k in seen]),
        "near_by_chance": np.mean([maximum_filter(on[k], 3).mean() for k in seen]),
        "pixel_precision": dict(zip(map(str, STRENGTHS), precision, strict=True)),
        "precision_to_strength_0": dict(zip(map(str, STRENGTHS), precision / precision[0], strict=True)),
        "mean_margin_in_cells": signed.mean(),
        "n_traits": traits.sizes["trait"],
        "top_trait_share_of_margin": traits["share_of_margin"].values[top],
        "top_trait_found": np.mean(having),
        "top_trait_touches": np.mean(touched),
        "top_trait_touches_within_a_cell": np.mean(touched_near),
        "top_trait_touches_where_found": np.sum(touched) / np.sum(having),
        "top_trait_evidence_within_a_cell": (evidence * near).sum() / evidence.sum(),
        "largest_additivity_error": adds_up,
        "off_animal": traits["off_animal"].values,
        "background_traits": int(traits["background"].sum()),
    }


def shortcut(images, study, target: str, reference: str) -> dict:
    """Whether a shortcut in the background is called background, and what share of the margin is laid on it."""
    pair = fk.compare(study, target, [reference], progress=False)
    traits = fk.find_traits(pair, study=study, masks=lambda i: mask(images, i))
    flagged = traits["background"].values
    return {
        "n_traits": traits.sizes["trait"],
        "flagged": bool(flagged.any()),
        "flagged_share_of_margin": traits["share_of_margin"].values[flagged].sum(),
        "off_animal": traits["off_animal"].values,
        "share_of_margin": traits["share_of_margin"].values,
        "pair_accuracy": pair_accuracy(study, next(p for p in PAIRS if p.shows == target)),
    }


def background(images, study, pair) -> dict:
    """Whether heads that have not seen the photos tell the species apart by what is off the animal."""
    found = fk.test_background(
        fk.compare(study, pair.shows, [pair.lacks], progress=False), lambda i: mask(images, i), study=study
    )
    off = found.sel(place="off_animal")
    numbers = {name: off[name].item() for name in ("difference", "standard_error", "share", "p")}
    return {"flagged": bool(found["background"])} | numbers


def cells_of(truth: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Cells, of a grid over the whole photo, that hold a pixel of the trait."""
    y, x = np.nonzero(truth)
    cells = np.zeros(grid, bool)
    cells[y * grid[0] // truth.shape[0], x * grid[1] // truth.shape[1]] = True
    return cells


def pixel_precision(cells: np.ndarray, truth: np.ndarray) -> float:
    """Average precision of a map for the trait, over the pixels of the photo, between cell centres linearly."""
    return average_precision_score(truth.ravel(), upsampled(cells, truth.shape).ravel())


def upsampled(cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bilinear, held constant beyond the outermost centres."""
    return weights(shape[0], cells.shape[0]) @ cells @ weights(shape[1], cells.shape[1]).T


def weights(pixels: int, cells: int) -> np.ndarray:
    where = np.clip((np.arange(pixels) + 0.5) / pixels * cells - 0.5, 0, cells - 1)
    low = np.minimum(where.astype(int), cells - 2)
    out = np.zeros((pixels, cells), np.float32)
    out[np.arange(pixels), low] = 1 - (where - low)
    out[np.arange(pixels), low + 1] = where - low
    return out


def mean_of(rows: list[dict]) -> dict:
    keys = ("on_trait", "near_trait", "near_by_chance", "top_trait_touches", "top_trait_touches_within_a_cell")
    keys += ("top_trait_touches_where_found", "top_trait_evidence_within_a_cell")
    out = {k: float(np.mean([r[k] for r in rows])) for k in keys}
    precision = {s: float(np.mean([r["pixel_precision"][s] for r in rows])) for s in map(str, STRENGTHS)}
    out["pixel_precision"] = precision
    out["precision_to_strength_0"] = {s: v / precision["0.0"] for s, v in precision.items()}
    out["largest_additivity_error"] = max(r["largest_additivity_error"] for r in rows)
    return out


def rounded(value):
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list | np.ndarray):
        return [rounded(v) for v in value]
    return float(f"{value:.4g}") if isinstance(value, float | np.floating) else value


if __name__ == "__main__":
    main()
