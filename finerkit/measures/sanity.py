"""Check that maps depend on what was learned: correlate them with maps of shuffled weights."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from scipy.stats import rankdata

from finerkit.base.provenance import origin_attrs
from finerkit.base.roles import species_coords, target_of
from finerkit.base.text import text_variable
from finerkit.evidence.comparison import as_pair
from finerkit.evidence.compute import plan
from finerkit.evidence.contrast import DEFAULT_STRENGTH, chosen_references, contrast
from finerkit.networks.decode_ahead import run_photos
from finerkit.photos.read import warn_unusable
from finerkit.store.groups import provenance
from finerkit.store.photo_paths import paths_of
from finerkit.store.study import study_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from finerkit.networks import Model

SHUFFLED = {
    "head": "the weights of every class, over the features",
    "network": "all weights of the network, tensor by tensor; statistics of its batch norms estimated again",
}

#: Photos that the statistics of batch norms are estimated from.
_CALIBRATE = 16


def sanity_check(
    comparison: xr.Dataset,
    strength: float | Iterable[float] = (0.0, DEFAULT_STRENGTH, 1.0),
    *,
    study: xr.DataTree | None = None,
    model: Model | None = None,
    objective: str | None = None,
    references: Iterable[str] | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Shuffle the head, then the network, and see whether the maps change.

    A map that stays the same when what the network learned is destroyed shows the photo, not the network (Adebayo et
    al.: Sanity checks for saliency maps, NeurIPS 2018, arXiv 1810.03292).

    Parameters
    ----------
    comparison
        From `finerkit.compare`.
    strength
        One or several comparison strengths.
    study, model, objective, references
        See `finerkit.score`.
    seed
        Of the shuffling.

    Returns
    -------
    xarray.Dataset
        ``rank_correlation(shuffled, image, strength)``: Spearman's correlation, over the cells, of the signed map with
        the one after shuffling; ``shuffled`` is "head" or "network". Near 0 is right, near 1 is wrong. NaN where a
        photo cannot be used or overflows the shuffled network (see ``status``), a map is constant, or the network's own
        head cannot be told from it.

    Raises
    ------
    ValueError
        If the study is not known or is not the comparison's.

    Notes
    -----
    "Shuffled" permutes values, so that their distribution stays: of the head, each class's weights over the features,
    by its own permutation; of the network, each weight tensor's entries.
    """
    from finerkit.networks.of_study import model_of

    comparison = as_pair(comparison)
    study = study_of(comparison, study)
    comparison = comparison.assign_coords(path=text_variable(paths_of(comparison)))
    model = model_of(study, model)
    rng = np.random.default_rng(seed)
    ok = np.flatnonzero(comparison["status"].values == "ok")
    paths = comparison["path"].values[ok]
    settings = {"head": _shuffled_head(study, model, rng), "network": _shuffled_network(study, model, paths, rng)}
    original = _maps(comparison, strength, objective, references)
    status = comparison["status"].values.astype(object)
    correlation = np.full((len(settings), *original.shape[:2]), np.nan)
    for k, setting in enumerate(settings.values()):
        if setting is None:
            continue
        changed, reasons = _explained(comparison, *setting, ok)
        maps = _maps(changed, strength, objective, references)
        correlation[k] = _rank_correlation(original, maps)
        status[list(reasons)] = list(reasons.values())
    attrs = {
        "long_name": "Spearman's rank correlation with the map after shuffling",
        "units": "1",
        "source": "Adebayo et al.: Sanity checks for saliency maps, NeurIPS 2018, arXiv 1810.03292",
    }
    result = xr.Dataset(
        {"rank_correlation": (("shuffled", "image", "strength"), correlation, attrs)},
        {
            "shuffled": np.array(list(settings), object),
            "image": comparison["image"].values,
            "true_species": ("image", comparison["true_species"].values),
            "status": ("image", status),
            "strength": original["strength"].values,
            **species_coords(target_of(comparison), chosen_references(comparison, references)),
        },
        provenance(
            **origin_attrs(comparison),
            objective=original.attrs["objective"],
            shuffled="; ".join(f"{name}: {what}" for name, what in SHUFFLED.items()),
            seed=seed,
        ),
    )
    warn_unusable(result, "could not be checked")
    return result


def _maps(
    comparison: xr.Dataset, strength: float | Iterable[float], objective: str | None, references: Iterable[str] | None
) -> xr.DataArray:
    strengths = np.atleast_1d(np.asarray(strength, float))
    return contrast(comparison, strengths, objective, references=references, relu=False).compute()


def _rank_correlation(a: xr.DataArray, b: xr.DataArray) -> xr.DataArray:
    """Spearman's correlation over the cells; NaN where either map is constant or unknown."""
    ranks = (v.stack(cell=("y", "x")) for v in (a, b))
    return xr.corr(*(v.copy(data=rankdata(v.values, axis=-1)) for v in ranks), dim="cell")


# --- shuffling ---


def _shuffled_head(study: xr.DataTree, model: Model, rng: np.random.Generator) -> tuple[xr.DataTree, Model] | None:
    if "weight" in study["species"]:
        return _setting(study, model, rng.permuted(study["species"]["weight"].values, axis=1))
    if model.split.classifier is None:
        return None
    other = _copy(model)
    _permute(other.layer(model.split.classifier), rng)
    return _setting(study, other)


def _shuffled_network(
    study: xr.DataTree, model: Model, paths: np.ndarray, rng: np.random.Generator
) -> tuple[xr.DataTree, Model]:
    other = _copy(model)
    _permute(other.module, rng)
    _calibrate(other, paths[:_CALIBRATE])
    return _setting(study, other)


def _setting(study: xr.DataTree, model: Model, weight: np.ndarray | None = None) -> tuple[xr.DataTree, Model]:
    """The study as it would be with another network or other weights of its head, before any photo was seen."""
    from finerkit.networks.of_study import model_attrs

    table = study["species"].to_dataset()
    if weight is not None:
        table = table.assign(weight=(table["weight"].dims, weight))
    other = xr.DataTree.from_dict({"species": table, "features": xr.Dataset()})
    other.attrs = study.attrs | model_attrs(model)
    if "weight" in table:
        other.attrs["head"] = "linear"  # the table's, even if it is the network's own
    return other, model


def _copy(model: Model) -> Model:
    """A network of its own to be shuffled; the one in use stays as it is."""
    from finerkit.networks import Model

    module = copy.deepcopy(model.module)
    return Model(f"{model.name}, shuffled", module, model.preprocess, model.split, device=model.device)


def _permute(module: Any, rng: np.random.Generator) -> None:
    """Permute the entries of every parameter, in place."""
    import torch

    with torch.no_grad():
        for parameter in module.parameters():
            order = torch.from_numpy(rng.permutation(parameter.numel())).to(parameter.device)
            parameter.copy_(parameter.reshape(-1)[order].reshape(parameter.shape))


def _calibrate(model: Model, paths: np.ndarray) -> None:
    """Estimate the statistics of batch norms again, layer by layer as they are: else signals vanish or explode."""
    import torch

    norms = [m for m in model.module.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
        norm.train()
    with torch.no_grad():
        for batch in run_photos([paths], model.preprocess, _CALIBRATE):
            if batch.indices:
                model.cells(model.input(batch.pixels))
    for norm in norms:
        norm.eval()


def _explained(
    comparison: xr.Dataset, study: xr.DataTree, model: Model, ok: np.ndarray
) -> tuple[xr.Dataset, dict[int, str]]:
    """The comparison with evidence and logits of a shuffled study, and why photos have none there."""
    names, asked = [str(s) for s in comparison["species"].values], comparison.attrs
    layer = asked.get("detail_layer", asked["layer"])
    how = plan(study, names, asked["method"], asked.get("detail", "cell"), layer, model)
    changed = {v: xr.full_like(comparison[v], np.nan, np.float32).compute() for v in ("evidence", "logit")}
    reasons: dict[int, str] = {}
    for start, evidence, logit, failed in how.explain(comparison[["path"]].isel(image=ok)):
        rows = ok[start : start + len(evidence)]
        changed["evidence"].values[rows], changed["logit"].values[rows] = evidence, logit
        reasons |= {int(rows[i]): reason for i, reason in failed.items()}
    return comparison.assign(changed), reasons
