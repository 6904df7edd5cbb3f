"""A question put to a study: target and references enter; a Dataset of signed evidence leaves, kept in the study."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from finerkit import store as disk
from finerkit.answers import answered, keep
from finerkit.evidence import OBJECTIVES
from finerkit.explain import plan
from finerkit.features import are_same, contents
from finerkit.names import choice, resolve, slug
from finerkit.places import text
from finerkit.preprocess import Preprocess
from finerkit.questions import choose_images, choose_references
from finerkit.similarity import head_species

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from finerkit.models import Model

METHODS = ("cam", "gradcam", "hirescam")
DETAILS = ("cell", "fine")


def compare(
    study: xr.DataTree | str | os.PathLike[str],
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
        From `finerkit.analyze`, or its path.
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
        Replace a comparison of the same name.
    progress
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        ``evidence(image, species, y, x)`` float32 in logits, target first, then the references; ``logit(image,
        species)``; ``bias(species)`` (for "cam"). Per image: ``true_species``, ``path``, ``width``, ``height``,
        ``status`` and where the grid lies on the upright photo, in pixels: ``cell_left``, ``cell_top`` (corner of cell
        0, 0), ``cell_width``, ``cell_height``. Attrs: ``target``, ``references``, ``picked_by``, ``reference_scores``,
        ``objective``, ``method``, ``layer``, ``detail`` (and ``detail_layer``), ``additive``. For "cam",
        ``evidence.sum(("y", "x")) + bias == logit`` and ``additive`` is True. Lazy.

    Raises
    ------
    ValueError
        If a name is unknown, the target is its own reference, there is nothing to compare with, no photo to explain, or
        the network has no layer for ``detail="fine"`` (plain vision transformers: their grid never changes).

    Notes
    -----
    Writes ``/comparisons/<name>`` into the study's store and adds it to `study`. The same question is answered from
    there.

    What a head does not recognise it cannot explain: ``study["species"]["recall"]`` is the share of a species' photos
    that were recognised by heads that had not seen them.

    Fine evidence of class k at fine cell q, with E_k the evidence of the cells p, H_k HiResCAM at the finer layer and
    n(p, q) nearness (1 at the same place, falling linearly to 0 at 1.5 cells along each axis)::

        E'_k[q] = H+[q] sum_p n(p, q) E+[p] / Z+[p] - H-[q] sum_p n(p, q) E-[p] / Z-[p],  Z[p] = sum_q n(p, q) H[q]

    where + and - are the positive and the negative part of E_k and H_k, so that ``sum_q E'_k[q] = sum_p E_k[p]``. It
    depends on the photo and the class alone: contrasts of it are linear in strength and references like any other.
    """
    study = disk.as_study(study)
    choice(method, METHODS, "method")
    choice(objective, OBJECTIVES, "objective")
    _check_detail(detail, method, layer)
    known = head_species(study)
    target = resolve(target, known, hint="fk.similar_species(study) lists all.")
    chosen, picked = choose_references(study, target, references, by)
    photos = choose_images(study, target, images)
    if model is not None:
        from finerkit.study_model import model_of

        model_of(study, model)  # refuses another one, needed or not
    question = {"target": target, "references": chosen, "method": method, "layer": layer or "default"}
    if detail == "fine":  # only then: older answers to questions in cells stay answers
        question["detail"] = detail
    attrs = question | {"objective": objective, **picked, "additive": method == "cam", **_model_facts(study)}
    attrs["detail"] = detail
    attrs["strength_only_scales"] = _only_scales(study, target, chosen, detail)
    what = "\n".join([*photos["image"].values, *contents(photos)])
    question |= {"photos": hashlib.sha256(what.encode()).hexdigest(), "head": _fingerprint(study)}
    attrs["question"] = json.dumps(question, sort_keys=True)
    group = f"comparisons/{slug(name) if name else _auto_name(question)}"
    path = disk.store_of(study)
    found = answered(path, group, attrs["question"], named=name is not None, overwrite=overwrite)
    if found is None:
        how = plan(study, [target, *chosen], method, detail, layer, model)
        data = _frame(study, photos, how.grid, attrs | how.facts)
        found = keep(path, group, data, photos, how.explain, progress)
    found.attrs |= {"objective": objective, **picked}  # of this call, where an older one asked the same otherwise
    if path is not None:
        found.attrs["study"] = text(path)  # where fk.score and fk.find_traits find the network again
        study[group] = xr.DataTree(found)
    return found


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


def _frame(study: xr.DataTree, photos: xr.Dataset, grid: tuple[int, int], attrs: dict[str, Any]) -> xr.Dataset:
    """The answer without its evidence: what is known of the photos, where their grids lie, and how it is made."""
    names = [attrs["target"], *attrs["references"]]
    placed = Preprocess.from_attrs(study.attrs).placement(photos.width.values, photos.height.values, grid)
    pixel = {"units": "pixel", "comment": "of the upright original photo"}
    variables = {f"cell_{k.removeprefix('cell_')}": ("image", v, pixel) for k, v in placed._asdict().items()}
    columns = {"true_species": "species", "path": "path", "width": "width", "height": "height", "status": "status"}
    variables |= {new: ("image", photos[old].values) for new, old in columns.items()}
    variables |= _cross_validated(study, photos, names)
    if attrs["additive"]:
        bias = study["species"].to_dataset().sel(species=names)["bias"].values
        variables["bias"] = ("species", bias, {"units": "logit"})
    coords = {
        "image": photos.image.values.astype(object),
        "species": np.array(names, object),
        "y": np.arange(grid[0]),
        "x": np.arange(grid[1]),
    }
    return xr.Dataset(variables, coords, attrs | {"grid": [int(n) for n in grid]})


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


def _auto_name(question: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:8]
    return (
        f"{slug(question['target'], 40)}-vs-{slug('-'.join(question['references']), 60)}-{question['method']}-{digest}"
    )


def _fingerprint(study: xr.DataTree) -> str:
    """Short hash of the study's head, so that an answer from another head is never taken for this one's."""
    table = study["species"].to_dataset()
    digest = hashlib.sha256("\n".join(head_species(study)).encode())
    for name in ("weight", "bias"):
        if name in table:
            digest.update(np.ascontiguousarray(table[name].values).tobytes())
    return digest.hexdigest()[:16]


def _model_facts(study: xr.DataTree) -> dict[str, Any]:
    keys = ("model", "weights_hash", "pretrained", "head", "grid")
    return {k: study.attrs[k] for k in keys if k in study.attrs} | Preprocess.from_attrs(study.attrs).to_attrs()
