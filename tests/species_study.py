"""A study of species whose look-alikes are known, made without a network."""

import numpy as np
import xarray as xr
from PIL import Image

from finerkit.species.similarity import head_species
from finerkit.species.similarity_rows import taken_for

PAIRS = ("Alba", "Nigra", "Rubra", "Viridis")
HOSTILE = '<img src=x onerror="document.title=1">_</script>'


def species_study(folder, pairs=PAIRS, photos=5, hostile=False, seed=0):
    """Pairs of look-alikes, "Alba una" and "Alba duo"; the first photo of each "una" is taken for the "duo".

    One more species, "Nemo visus", has no photo. Returned as `finerkit.open_study` does, without a store.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{pair} {which}" for pair in pairs for which in ("una", "duo")]
    if hostile:
        names[1] = HOSTILE
    centres = np.repeat(rng.normal(size=(len(pairs), 16)), 2, 0) + 0.3 * rng.normal(size=(len(names), 16))
    labels = np.repeat(names, photos)
    embedding = np.repeat(centres, photos, 0) + 0.2 * rng.normal(size=(len(labels), 16))
    logit = np.concatenate([embedding @ centres.T, np.full((len(labels), 1), -9)], 1)
    own = np.repeat(np.arange(len(names)), photos)
    logit[np.arange(len(labels)), own] = 30
    for i in range(0, len(names), 2):
        logit[i * photos, i + 1] = 40
    ids = [f"{i:03}.png" for i in range(len(labels))]
    for i, name in enumerate(ids):
        shade = tuple(int(v) for v in 60 + 30 * (own[i] // 2 + np.arange(3)) % 180)
        Image.new("RGB", ((60, 40), (40, 60))[i % 2], shade).save(folder / name)
    images = {
        "species": labels.astype(object),
        "path": np.array([str(folder / n) for n in ids], object),
        "status": np.array(["ok"] * len(ids), object),
        "width": np.where(np.arange(len(ids)) % 2, 40, 60),
        "height": np.where(np.arange(len(ids)) % 2, 60, 40),
    }
    known = np.array([*names, "Nemo visus"], object)
    mean = embedding.reshape(len(names), photos, -1).mean(1)
    prototype = np.concatenate([mean, np.full((1, 16), np.nan)])
    weight = np.concatenate([centres, rng.normal(size=(1, 16))])
    species = xr.Dataset(
        {
            "prototype": (("species", "feature"), prototype),
            "weight": (("species", "feature"), weight),
            "n_photos": ("species", [photos] * len(names) + [0]),
        },
        {"species": known},
    )
    image = {"image": np.array(ids, object)}
    predictions = xr.Dataset(
        {"logit": (("image", "species"), logit), "predicted": ("image", known[logit.argmax(1)])},
        image | {"species": known},
        {"cross_validated": True},
    )
    return xr.DataTree.from_dict(
        {
            "/": xr.Dataset(attrs={"study_id": "drawn", "network_id": "drawn", "head_id": "drawn"}),
            "images": xr.Dataset({k: ("image", v) for k, v in images.items()}, image),
            "features": xr.Dataset({"embedding": (("image", "feature"), embedding)}, image),
            "species": species,
            "predictions": predictions,
        }
    )


def confusion_counts(study):
    """Photos of `target` taken for `species` (target, species), by unseen heads if there are such."""
    names = head_species(study)
    own, taken, number, _ = taken_for(study, names)
    counts = np.zeros((len(names), len(names)), np.int64)
    counts[own, taken] = number
    axes = dict.fromkeys(("target", "species"), np.array(names, object))
    return xr.DataArray(counts, axes, ("target", "species"), "photos")
