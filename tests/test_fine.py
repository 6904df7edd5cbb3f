"""Fine evidence: spreading against loops, what it keeps, which layer it takes, and the way through compare."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from samples import SPECIES, write_photos

import finerkit as fk
from finerkit.base.roles import references_of
from finerkit.cli.commands import main
from finerkit.evidence.contrast import cam_evidence
from finerkit.evidence.fine import fine_evidence
from finerkit.evidence.finer_layer import finer_layer
from finerkit.evidence.gradcam import gradcam_evidence
from finerkit.evidence.spread import spread_evidence
from finerkit.measures import sanity_check
from finerkit.photos.decode import load_image

SIZE = 64


def naive(coarse, guide, radius=1.5):
    """The formula of one map, cell by cell."""

    def near(q, p):
        product = 1.0
        for axis in (0, 1):
            at = (q[axis] + 0.5) / guide.shape[axis] * coarse.shape[axis]
            product *= max(0.0, 1 - abs(at - (p[axis] + 0.5)) / radius)
        return product

    fine = np.zeros(guide.shape)
    for sign in (1, -1):
        share = np.maximum(sign * guide, 0)
        share = share + 1e-3 * share.mean() if share.any() else np.ones(guide.shape)
        for p in np.ndindex(coarse.shape):
            weight = np.array([[near((i, j), p) for j in range(guide.shape[1])] for i in range(guide.shape[0])]) * share
            fine += sign * max(sign * coarse[p], 0) * weight / weight.sum()
    return fine


@pytest.fixture(scope="module")
def model():
    return fk.load_model("test_resnet", SIZE, "cpu", pretrained=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("fine")
    photos = write_photos(folder / "photos", per_species=6)
    fk.analyze(fk.read_images(photos), model, folder / "study.zarr", progress=False)
    return folder / "study.zarr"


@pytest.fixture
def study(finished, tmp_path):
    return fk.open_study(shutil.copytree(finished, tmp_path / "study.zarr"))


@pytest.fixture(scope="module")
def pair(finished, model):
    return fk.compare(fk.open_study(finished), SPECIES[0], 2, detail="fine", model=model, progress=False).load()


# --- spreading ---


@pytest.mark.parametrize(
    ("coarse", "fine"), [((4, 4), (8, 8)), ((3, 5), (6, 10)), ((3, 2), (5, 6)), ((1, 1), (2, 2)), ((3, 3), (3, 3))]
)
@pytest.mark.parametrize("radius", [1.0, 1.5, 2.0])
def test_spreading_is_the_formula(coarse, fine, radius):
    rng = np.random.default_rng([*coarse, *fine])
    evidence, guide = rng.normal(size=(2, 3, *coarse)), 1e-6 * rng.normal(size=(2, 3, *fine))
    found = spread_evidence(evidence, guide, radius)
    assert found.dtype == np.float32
    for at in np.ndindex(2, 3):
        np.testing.assert_allclose(found[at], naive(evidence[at], guide[at], radius), atol=1e-5)
    np.testing.assert_allclose(found.sum((2, 3)), evidence.sum((2, 3)), atol=1e-5)


def test_evidence_moves_to_where_the_guide_is_but_no_further_than_the_radius():
    coarse, guide = np.zeros((5, 5)), np.zeros((10, 10))
    coarse[2, 2] = 3.0
    guide[3, 4] = 1.0  # 0.75 cells up, 0.25 to the left of the centre
    found = spread_evidence(coarse, guide)
    assert found[3, 4] > 2.9
    assert found.sum() == pytest.approx(3)
    rows, columns = np.nonzero(found)
    assert abs((rows + 0.5) / 2 - 2.5).max() < 1.5
    assert abs((columns + 0.5) / 2 - 2.5).max() < 1.5
    guide[3, 4], guide[9, 9] = 0, 1.0  # too far away: it is spread evenly by nearness, and stays
    far = spread_evidence(coarse, guide)
    np.testing.assert_allclose(far, spread_evidence(coarse, np.zeros((10, 10))), atol=1e-6)
    np.testing.assert_allclose(far, far[::-1, ::-1], atol=1e-6)


def test_no_sign_is_made_up_and_signs_are_exchangeable():
    rng = np.random.default_rng(0)
    coarse, guide = rng.normal(size=(4, 4)), rng.normal(size=(8, 8))
    found = spread_evidence(coarse, guide)
    np.testing.assert_allclose(spread_evidence(-coarse, -guide), -found, atol=1e-6)
    positive = spread_evidence(np.abs(coarse), guide)
    assert positive.min() >= 0
    np.testing.assert_allclose(positive.sum(), np.abs(coarse).sum(), rtol=1e-6)


def test_maps_that_are_not_finite_are_nan_and_spoil_no_other():
    rng = np.random.default_rng(1)
    coarse, guide = rng.normal(size=(3, 4, 4)), rng.normal(size=(3, 8, 8))
    expected = spread_evidence(coarse, guide)
    coarse[0, 1, 1], guide[1, 0, 0] = np.nan, np.inf
    found = spread_evidence(coarse, guide)
    assert np.isnan(found[:2]).all()
    np.testing.assert_array_equal(found[2], expected[2])


# --- the layer ---


@pytest.mark.parametrize(
    ("name", "layer", "size"),
    [
        ("test_resnet", "layer3", 64),  # layer4.0.act1 is later and as fine, but the shortcut goes around it
        ("test_efficientnet", "blocks.4.0.bn1", 64),
        ("test_convnext", "stages.3.downsample.0", 64),
        ("efficientnet-lite0", "blocks.5.0.bn1", 64),
    ],
)
def test_the_layer_is_the_last_finer_one_that_everything_passes(name, layer, size):
    model = fk.load_model(name, size, "cpu", pretrained=False)
    learning = [p.requires_grad for p in model.module.parameters()]
    assert finer_layer(model) == layer
    assert not any(m._forward_hooks for m in model.module.modules())
    assert [p.requires_grad for p in model.module.parameters()] == learning


class Toy(torch.nn.Module):
    """Two strides of two; `around` adds a way around the middle layer."""

    def __init__(self, around):
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Conv2d(3, 4, 8, 8)
        self.middle = torch.nn.ReLU(inplace=True)
        self.last = torch.nn.Conv2d(4, 6, 2, 2)
        self.around = torch.nn.Conv2d(3, 6, 16, 16) if around else None
        self.fc = torch.nn.Linear(6, 3)

    def features(self, x):
        found = self.last(self.middle(self.first(x)))
        return found if self.around is None else found + self.around(x)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


def toy(around):
    split = fk.Split(lambda module, x: module.features(x), "NCHW", classifier="fc")
    return fk.load_model(Toy(around), SIZE, "cpu", split=split)


def test_a_module_of_your_own_is_probed_too():
    assert finer_layer(toy(around=False)) == "middle"
    with pytest.raises(ValueError, match="all of them pass; Toy has none. Keep detail='cell'"):
        finer_layer(toy(around=True))


# --- the network ---


def test_one_pass_gives_the_spread_of_its_two_maps():
    model = toy(around=False)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    weight, bias = rng.normal(size=(3, 6)), rng.normal(size=3)
    evidence, logit = fine_evidence(model, pixels, weight, bias, "middle")
    cells, embedding = model.features(pixels)
    np.testing.assert_allclose(logit, embedding @ weight.T + bias, atol=1e-5)
    np.testing.assert_allclose(evidence.sum((2, 3)) + bias, logit, atol=1e-4)
    # HiResCAM in closed form: what follows the layer is linear, so its gradient is the strided kernel, transposed.
    with torch.no_grad():
        activation = model.module.middle(model.module.first(model.input(pixels))).numpy()
    kernel = np.einsum("kc,cdyx->kdyx", weight, model.module.last.weight.detach().numpy()) / 16
    guide = np.einsum("ndyx,kdyx->nkyx", activation, np.tile(kernel, (1, 1, 4, 4)))
    coarse = cam_evidence(cells, weight)
    for at in np.ndindex(2, 3):
        np.testing.assert_allclose(evidence[at], naive(coarse[at], guide[at]), atol=1e-4)


def test_a_layer_that_is_not_finer_is_refused():
    model = toy(around=False)
    pixels = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    with pytest.raises(ValueError, match="finer than 4 x 4. Got 4 x 4 at 'last' instead"):
        fine_evidence(model, pixels, np.ones((1, 6)), np.zeros(1), "last")
    with pytest.raises(ValueError, match="no layer named 'midle'. Did you mean 'middle'"):
        fine_evidence(model, pixels, np.ones((1, 6)), np.zeros(1), "midle")


# --- compare ---


def test_fine_evidence_adds_up_to_the_logit(pair, finished, model):
    assert pair.attrs["additive"] == 1
    assert (pair.attrs["method"], pair.attrs["detail"], pair.attrs["detail_layer"]) == ("cam", "fine", "layer3")
    np.testing.assert_allclose(pair["evidence"].sum(("y", "x")) + pair["bias"], pair["logit"], atol=1e-4)
    coarse = fk.compare(fk.open_study(finished), SPECIES[0], 2, model=model, progress=False)
    assert coarse.attrs["detail"] == "cell"
    assert {d: pair.sizes[d] / coarse.sizes[d] for d in ("y", "x")} == {"y": 2, "x": 2}
    np.testing.assert_allclose(pair["logit"], coarse["logit"], atol=1e-3)


def test_cells_cover_the_photo_as_the_coarse_ones_do(pair, finished, model):
    coarse = fk.compare(fk.open_study(finished), SPECIES[0], 2, model=model, progress=False)
    for side, dim in (("width", "x"), ("height", "y")):
        np.testing.assert_allclose(pair[f"cell_{side}"] * pair.sizes[dim], pair[side])
        np.testing.assert_allclose(2 * pair[f"cell_{side}"], coarse[f"cell_{side}"])
    for corner in ("cell_left", "cell_top"):
        np.testing.assert_allclose(pair[corner], coarse[corner])


def test_contrasts_are_linear_in_strength_and_references(pair):
    at_0, at_1, at_2 = (fk.contrast(pair, [0, 1, 2], relu=False).isel(strength=k) for k in range(3))
    tolerance = 1e-5 * float(np.abs(at_0).max())
    np.testing.assert_allclose(at_2, 2 * at_1 - at_0, atol=tolerance)
    evidence = pair["evidence"].values
    np.testing.assert_allclose(at_1, evidence[:, 0] - evidence[:, 1:].mean(1), atol=tolerance)
    first, second = (fk.contrast(pair, 1, references=[r], relu=False) for r in references_of(pair))
    np.testing.assert_allclose((first + second) / 2, at_1, atol=tolerance)
    assert pair.attrs["strength_only_scales"] == 0


def test_a_class_has_the_same_fine_evidence_in_every_comparison(pair, study, model):
    other = fk.compare(
        study, SPECIES[1], [SPECIES[0]], images=pair["image"], detail="fine", model=model, progress=False
    )
    for species in SPECIES[:2]:
        theirs = pair["evidence"].sel(species=species)
        np.testing.assert_allclose(other["evidence"].sel(species=species), theirs, atol=1e-5)


def test_the_guide_is_hirescam_of_each_class(pair, finished, model):
    table = fk.open_study(finished)["species"].to_dataset().sel(species=pair["species"].values)
    head = table["weight"].values, table["bias"].values
    photo = pair.isel(image=2)
    pixels = model.preprocess.pixels(load_image(photo["path"].item()))[None]
    guide, _ = gradcam_evidence(model, pixels, np.arange(3), "layer3", head, pointwise=True)
    coarse = cam_evidence(model.features(pixels)[0], head[0])
    for k in range(3):
        np.testing.assert_allclose(photo["evidence"][k], naive(coarse[0, k], guide[0, k]), atol=1e-4)


def test_downstream_takes_it(pair, study, model, tmp_path):
    assert fk.find_traits(pair, n_traits=2, study=study).sizes["trait"] == 2
    pair = pair.isel(image=slice(3))
    table = fk.evidence_table(pair)
    assert table["peak"].notna().any()
    assert table["peak_x"].dropna().between(0, pair["width"].max().item()).all()
    fk.figures.contrast_grid(pair, [0, 1], 2).save(tmp_path / "grid.png")
    assert (tmp_path / "grid.png").stat().st_size > 1000
    sizes = zip(pair["image"].values, pair["height"].values, pair["width"].values, strict=True)
    whole = {str(i): np.ones((int(h), int(w)), bool) for i, h, w in sizes}
    asked = {"study": study, "model": model, "progress": False}
    scores = fk.score(pair, [0, 1], ["relative_drop", "energy"], masks=whole, top=0.05, **asked)
    scores = scores.sel(map_kind="contrast").where(scores["empty"].sel(map_kind="contrast") == 0, drop=True)
    assert scores.sizes["image"] > 1
    assert np.isfinite(scores["relative_drop"]).all()
    np.testing.assert_allclose(scores["energy"], 1, atol=1e-6)
    assert fk.suggest_strength(pair, [1], **asked)["suggested"] in (0, 1)
    checked = sanity_check(pair.isel(image=[0, 1]), [1], study=study, model=model)
    assert np.isfinite(checked["rank_correlation"]).any()


def test_details_are_different_questions(study, model):
    before = len(study.finerkit.comparisons())
    fine = fk.compare(study, SPECIES[0], 1, detail="fine", model=model, progress=False)
    coarse = fk.compare(study, SPECIES[0], 1, model=model, progress=False)
    again = fk.compare(study, SPECIES[0], 1, detail="fine", model=model, progress=False)
    assert fine.sizes["y"] == 2 * coarse.sizes["y"] == again.sizes["y"]
    assert len(study.finerkit.comparisons()) == before + 2
    earlier = fk.compare(study, SPECIES[0], 1, detail="fine", layer="layer2", model=model, progress=False)
    assert (earlier.sizes["y"], earlier.attrs["detail_layer"]) == (4 * coarse.sizes["y"], "layer2")
    np.testing.assert_allclose(earlier["evidence"].sum(("y", "x")), fine["evidence"].sum(("y", "x")), atol=1e-4)


def test_evidence_that_is_not_finite_is_a_photo_that_failed(study, model, monkeypatch):
    def first_overflows(model, pixels, *rest):
        evidence, logit = fine_evidence(model, pixels, *rest)
        evidence[0, 1, 0, 0] = np.inf
        return evidence, logit

    monkeypatch.setattr("finerkit.evidence.fine.fine_evidence", first_overflows)
    monkeypatch.setattr(type(model), "batch_size", 6)
    with pytest.warns(UserWarning, match="could not be explained"):
        found = fk.compare(study, SPECIES[0], 1, detail="fine", model=model, progress=False)
    assert list(found["status"].values) == ["its evidence is not finite", *["ok"] * 5]
    assert np.isnan(found["evidence"][0]).all()
    assert np.isfinite(found["evidence"][1:]).all()
    assert np.isfinite(fk.evidence_table(found)["margin"][1:]).all()


def test_what_cannot_be_fine_says_why(study, model, tmp_path):
    with pytest.raises(ValueError, match="detail must be one of 'cell', 'fine'. Got 'finer'"):
        fk.compare(study, SPECIES[0], detail="finer")
    with pytest.raises(ValueError, match="adds up, of method='cam'. Got method='hirescam' instead: leave method out"):
        fk.compare(study, SPECIES[0], method="hirescam", detail="fine")
    transformer = fk.load_model("test_vit", SIZE, "cpu", pretrained=False)
    photos = fk.read_images(write_photos(tmp_path / "photos", per_species=5))
    patches = fk.analyze(photos, transformer, tmp_path / "patches.zarr", progress=False)
    with pytest.raises(ValueError, match=r"finer grid than the features' 4 x 4, .* test_vit has none. Keep"):
        fk.compare(patches, SPECIES[0], 1, detail="fine", model=transformer, progress=False)
    assert fk.compare(patches, SPECIES[0], 1, model=transformer, progress=False).sizes["y"] == 4


def test_fine_on_the_command_line(finished, tmp_path):
    store = str(shutil.copytree(finished, tmp_path / "study.zarr"))
    asked = ["compare", store, SPECIES[0], "-k", "1", "--strength", "1", "--photos", "1", "--out", str(tmp_path)]
    assert main([*asked, "--detail", "fine"]) == 0
    study = fk.open_study(store)
    found = fk.compare(study, SPECIES[0], 1, detail="fine", progress=False)
    table = pd.read_csv(next(tmp_path.glob("*.csv")), index_col="image")
    pd.testing.assert_frame_equal(table, fk.evidence_table(found), check_dtype=False, rtol=1e-4)
    assert not table["peak"].equals(fk.evidence_table(fk.compare(study, SPECIES[0], 1, progress=False))["peak"])
