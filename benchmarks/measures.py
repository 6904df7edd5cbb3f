"""How good the maps are on real photos: a finished study and whole-animal masks enter; scores leave, also as JSON.

For each species, against its three nearest look-alikes: relative drop for each fill and strength, energy and
pointing game in the masks, beside the random and the edge map. The comparisons are kept in the study, as ever.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from PIL import Image

import finerkit as fk
from finerkit.base.roles import references_of
from finerkit.measures import sanity_check, score
from finerkit.measures.fills import FILLS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", help="finished study; photos are found where it says")
    parser.add_argument("masks", type=Path, help="folder with one PNG per image id")
    parser.add_argument("--strength", type=float, nargs="+", default=[0, 0.6, 0.8, 1, 1.5])
    parser.add_argument("--fills", nargs="+", default=list(FILLS), choices=list(FILLS))
    parser.add_argument("--top", type=float, nargs="+", default=[0.05])
    parser.add_argument("--detail", default="cell", choices=("cell", "fine"), help="grid of the maps")
    parser.add_argument("--per-species", type=int, help="so many photos of each, evenly spread")
    parser.add_argument("--curves", action="store_true", help="deletion and insertion too (20 forward passes per map)")
    parser.add_argument("--sanity", action="store_true", help="rank correlation with maps of shuffled weights too")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    study = fk.open_study(options.study)
    model = fk.load_model(study.attrs["model"], study.attrs["image_size"], fit=study.attrs["fit"])
    parts: dict[str, list[xr.Dataset]] = {fill: [] for fill in options.fills}
    checks = []
    for species in study["species"]["species"].values:
        pair = fk.compare(study, str(species), detail=options.detail, model=model, progress=False)
        pair = pair.isel(image=spread(pair.sizes["image"], options.per_species))
        for fill in options.fills:
            parts[fill].append(measure(pair, fill, model, options))
        if options.sanity:
            checks.append(sanity_check(pair, [0, 1], model=model)["rank_correlation"].mean("image"))
        print(species, references_of(pair), flush=True)
    result = {"model": repr(model), "fills": {f: summary(xr.concat(p, "image")) for f, p in parts.items()}}
    if checks:
        mean = xr.concat(checks, "species").mean("species")
        result["rank_correlation"] = {
            str(s): mean.sel(shuffled=s).values.round(3).tolist() for s in mean.shuffled.values
        }
    for fill, found in result["fills"].items():
        print_table(fill, found)
    print({k: v for k, v in result.items() if k != "fills"})
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


def spread(count: int, wanted: int | None) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, wanted or count)).round().astype(int))


def measure(pair: xr.Dataset, fill: str, model: fk.Model, options: argparse.Namespace) -> xr.Dataset:
    def mask(image: str) -> np.ndarray:
        with Image.open((options.masks / image).with_suffix(".png")) as png:
            return np.asarray(png) > 0

    metrics = ["relative_drop", "energy", "pointing", *(["deletion", "insertion"] if options.curves else [])]
    return score(pair, options.strength, metrics, model=model, masks=mask, top=options.top, fill=fill, progress=False)


def summary(scores: xr.Dataset) -> dict:
    drop = scores["relative_drop"]
    found = {
        "photos": int((scores["status"] == "ok").sum()),
        "strength": scores["strength"].values.tolist(),
        "probability": round(float(scores["probability"].mean()), 4),
        "mask_share": round(float(scores["mask_share"].mean()), 4),
    }
    for t in scores["top"].values:
        own = drop.sel(map_kind="contrast", top=t)
        mean = own.mean("image")
        error = (own - own.isel(strength=0)).std("image", ddof=1) / own.notnull().sum("image") ** 0.5
        found[f"relative_drop_{t:g}"] = rounded(mean)
        found[f"relative_drop_{t:g}_to_first"] = rounded(mean / mean[0])
        found[f"relative_drop_{t:g}_to_first_standard_error"] = rounded(error / mean[0])
        found[f"relative_drop_{t:g}_baselines"] = baselines(drop.sel(top=t))
    for name in ("deletion_area", "insertion_area", "energy", "pointing", "empty"):
        if name in scores:
            found[name] = rounded(scores[name].sel(map_kind="contrast").mean("image"))
            found[f"{name}_baselines"] = baselines(scores[name])
    return found


def rounded(values: xr.DataArray) -> list[float]:
    return [round(float(v), 4) for v in values.values]


def baselines(values: xr.DataArray) -> dict[str, float]:
    mean = values.isel(strength=0).mean("image")
    return {m: round(float(mean.sel(map_kind=m)), 4) for m in ("random", "edge")}


def print_table(fill: str, found: dict) -> None:
    print(f"\nfill {fill}: {found['photos']} photos, p {found['probability']}, mask share {found['mask_share']}")
    print(f"{'strength':42s}" + "".join(f"{s:9g}" for s in found["strength"]) + "   baselines")
    for name, values in found.items():
        if isinstance(values, list) and name != "strength":
            print(f"{name:42s}" + "".join(f"{v:9.4f}" for v in values) + f"   {found.get(f'{name}_baselines', '')}")


if __name__ == "__main__":
    main()
