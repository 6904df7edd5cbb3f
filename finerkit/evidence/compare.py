"""Compare a species with its look-alikes: compute signed evidence for each, and keep it in the study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from finerkit.base.identity import hashed
from finerkit.base.names import choice, resolve, slug
from finerkit.base.roles import species_coords
from finerkit.base.text import text_variable
from finerkit.evidence.compute import plan
from finerkit.evidence.contrast import OBJECTIVES
from finerkit.evidence.selection import References, choose_images, choose_references
from finerkit.evidence.stored import answered, keep
from finerkit.photos.contents import are_same, contents
from finerkit.photos.preprocess import Preprocess
from finerkit.species.similarity import head_species
from finerkit.store.location import text
from finerkit.store.photo_paths import photo_coords
from finerkit.store.study import as_study

if TYPE_CHECKING:
    from collections.abc import Iterable

    from finerkit.networks import Model

METHODS = ("cam", "gradcam", "hirescam")
DETAILS = ("cell", "fine")


def compare(
    study: xr.DataTree,
    target: str,
    references: str | int | Iterable[str] = "auto",
    method: str = "cam",
    *,
    detail: str = "cell",
    objective: str = "mean",
    images: str | Iterable[str] | xr.Dataset | xr.DataArray | None = None,
    by: str | None = None,
    layer: str | None = None,
    model: Model | None = None,
    name: str | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> xr.Dataset:
    """Compute the evidence for a target species and its reference species.

    Evidence is signed, unscaled and kept per class, so that every choice of these references and every comparison
    strength follows from it without the network: see `finerkit.contrast`.

    Parameters
    ----------
    study
        From `finerkit.analyze` or `finerkit.open_study`. It is not changed.
    target
        Species to explain.
    references
        Species to compare with, by name; or how many of the nearest look-alikes; "auto" is 3 of them, but
        leaves out at least one species: with every other species as reference, a trained head's contrast is the same
        map at every strength, only scaled, since its weights add up to zero.
    method
        "cam": closed form; needs a head that is linear in the mean of the features, as trained heads are; its evidence
        adds up to the logit. Takes no forward pass if the study keeps features. "gradcam": the linear form of Grad-CAM
        at any layer, for heads of any form; runs the network. "hirescam": the same with each cell's own gradient, which
        places small traits more finely at an earlier layer, such as ``layer="blocks.5.0.bn1"`` of the embedded network;
        its evidence does not add up. For fine places prefer `detail`.
    detail
        "cell": evidence on the grid of the features. "fine", for "cam": twice the rows and columns (28 x 28 for the
        embedded network). Each cell's evidence for a class is spread over the fine cells within 1.5 cells, in
        proportion to HiResCAM's evidence for that class there, and still adds up to the logit. Takes the photos and a
        run of the network: 1.6 forward passes with one reference, 2.1 with three. Rendered traits are found 2.9 times
        as well at the pixel (average precision .40 against .14, see ``benchmarks/localisation.py``).
    objective
        Default way of weighting the references in `finerkit.contrast`: "mean", "softmax" or "official".
    images
        Photos to explain: ids of the study, an array of ids, "all", or new photos from `finerkit.read_images`.
        Default: all photos of the target.
    by
        Measure that picks look-alikes, see `finerkit.similar_species`. Default: "embedding", or "weights" where the
        target has no photo.
    layer
        For "gradcam" and "hirescam": dotted name of the layer to explain. Default: the pooled features; for
        transformers the first norm of the last block. For ``detail="fine"``: the layer that says where to. Default: the
        last one with a finer grid through which all the features pass, "blocks.5.0.bn1" of the embedded network.
    model
        The study's model, needed only if the network has to run and cannot be loaded by its name.
    name
        Of the group under ``/comparisons``. Default: made from the names of target and references.
    overwrite
        Replace a comparison of the same name. Evidence is read when used: what was opened of the former one, and not
        loaded, can then no longer be used.
    progress
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        ``evidence(image, species, y, x)`` float32 in logits, target first, then the references; ``logit(image,
        species)``; ``logit_cross_validated`` by heads that had not seen the photo, where they are known;
        ``bias(species)`` (for "cam"). Coordinates: ``role(species)`` ("target" or "reference") and ``reference_score``
        (the similarity by which references were picked); per image ``true_species``, ``path``, ``width``, ``height``,
        ``status``, ``row`` (of the study's store; -1 for other photos) and where the grid lies on the upright photo, in
        pixels: ``cell_left``, ``cell_top`` (corner of cell 0, 0), ``cell_width``, ``cell_height``. Attrs:
        ``picked_by``, ``objective``, ``method``, ``layer``, ``detail`` (and ``detail_layer``), ``additive``, and
        ``study_id``, ``network_id`` and ``head_id``, which say what it was computed from. For "cam",
        ``evidence.sum(("y", "x")) + bias == logit`` and ``additive`` is 1. Lazy.

    Raises
    ------
    ValueError
        If a name is unknown, the target is its own reference, there is nothing to compare with, no photo to explain, or
        the network has no layer for ``detail="fine"`` (plain vision transformers: their grid never changes).

    Notes
    -----
    Writes ``/comparisons/<name>`` into the study's store; ``study.finerkit.comparisons()`` lists what is there. The
    same question is answered from there. Where the store cannot be written, the result is kept in memory and a warning
    says so.

    What a head does not recognise it cannot explain: ``study["species"]["recall"]`` is the share of a species' photos
    that were recognised by heads that had not seen them.

    Fine evidence of class k at fine cell q, with E_k the evidence of the cells p, H_k HiResCAM at the finer layer and
    n(p, q) nearness (1 at the same place, falling linearly to 0 at 1.5 cells along each axis)::

        E'_k[q] = H+[q] sum_p n(p, q) E+[p] / Z+[p] - H-[q] sum_p n(p, q) E-[p] / Z-[p],  Z[p] = sum_q n(p, q) H[q]

    where + and - are the positive and the negative part of E_k and H_k, so that ``sum_q E'_k[q] = sum_p E_k[p]``. It
    depends on the photo and the class alone: contrasts of it are linear in strength and references like any other.
    """
    study = as_study(study)
    choice(method, METHODS, "method")
    choice(objective, OBJECTIVES, "objective")
    _check_detail(detail, method, layer)
    target = resolve(target, head_species(study), hint="fk.similar_species(study) lists all.")
    chosen = choose_references(study, target, references, by)
    photos = choose_images(study, target, images)
    if model is not None:
        study.finerkit.model(model)  # refuses another one, needed or not
    question = {
        "target": target, "references": chosen.names, "method": method, "detail": detail, "layer": layer or "default",
        "photos": hashed([str(i) for i in photos["image"].values], contents(photos)),
        "identity": study.finerkit.identity.to_attrs(),
    }  # fmt: skip
    question_id = hashed(question)
    group = f"comparisons/{slug(name) if name else _auto_name(target, chosen.names, method, question_id)}"
    path = study.finerkit.store
    found = answered(path, group, question_id, named=name is not None, overwrite=overwrite)
    if found is None:
        how = plan(study, [target, *chosen.names], method, detail, layer, model)
        attrs = {
            "method": method, "detail": detail, "additive": int(method == "cam"), "question_id": question_id,
            "strength_only_scales": int(_only_scales(study, target, chosen.names, detail)),
            **_model_facts(study), **study.finerkit.identity.to_attrs(), **how.facts,
        }  # fmt: skip
        data = _frame(study, photos, how.grid, [target, *chosen.names], attrs | {"objective": objective})
        found = keep(path, group, _as_picked(data, chosen), photos, how.explain, progress)
    # Labels and places of photos may have changed since it was answered, or begun.
    found = found.assign_coords(photo_coords(study, photos, (found.sizes["y"], found.sizes["x"])))
    found = _as_picked(found, chosen).assign_attrs(objective=objective)
    return found if path is None else found.assign_attrs(store=text(path))  # where fk.score finds the network again


def _as_picked(data: xr.Dataset, chosen: References) -> xr.Dataset:
    """With how the references were picked this time; an earlier call may have asked the same otherwise."""
    scores = [np.nan, *chosen.scores]
    if chosen.scores:
        return data.assign_coords(reference_score=("species", scores)).assign_attrs(picked_by=chosen.picked_by)
    return data.drop_vars("reference_score", errors="ignore").assign_attrs(picked_by=chosen.picked_by)


def _check_detail(detail: str, method: str, layer: str | None) -> None:
    choice(detail, DETAILS, "detail")
    if detail == "fine" and method != "cam":
        raise ValueError(
            f"detail='fine' spreads evidence that adds up, of method='cam'. Got method={method!r} instead: leave "
            "method out, or leave detail out and name a layer with a finer grid as layer=."
        )
    if layer is not None and method == "cam" and detail == "cell":
        raise ValueError(
            "method='cam' explains the pooled features: layer goes with method='gradcam' or 'hirescam', or with "
            "detail='fine'."
        )


# --- what is known before anything is computed ---


def _frame(
    study: xr.DataTree, photos: xr.Dataset, grid: tuple[int, int], names: list[str], attrs: dict[str, Any]
) -> xr.Dataset:
    """The answer without its evidence: what is known of the photos, where their grids lie, and how it is made."""
    coords = photo_coords(study, photos, grid) | species_coords(names[0], names[1:])
    coords["status"] = text_variable(photos["status"].values)
    coords |= {"y": np.arange(grid[0]), "x": np.arange(grid[1])}
    variables = _cross_validated(study, photos, names)
    if attrs["additive"]:
        bias = study["species"].to_dataset().sel(species=names)["bias"].values
        variables["bias"] = ("species", bias, {"units": "logit"})
    return xr.Dataset(variables, coords, attrs)


def _cross_validated(study: xr.DataTree, photos: xr.Dataset, names: list[str]) -> dict[str, tuple]:
    """Logits by heads that had not seen the photo, where the study has them for all these photos."""
    known = study["predictions"].to_dataset() if "predictions" in study.children else xr.Dataset()
    if not known.attrs.get("cross_validated") or not are_same(study, photos):
        return {}
    logit = known["logit"].sel(image=photos["image"].values, species=names).values
    return {"logit_cross_validated": (("image", "species"), logit, {"units": "logit"})}


def _only_scales(study: xr.DataTree, target: str, references: list[str], detail: str) -> bool:
    """Whether the weights of target and references add up to zero: every strength then gives one map, scaled.

    Spread evidence of several references does not: each class is spread by its own map.
    """
    if "weight" not in study["species"] or (detail == "fine" and len(references) > 1):
        return False
    weight = study["species"]["weight"].sel(species=[target, *references]).values.astype(np.float64)
    return bool(np.linalg.norm(weight.sum(0)) < 1e-3 * np.linalg.norm(weight[0]))


def _auto_name(target: str, references: list[str], method: str, question_id: str) -> str:
    return f"{slug(target, 40)}-vs-{slug('-'.join(references), 60)}-{method}-{question_id[:8]}"


def _model_facts(study: xr.DataTree) -> dict[str, Any]:
    keys = ("model", "weights_hash", "pretrained", "head")
    return {k: study.attrs[k] for k in keys if k in study.attrs} | Preprocess.from_attrs(study.attrs).to_attrs()
