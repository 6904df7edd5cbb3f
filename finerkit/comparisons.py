"""A question put to a study: target and references enter; a Dataset of signed evidence leaves, kept in the study."""

from __future__ import annotations

import hashlib
import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from finerkit import store as disk
from finerkit.batches import run_photos
from finerkit.evidence import OBJECTIVES, cam_evidence
from finerkit.features import are_same, contents, feature_chunks
from finerkit.images import warn_unusable
from finerkit.names import choice, resolve, slug
from finerkit.preprocess import Preprocess
from finerkit.questions import choose_images, choose_references
from finerkit.similarity import head_species

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from finerkit.models import Model

METHODS = ("cam", "gradcam", "hirescam")
DETAILS = ("cell", "fine")

#: Status of photos whose features or gradients overflow.
NOT_FINITE = "its evidence is not finite"

#: Start, evidence (image, species, y, x), logit (image, species) and reasons by position, of one chunk of photos.
Chunk = tuple[int, np.ndarray, np.ndarray, dict[int, str]]


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
    found = _answered(path, group, attrs["question"], named=name is not None, overwrite=overwrite)
    if found is None:
        data, chunks = _plan(study, photos, attrs, model, progress)
        found = _write(path, group, data, chunks) if path is not None else _collect(data, chunks)
    found.attrs |= {"objective": objective, **picked}  # of this call, where an older one asked the same otherwise
    if path is not None:
        found.attrs["study"] = str(path)  # where fk.score and fk.find_traits find the network again
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


# --- computing ---


def _plan(
    study: xr.DataTree, photos: xr.Dataset, attrs: dict[str, Any], model: Model | None, progress: bool
) -> tuple[xr.Dataset, Iterator[Chunk]]:
    """The dataset without its evidence, and the chunks that will fill it."""
    names = [attrs["target"], *attrs["references"]]
    per_class = {}
    if attrs["method"] == "cam":
        if "weight" not in study["species"]:
            raise ValueError(
                "method='cam' needs a head that is linear in the mean of the features, which this network's own head "
                "is not: use method='gradcam', or analyze(..., head='linear')."
            )
        head = study["species"].to_dataset().sel(species=names)
        per_class["bias"] = ("species", head["bias"].values, {"units": "logit"})
        named, attrs["layer"] = attrs["layer"], "features"
        if attrs["detail"] == "fine":
            model, attrs["detail_layer"] = _fine_layer(study, model, named)
            grid, chunks = _fine_chunks(photos, head, model, attrs["detail_layer"])
        else:
            grid, chunks = tuple(study.attrs["grid"]), _cam_chunks(study, photos, head, model)
    else:
        if attrs["layer"] == "default":
            attrs["layer"] = _default_layer(study, model)
        grid, chunks = _gradcam_chunks(study, photos, attrs, model)
    attrs["grid"] = [int(n) for n in grid]
    bar = tqdm(total=photos.sizes["image"], desc="evidence", unit="photo", disable=not progress, delay=1)
    placed = Preprocess.from_attrs(study.attrs).placement(photos.width.values, photos.height.values, grid)
    pixel = {"units": "pixel", "comment": "of the upright original photo"}
    per_image = {f"cell_{k.removeprefix('cell_')}": ("image", v, pixel) for k, v in placed._asdict().items()}
    columns = {"true_species": "species", "path": "path", "width": "width", "height": "height", "status": "status"}
    per_image |= {new: ("image", photos[old].values) for new, old in columns.items()}
    per_image |= _cross_validated(study, photos, names)
    coords = {"image": photos.image.values.astype(object), "species": np.array(names, object)}
    return xr.Dataset(per_image | per_class, coords, attrs), _counted(chunks, bar)


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


def _counted(chunks: Iterator[Chunk], bar: tqdm) -> Iterator[Chunk]:
    with bar:
        for chunk in chunks:
            yield chunk
            bar.update(len(chunk[1]))


def _cam_chunks(study: xr.DataTree, photos: xr.Dataset, head: xr.Dataset, model: Model | None) -> Iterator[Chunk]:
    weight, bias = head["weight"].values, head["bias"].values
    for start, cells, embedding, failed in feature_chunks(study, photos, model):
        logit = embedding.astype(np.float64) @ weight.T.astype(np.float64) + bias
        yield start, cam_evidence(cells, weight), logit.astype(np.float32), failed


def _fine_layer(study: xr.DataTree, model: Model | None, named: str) -> tuple[Model, str]:
    """The study's model, and the layer that says where evidence goes."""
    from finerkit.methods.finer_layer import finer_layer
    from finerkit.study_model import model_of

    model = model_of(study, model)
    return model, finer_layer(model) if named == "default" else named


def _fine_chunks(
    photos: xr.Dataset, head: xr.Dataset, model: Model, layer: str
) -> tuple[tuple[int, int], Iterator[Chunk]]:
    from finerkit.methods.fine import fine_evidence

    weight, bias = head["weight"].values, head["bias"].values
    return _network_chunks(photos, lambda pixels: fine_evidence(model, pixels, weight, bias, layer), model)


def _gradcam_chunks(
    study: xr.DataTree, photos: xr.Dataset, attrs: dict[str, Any], model: Model | None
) -> tuple[tuple[int, int], Iterator[Chunk]]:
    """Grid of the layer, and the chunks."""
    from finerkit.methods.gradcam import gradcam_evidence
    from finerkit.study_model import model_of

    model = model_of(study, model)
    table = study["species"].to_dataset()
    known = head_species(study)
    classes = np.array([known.index(n) for n in [attrs["target"], *attrs["references"]]])
    head = None if study.attrs["head"] == "model" else (table["weight"].values, table["bias"].values)

    def explain(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return gradcam_evidence(model, pixels, classes, attrs["layer"], head, pointwise=attrs["method"] == "hirescam")

    return _network_chunks(photos, explain, model)


def _network_chunks(
    photos: xr.Dataset, explain: Callable[[np.ndarray], tuple], model: Model
) -> tuple[tuple[int, int], Iterator[Chunk]]:
    """Grid of the evidence, and the chunks; what cannot be explained is found before anything is written."""
    side = model.preprocess.image_size
    shape = explain(np.zeros((1, side, side, 3), np.uint8))[0].shape[1:]
    return shape[1:], _explained(photos, shape, explain, model)


def _explained(
    photos: xr.Dataset, shape: tuple[int, ...], explain: Callable[[np.ndarray], tuple], model: Model
) -> Iterator[Chunk]:
    """Explain batch by batch; `shape` is (class, y, x)."""
    paths = photos["path"].values
    for start in range(0, len(paths), disk.CHUNK):
        part = paths[start : start + disk.CHUNK]
        evidence = np.full((len(part), *shape), np.nan, np.float32)
        logit = np.full((len(part), shape[0]), np.nan, np.float32)
        failed: dict[int, str] = {}
        for indices, pixels, reasons in run_photos(part, model, len(part)):
            failed |= reasons
            if indices:
                evidence[indices], logit[indices] = explain(pixels)
        broken = [i for i in np.flatnonzero(~np.isfinite(evidence).all((1, 2, 3))) if i not in failed]
        failed |= dict.fromkeys(map(int, broken), NOT_FINITE)
        evidence[broken], logit[broken] = np.nan, np.nan
        yield start, evidence, logit, failed


def _default_layer(study: xr.DataTree, model: Model | None) -> str:
    from finerkit.methods.gradcam import default_layer
    from finerkit.study_model import model_of

    return default_layer(model_of(study, model))


# --- keeping ---


def _write(path: Path, group: str, data: xr.Dataset, chunks: Iterator[Chunk]) -> xr.Dataset:
    """Write chunk by chunk; a comparison counts as made when its attr ``complete`` is there."""
    first = next(chunks)
    arrays = None
    try:
        arrays = _evidence_arrays(path, group, data, first)
    except OSError as error:
        warnings.warn(
            f"The comparison is kept in memory only, since the store cannot be written: {error}", stacklevel=3
        )
    if arrays is None:
        return _collect(data, _chain(first, chunks))
    status = data["status"].values.astype(object)
    for start, evidence, logit, reasons in _chain(first, chunks):
        arrays.write(start, evidence=evidence, logit=logit)
        for i, reason in reasons.items():
            status[start + i] = reason
    _warn_failed(data, status)
    rest = data.assign(status=("image", status))
    disk.add_to_group(path, group, rest, complete=True)
    disk.finish(path)
    return _read(path, group)


def _evidence_arrays(path: Path, group: str, data: xr.Dataset, first: Chunk) -> disk.ChunkedGroup:
    classes, rows, columns = first[1].shape[1:]
    dims = {"evidence": {"species": classes, "y": rows, "x": columns}, "logit": {"species": classes}}
    dtypes = {"evidence": "float32", "logit": "float32"}
    coords = {"species": data.species.values, "y": np.arange(rows), "x": np.arange(columns)}
    return disk.ChunkedGroup(path, group, dims, dtypes, data.image.values, coords, units=dict.fromkeys(dims, "logit"))


def _collect(data: xr.Dataset, chunks: Iterator[Chunk]) -> xr.Dataset:
    """Gather everything in memory, for studies that have no store to write to."""
    parts = list(chunks)
    status = data["status"].values.astype(object)
    for start, _, _, reasons in parts:
        for i, reason in reasons.items():
            status[start + i] = reason
    _warn_failed(data, status)
    evidence = np.concatenate([p[1] for p in parts])
    full = data.assign(
        evidence=(("image", "species", "y", "x"), evidence, {"units": "logit"}),
        logit=(("image", "species"), np.concatenate([p[2] for p in parts]), {"units": "logit"}),
        status=("image", status),
    )
    full = full.assign_coords(y=np.arange(evidence.shape[2]), x=np.arange(evidence.shape[3]))
    return full.assign_attrs(disk.provenance(**data.attrs))


def _read(path: Path, group: str) -> xr.Dataset:
    """Open a stored comparison: everything in memory but the evidence, which is read when used."""
    found = disk.read_group(path, group)
    return found.assign({name: found[name].load() for name in found if name != "evidence"})


def _warn_failed(data: xr.Dataset, status: np.ndarray) -> None:
    warn_unusable(data.assign(status=("image", status)), "could not be explained")


def _chain(first: Chunk, rest: Iterator[Chunk]) -> Iterator[Chunk]:
    yield first
    yield from rest


def _answered(path: Path | None, group: str, question: str, *, named: bool, overwrite: bool) -> xr.Dataset | None:
    """The stored answer to the same question, if there is one."""
    if path is None or overwrite:
        return None
    try:
        found = _read(path, group)
    except (OSError, ValueError, KeyError):  # not there, or interrupted before it could be read
        return None
    if not found.attrs.get("complete"):
        return None
    if found.attrs.get("question") == question:
        return found
    if named:
        raise ValueError(
            f"There is another comparison in {group!r}. Choose another name=, or replace it with overwrite=True."
        )
    return None


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
    keys = ("model", "weights_hash", "pretrained", "head", "image_size", "fit", "interpolation", "mean", "std", "grid")
    return {k: study.attrs[k] for k in keys if k in study.attrs}
