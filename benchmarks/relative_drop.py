"""Relative drop, judged fairly: a finished study of real photos enters; paired differences between strengths leave.

The head that a study explains has seen its photos and is sure of them, so hardly any probability is left to move. Here
each masked photo is judged four ways from one forward pass: probabilities of the trained head, probabilities of the
cross-validated head that has not seen the photo, those at the temperature at which the cross-validated logits predict
best, and logits (the margin lost), which do not saturate. Differences are paired by photo, with standard errors.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

import finerkit as fk
from finerkit.base.interpolation import upsample
from finerkit.base.roles import references_of
from finerkit.measures.fills import FILLS, filler
from finerkit.measures.maps import count_of, ranking, strongest_first
from finerkit.photos.decode import load_image
from finerkit.species.heads import Head, held_out_heads_of

TOP = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", help="finished study; photos are found where it says")
    parser.add_argument("--strength", type=float, nargs=2, default=[0, 0.8], help="the second is compared to the first")
    parser.add_argument("--fills", nargs="+", default=["mean", "inpaint"], choices=list(FILLS))
    parser.add_argument("--photos", type=int, help="so many, drawn at random; default: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    study = fk.open_study(options.study)
    model = fk.load_model(study.attrs["model"], study.attrs["image_size"], fit=study.attrs["fit"])
    table = study["species"].to_dataset()
    trained = Head(table["species"].values.astype(str), table["weight"].values, table["bias"].values)
    held_out = {str(i): head for images, head in held_out_heads_of(study) for i in images}
    temperature = best_temperature(study)
    tasks = questions(study, options.strength)
    order = np.random.default_rng(0).permutation(len(tasks))[: options.photos]
    rows: dict[str, list[dict]] = {fill: [] for fill in options.fills}
    for done, at in enumerate(order, 1):
        image, path, names, maps = tasks[at]
        pixels = model.preprocess.pixels(load_image(path, need=model.preprocess.image_size))
        embedding = model.features(np.stack(list(variants(pixels, maps, options.fills, model.preprocess.mean))))[1]
        for k, fill in enumerate(options.fills):
            these = embedding[[0, 1 + 2 * k, 2 + 2 * k]]
            rows[fill].append(judged(these, names, trained, held_out[image], temperature))
        if done % 20 == 0 or done == len(order):
            report(rows, options, study, temperature, done)


def best_temperature(study) -> float:
    """Temperature at which the cross-validated logits give the photos' species the largest likelihood."""
    logits = study["predictions"]["logit"].values.astype(np.float64)
    species = [str(s) for s in study["predictions"]["species"].values]
    truth = np.array([species.index(s) for s in study["images"]["species"].values.astype(str)])
    rows = np.arange(len(truth))
    found = minimize_scalar(
        lambda t: -log_softmax(logits / np.exp(t), axis=1)[rows, truth].mean(), bounds=(-3, 3), method="bounded"
    )
    return float(np.exp(found.x))


def questions(study, strengths: list[float]) -> list[tuple]:
    """For each photo: id, path, target and nearest look-alike, signed maps (strength, y, x)."""
    tasks = []
    for species in study["species"]["species"].values:
        pair = fk.compare(study, str(species), progress=False)
        maps = fk.contrast(pair, strengths, relu=False).compute().values.astype(np.float64)
        names = str(species), str(references_of(pair)[0])
        tasks += [(str(pair["image"].values[i]), pair["path"].values[i], names, maps[i]) for i in range(len(maps))]
    return tasks


def variants(pixels: np.ndarray, maps: np.ndarray, fills: list[str], colour):
    """The photo, then for each fill the photo without the strongest pixels of each map."""
    yield pixels
    keys = ranking(upsample(np.maximum(maps, 0), pixels.shape[:2]), upsample(maps, pixels.shape[:2]))
    hidden = np.zeros((len(keys), pixels.shape[0] * pixels.shape[1]), bool)
    for one, key in zip(hidden, keys, strict=True):
        one[strongest_first(key)[: count_of(TOP, one.size)]] = True
    for fill in fills:
        hide = filler(pixels, fill, colour)
        for one in hidden:
            yield hide(one.reshape(pixels.shape[:2]))


def judged(embedding: np.ndarray, names: tuple[str, str], trained: Head, held_out: Head, temperature: float) -> dict:
    """Relative drops of the masked photos (strength,), by each judge; and how sure each was of the whole photo."""
    out = {}
    for name, head, heat in (("trained", trained, 1), ("held_out", held_out, 1), ("calibrated", held_out, temperature)):
        of = [list(head.species).index(n) for n in names]
        p = softmax(head.logits(embedding) / heat, axis=1)[:, of]
        out[name] = (p[0, 0] - p[1:, 0]) - (p[0, 1] - p[1:, 1])
        out[f"{name}_p"] = p[0, 0]
    for name, head in (("trained_margin", trained), ("held_out_margin", held_out)):
        of = [list(head.species).index(n) for n in names]
        margin = head.logits(embedding)[:, of] @ [1, -1]
        out[name] = margin[0] - margin[1:]
    return out


def report(rows: dict, options, study, temperature: float, done: int) -> None:
    result = {
        "photos": done,
        "strength": options.strength,
        "top": TOP,
        "temperature": round(temperature, 3),
        "accuracy": round(float(study["species"].attrs["accuracy"]), 4),
        "fills": {
            fill: {k: compared(found, k) for k in found[0] if not k.endswith("_p")} for fill, found in rows.items()
        },
    }
    text = json.dumps(result, indent=1)
    print(text, flush=True)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


def compared(rows: list[dict], judge: str) -> dict:
    """Means, their paired difference and ratio, with standard errors (of the ratio by linearisation)."""
    drop = np.array([r[judge] for r in rows])
    n = len(drop)
    mean = drop.mean(0)
    ratio = mean[1] / mean[0]
    difference = drop[:, 1] - drop[:, 0]
    found = {
        "drop": [float(v) for v in mean],
        "standard_error": [float(v) for v in drop.std(0, ddof=1) / n**0.5],
        "difference": float(difference.mean()),
        "difference_standard_error": float(difference.std(ddof=1) / n**0.5),
        "ratio": float(ratio),
        "ratio_standard_error": float((drop[:, 1] - ratio * drop[:, 0]).std(ddof=1) / n**0.5 / abs(mean[0])),
        "better_worse": [int((difference > 0).sum()), int((difference < 0).sum())],
    }
    if f"{judge}_p" in rows[0]:
        found["mean_p"] = float(np.mean([r[f"{judge}_p"] for r in rows]))
    return {k: round(v, 4) if isinstance(v, float) else [round(x, 4) for x in v] for k, v in found.items()}


if __name__ == "__main__":
    main()
