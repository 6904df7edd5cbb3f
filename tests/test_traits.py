"""Traits of a study whose features are planted: which cells, how many, and that everything adds up."""

import json

import numpy as np
import pytest
import xarray as xr
from PIL import Image
from scipy.stats import spearmanr, ttest_ind
from shapely import Polygon
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

import finerkit as fk
from finerkit.base.roles import references_of, species_coords, target_of
from finerkit.base.user_columns import OURS, columns_of
from finerkit.traits.cells import strong_cells
from finerkit.traits.clusters import bootstrap_stability, centres, choose_number, find_space
from finerkit.traits.place import MARGIN, off_cells
from finerkit.traits.regions import find_regions

TARGET, REFERENCE = "Alba una", "Alba duo"
N, GRID, CHANNELS = 24, 6, 12


def planted(seed=0, background=False):
    """A study in memory: the target has trait A in all photos, and B in the females; so has the reference B.

    A lies at cells (1, 1) and (1, 2), B at (4, 3), or in the corner (5, 5) with `background`.
    """
    rng = np.random.default_rng(seed)
    F = np.abs(rng.normal(0, 1e-4, (2 * N, GRID, GRID, CHANNELS)))
    female = np.arange(2 * N) % 2 == 0
    b = (5, 5) if background else (4, 3)
    for i in range(2 * N):
        if i < N:
            F[i, 1, 1:3, :3] += rng.uniform(0.8, 1.2, (2, 3)) * [1, 0.5, 0]
        if female[i]:
            F[i, *b, 3:6] += rng.uniform(0.8, 1.2, 3) * [1, 0, 0.5]
    F = F.astype(np.float16)
    ids = np.array([f"{TARGET if i < N else REFERENCE}/{i:02}.jpg" for i in range(2 * N)], object)
    ok = np.full(2 * N, "ok", object)
    images = xr.Dataset(
        {
            "species": ("image", np.repeat(np.array([TARGET, REFERENCE], object), N)),
            "path": ("image", ids), "status": ("image", ok),
            "width": ("image", np.full(2 * N, 120)), "height": ("image", np.full(2 * N, 60)),
            "sex": ("image", np.where(female, "f", "m").astype(object)),
            "day": ("image", np.arange(2 * N, dtype=float)),
        },
        {"image": ids},
    )  # fmt: skip
    weight = np.zeros((2, CHANNELS), np.float32)
    weight[0, :6], weight[1, :3] = 3, -3
    bias = np.array([0.5, -0.25], np.float32)
    embedding = F.astype(np.float32).mean((1, 2))
    species = xr.Dataset(
        {"weight": (("species", "feature"), weight), "bias": ("species", bias), "n_photos": ("species", [N, N]),
         "prototype": (("species", "feature"), np.stack([embedding[:N].mean(0), embedding[N:].mean(0)]))},
        {"species": [TARGET, REFERENCE]},
    )  # fmt: skip
    species.attrs = {"head": "linear", "folds": 4, "groups": "", "seed": 0, "C": 1.0}
    features = xr.Dataset(
        {"embedding": (("image", "feature"), embedding), "feature_map": (("image", "y", "x", "feature"), F)},
        {"image": ids},
    )
    fold = np.empty(2 * N, int)
    for k, (_, test) in enumerate(StratifiedKFold(4, shuffle=True, random_state=0).split(F, images["species"].values)):
        fold[test] = k
    logit = embedding @ weight.T + bias
    predictions = {"logit": (("image", "species"), logit), "predicted": images["species"], "fold": ("image", fold)}
    predictions = xr.Dataset(predictions, {"image": ids, "species": [TARGET, REFERENCE]})
    groups = {"images": images, "species": species, "features": features, "predictions": predictions}
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = {
        "grid_rows": GRID, "grid_columns": GRID, "image_size": 96, "fit": "squash", "interpolation": "bicubic",
        "mean": "0.5 0.5 0.5", "std": "0.5 0.5 0.5",
        "model": "planted", "weights_hash": "0", "pretrained": 1, "head": "linear",
        "study_id": f"planted {seed}", "network_id": "planted", "head_id": "planted",
    }  # fmt: skip
    return tree


@pytest.fixture(scope="module")
def study():
    return planted()


@pytest.fixture(scope="module")
def pair(study):
    return fk.compare(study, TARGET, [REFERENCE], progress=False)


@pytest.fixture(scope="module")
def traits(study, pair):
    return fk.find_traits(pair, n_traits=2, share=0.97, study=study)


def test_planted_traits_are_found_where_they_are(traits):
    own = traits.true_species.values == TARGET
    label = traits.label.values[own]
    assert traits.sizes["trait"] == 2
    assert (label[:, 1, 1:3] == 0).all()  # A carries the most evidence, so it is trait 1
    assert (label[::2, 4, 3] == 1).all()
    others = label.copy()
    others[:, 1, 1:3] = others[:, 4, 3] = -1
    assert (others == -1).mean() > 0.99
    np.testing.assert_allclose(traits.prevalence, [1.0, 0.5])
    by_species = traits.prevalence_by_species
    np.testing.assert_allclose(by_species.sel(species=REFERENCE), [0.0, 0.5])
    np.testing.assert_allclose(traits.stability, 1, atol=0.05)


def test_traits_and_remainder_equal_the_margin(traits, study, pair):
    total = traits.trait_evidence.sum("trait") + traits.remainder
    np.testing.assert_allclose(total, traits.margin, atol=1e-4)
    own = pair.image.values
    margin = pair.logit.sel(species=TARGET) - pair.logit.sel(species=REFERENCE)
    np.testing.assert_allclose(traits.margin.sel(image=own), margin, atol=1e-4)
    share = traits.trait_evidence.sel(image=own).sum("image") / margin.sum()
    np.testing.assert_allclose(traits.share_of_margin, share, atol=1e-4)


def test_trait_evidence_is_the_contrast_over_its_cells(traits, pair):
    maps = fk.contrast(pair, 1.0, relu=False)
    label = traits.label.sel(image=pair.image.values).values
    for k in range(2):
        expected = np.where(label == k, maps.values, 0).sum((1, 2))
        np.testing.assert_allclose(traits.trait_evidence.sel(image=pair.image.values)[:, k], expected, atol=1e-4)


@pytest.mark.parametrize("objective", ["softmax", "official"])
def test_it_adds_up_with_several_references_and_every_objective(objective):
    study = planted()
    third = study["species"].to_dataset().isel(species=[1]).assign_coords(species=["Alba tres"])
    third["weight"] = third["weight"] * 0.3 + 0.1
    study["species"].dataset = xr.concat([study["species"].to_dataset(), third], "species", data_vars="minimal")
    pair = fk.compare(study, TARGET, [REFERENCE, "Alba tres"], objective=objective, progress=False)
    found = fk.find_traits(pair, 0.7, n_traits=2, study=study)
    np.testing.assert_allclose(found.trait_evidence.sum("trait") + found.remainder, found.margin, atol=1e-4)
    r = fk.reference_weights(pair)
    logit = pair.logit
    margin = logit.sel(species=TARGET) - 0.7 * (r * logit.sel(species=r.species)).sum("species")
    np.testing.assert_allclose(found.margin.sel(image=pair.image.values), margin, atol=1e-3)


@pytest.mark.parametrize("method", ["kmeans", "agglomerative", "hdbscan", KMeans(n_init=2), SpectralClustering()])
def test_every_method_finds_them(study, pair, method):
    found = fk.find_traits(pair, n_traits=2, share=0.97, method=method, study=study)
    own = found.true_species.values == TARGET
    truth = np.full((N, GRID, GRID), -1)
    truth[:, 1, 1:3] = 0
    truth[::2, 4, 3] = 1
    planted_cells = truth >= 0
    assert adjusted_rand_score(truth[planted_cells], found.label.values[own][planted_cells]) > 0.9


def test_the_number_is_chosen_by_stability(study, pair):
    found = fk.find_traits(pair, share=0.97, study=study)
    assert found.sizes["trait"] == 2
    curve = found.stability_curve
    assert list(curve.statistic.values) == ["n_traits", "adjusted_rand", "standard_error"]
    assert curve[0, 1] > 0.95


def test_the_order_of_photos_and_the_seed(study, pair):
    first = fk.find_traits(pair, share=0.7, n_traits=3, study=study, seed=5)
    again = fk.find_traits(pair, share=0.7, n_traits=3, study=study, seed=5)
    xr.testing.assert_identical(first.drop_attrs(), again.drop_attrs())
    order = np.random.default_rng(0).permutation(2 * N)
    shuffled = planted()
    for name in ("images", "features"):
        shuffled[name].dataset = shuffled[name].to_dataset().isel(image=order)
    turned = fk.compare(shuffled, TARGET, [REFERENCE], images=pair.image.values[::-1], progress=False)
    other = fk.find_traits(turned, share=0.7, n_traits=3, study=shuffled, seed=5)
    other, first = (found.drop_vars("row").drop_attrs() for found in (other, first))
    xr.testing.assert_allclose(other.sel(image=first.image), first)


def test_background_is_flagged():
    study = planted(background=True)
    pair = fk.compare(study, TARGET, [REFERENCE], progress=False)
    by_border = fk.find_traits(pair, n_traits=2, share=0.97, study=study)
    assert list(by_border.background.values) == [False, True]
    animal = np.zeros((60, 120), bool)
    animal[10:20, 20:60] = True  # exactly the cells of A
    found = fk.find_traits(pair, n_traits=2, share=0.97, study=study, masks=lambda image: animal)
    np.testing.assert_allclose(found.off_animal, [0, 1], atol=0.02)
    assert list(found.background.values) == [False, True]
    np.testing.assert_allclose(found.position_x[0], 0.5, atol=0.05)
    np.testing.assert_allclose(found.position_y[0], 0.5, atol=0.05)
    with pytest.raises(ValueError, match=r"must be \(height, width\) = \(60, 120\). Got shape \(120, 60\)"):
        fk.find_traits(pair, n_traits=2, study=study, masks=lambda image: animal.T)


def test_a_cell_is_off_the_animal_if_none_is_near():
    rng = np.random.default_rng(0)
    mask = np.zeros((70, 130), bool)
    mask[rng.integers(10, 60, 3), rng.integers(10, 120, 3)] = True  # thin as can be: three pixels
    left, top, width, height = -4, 3, 20, 10  # the grid begins outside the photo and ends within
    y, x = (v.ravel() for v in np.indices((6, 6)))
    found = off_cells(mask, np.array([left, top, width, height]), x, y)
    down, across = np.nonzero(mask)
    for cell, off in zip(zip(x, y, strict=True), found, strict=True):
        begin_x, begin_y = left + (cell[0] - MARGIN) * width, top + (cell[1] - MARGIN) * height
        wide, high = (1 + 2 * MARGIN) * width, (1 + 2 * MARGIN) * height
        near = (across >= begin_x) & (across < begin_x + wide) & (down >= begin_y) & (down < begin_y + high)
        assert off == (not near.any())
    assert 0 < found.sum() < len(found)


def animal_at(*cells):
    mask = np.zeros((60, 120), bool)
    for y, x in cells:
        mask[10 * y : 10 * y + 10, 20 * x : 20 * x + 20] = True
    return mask


def test_a_background_that_tells_the_species_apart_is_found(study, pair):
    here = fk.test_background(pair, lambda image: animal_at((1, 1), (1, 2)), study=study, permutations=199)
    assert not here.background  # B is off the animal, but as often in the reference
    assert here.p.sel(place="on_animal") == pytest.approx(1 / 200)
    np.testing.assert_allclose(here.share, [1, 0], atol=0.1)
    elsewhere = fk.test_background(pair, lambda image: animal_at((4, 3)), study=study, permutations=199)
    assert elsewhere.background
    np.testing.assert_allclose(elsewhere.share, [0, 1], atol=0.1)
    np.testing.assert_allclose(elsewhere.cells.sum(), 1)
    np.testing.assert_allclose(elsewhere.difference.sum(), here.difference.sum())


def test_the_background_is_judged_by_heads_that_have_not_seen_the_photo(study, pair):
    """Against scikit-learn: the contrast of the folds' own coefficients, over the cells off the animal."""
    found = fk.test_background(pair, lambda image: animal_at((4, 3)), study=study, permutations=9)
    F = study["features"]["feature_map"].values.astype(float)
    X = study["features"]["embedding"].values.astype(float)
    species = study["images"]["species"].values.astype(str)
    off = np.ones((GRID, GRID), bool)
    off[3:6, 2:5] = False
    expected = np.empty(2 * N)
    for train, test in StratifiedKFold(4, shuffle=True, random_state=0).split(X, species):
        scaler = StandardScaler().fit(X[train])
        scaler.scale_ = np.maximum(scaler.scale_, np.median(scaler.scale_))  # as the head does, see species.py
        head = LogisticRegression(C=2, tol=1e-5, max_iter=2000)  # of one row of weights; the softmax has two
        head.fit(scaler.transform(X[train]), species[train] == TARGET)
        expected[test] = (F[test] @ (head.coef_[0] / scaler.scale_) * off).sum((1, 2)) / GRID**2
    order = study["images"].indexes["image"].get_indexer(found.image.values)
    np.testing.assert_allclose(found.evidence.sel(place="off_animal"), expected[order], rtol=1e-3, atol=1e-4)
    own = species == TARGET
    p = ttest_ind(expected[own], expected[~own], equal_var=False)
    t = found.difference / found.standard_error
    assert t.sel(place="off_animal") == pytest.approx(p.statistic, rel=1e-3)


def test_backgrounds_that_cannot_be_tested(study, pair):
    with pytest.raises(ValueError, match=r"at least two each with a mask .* Got 24 and 0: pass masks="):
        fk.test_background(pair, {i: animal_at((1, 1)) for i in pair.image.values}, study=study)
    with pytest.raises(ValueError, match="test_background needs a comparison whose evidence adds up"):
        fk.test_background(pair.assign_attrs(method="gradcam"), {}, study=study)
    own_head = planted()
    own_head["species"].attrs["head"] = "model"
    with pytest.raises(ValueError, match="Only a head trained on the study's photos can be cross-validated"):
        fk.test_background(pair, lambda image: animal_at((1, 1)), study=own_head)


def test_mean_evidence_of_each_species(traits):
    for name in (TARGET, REFERENCE):
        mean = traits.trait_evidence.values[traits.true_species.values == name].mean(0)
        np.testing.assert_allclose(traits.evidence_by_species.sel(species=name), mean)
    more = traits.evidence_by_species.sel(species=TARGET) - traits.evidence_by_species.sel(species=REFERENCE)
    assert more.values.argmax() == 0  # A: B is as strong in the reference


def test_regions_lie_at_their_pixels(traits):
    own = [str(i).startswith(TARGET) for i in traits.region_image.values]
    a = traits.isel(region=np.array(own) & (traits.region_trait.values == 0))
    assert a.sizes["region"] == N
    assert (a.region_cells == 2).all()
    np.testing.assert_allclose(a.region_box, np.tile([20, 10, 60, 20], (N, 1)), atol=1e-6)
    ring = json.loads(a.region_outline.values[0])
    assert len(ring) == 1
    assert {tuple(p) for p in ring[0]} >= {(20, 10), (60, 10), (60, 20), (20, 20)}


def test_exports(study, traits, tmp_path):
    coco = json.loads(fk.to_coco(traits, tmp_path / "t.json").read_text())
    assert [c["name"] for c in coco["categories"]] == ["trait 1", "trait 2"]
    assert len(coco["annotations"]) == traits.sizes["region"]
    first = coco["annotations"][0]
    assert first["area"] == pytest.approx(first["bbox"][2] * first["bbox"][3])
    assert len({i["id"] for i in coco["images"]}) == len(coco["images"])
    files = fk.label_masks(traits, tmp_path / "masks")
    painted = np.asarray(Image.open(files[[f.name == "00.jpg.png" for f in files].index(True)]))
    assert painted.shape == (60, 120)
    assert (painted[10:20, 20:60] == 1).all()
    assert (painted[40:50, 60:80] == 2).all()
    assert (painted > 0).sum() == 10 * 40 + 10 * 20


def test_retrieval_puts_photos_with_the_trait_first(study, traits):
    renamed = traits.assign_coords(trait=["white patch", "dark spot"])
    table = fk.match_trait(renamed, "white patch", study=study)
    assert set(table.species[:N]) == {TARGET}
    assert table.evidence.is_monotonic_decreasing
    assert (table.left[:N] == 20).all()
    with pytest.raises(ValueError, match="No trait named 'white pach'. Did you mean 'white patch'"):
        fk.match_trait(renamed, "white pach", study=study)


def test_a_trait_that_goes_with_sex_is_found(traits):
    with pytest.raises(ValueError, match=r"permutations must be an int in the range \[1, inf\). Got 0"):
        fk.test_traits(traits, "sex", permutations=0)
    table = fk.test_traits(traits, "sex", permutations=999)
    assert table.loc["trait 2", "p"] == pytest.approx(1 / 1000)
    assert table.loc["trait 2", "p_holm"] == pytest.approx(2 / 1000)
    assert table.loc["trait 1", "p"] > 0.01
    assert table.loc["trait 2", "effect"] < -3  # males ("m" after "f") have less
    assert table.loc["trait 2", "measure"] == "Hedges' g"
    assert table.loc["trait 2", "n"] == N
    f, m = table.loc["trait 2", ["mean: f", "mean: m"]]
    assert f > 10 * abs(m)


def test_numbers_are_correlated_and_equal_scipy(traits):
    table = fk.test_traits(traits, "day", permutations=199)
    own = traits.isel(image=traits.true_species.values == TARGET)
    for k in range(2):
        rho = spearmanr(own.trait_evidence[:, k], own.day.values)
        assert table.iloc[k].effect == pytest.approx(rho.statistic)
    assert table.measure.iloc[0] == "Spearman's rho"


def test_permutation_p_values_are_fair():
    """Under no effect, p-values are even: about one in ten below 0.1."""
    rng = np.random.default_rng(0)
    n = 200
    data = xr.Dataset(
        {
            "trait_evidence": (("image", "trait"), rng.normal(size=(20, n))),
            "sex": ("image", np.repeat(["f", "m"], 10)),
        },
        {"trait": [f"{i}" for i in range(n)], "true_species": ("image", ["a"] * 20), **species_coords("a", ["b"])},
    )
    p = fk.test_traits(data, "sex", permutations=199).p
    assert 0.04 < (p <= 0.1).mean() < 0.18
    assert 0.4 < p.mean() < 0.6


def test_columns_that_cannot_be_tested(traits):
    with pytest.raises(ValueError, match="No metadata column named 'sexx'. Did you mean 'sex'"):
        fk.test_traits(traits, "sexx")
    with pytest.raises(ValueError, match="'site' does not vary over the 24 photos"):
        fk.test_traits(traits.assign(site=("image", ["Kandy"] * traits.sizes["image"])), "site")
    with pytest.raises(ValueError, match="No metadata column named 'true_species'"):
        fk.test_traits(traits, "true_species")


def test_strong_cells_are_the_fewest_that_hold_the_share():
    maps = np.array([[[4.0, 3], [2, 1]], [[1, 1], [1, 1]], [[-1, 0], [0, -2]], [[np.nan] * 2] * 2])
    assert strong_cells(maps, 0.5)[0].tolist() == [[True, True], [False, False]]
    assert strong_cells(maps, 0.4)[0].tolist() == [[True, False], [False, False]]
    assert strong_cells(maps, 0.71)[0].sum() == 3
    assert strong_cells(maps, 0.5)[1].tolist() == [[True, True], [False, False]]
    assert not strong_cells(maps, 1.0)[2:].any()
    assert strong_cells(maps, 1.0)[0].all()


def regions_of(labels):
    """Of one photo whose cells are two pixels wide and high."""
    labels = np.array([labels])
    _, height, width = labels.shape
    place, size = np.array([[0, 0, 2, 2.0]]), np.array([[2 * width, 2 * height]])
    return find_regions(labels, np.ones(labels.shape), place, size, np.array(["a.jpg"]))


def test_outlines_have_no_holes():
    rings = json.loads(regions_of([[0, 0, 0], [0, -1, 0], [0, 0, 0]]).region_outline.item())
    assert len(rings) == 2
    assert sum(Polygon(r).area for r in rings) == pytest.approx(8 * 4)


def test_cells_that_touch_at_a_corner_are_one_region():
    found = regions_of([[0, -1, 1], [-1, 0, -1], [1, -1, -1]])
    assert found.region_trait.values.tolist() == [0, 1, 1]
    assert found.region_cells.values.tolist() == [2, 1, 1]
    assert found.cell_region.values.tolist() == [[[0, -1, 1], [-1, 0, -1], [2, -1, -1]]]


def test_photos_without_evidence_have_no_region():
    found = regions_of([[-1, -1], [-1, -1]])
    assert found.sizes["region"] == 0
    assert found.region_box.shape == (0, 4)


def test_stability_tells_clusters_from_noise():
    rng = np.random.default_rng(0)
    centre = rng.normal(size=(3, 5)) * 4
    which = np.tile(np.arange(3), 40)
    points = centre[which] + rng.normal(size=(120, 5)) * 0.3
    photo = np.repeat(np.arange(40), 3)
    assert choose_number(points, photo, "kmeans", 0)[0] == 3
    clusters = centres(points, which, np.ones(120))
    assert (bootstrap_stability(points, photo, clusters, "kmeans", 0) > 0.95).all()
    noise = rng.normal(size=(120, 5))
    arbitrary = centres(noise, which, np.ones(120))
    assert bootstrap_stability(noise, photo, arbitrary, "kmeans", 0).mean() < 0.7


def test_the_space_keeps_distances():
    vectors = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    space = find_space(vectors)
    reduced = space.reduce(vectors)
    np.testing.assert_allclose(
        np.linalg.norm(reduced[3] - reduced[7]), np.linalg.norm(vectors[3] - vectors[7]), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"n_traits": 0},
            r"n_traits must be an int in the range \[1, inf\). Got 0 instead. Or 'auto', which takes the most",
        ),
        ({"share": 0}, r"share must be in the range \(0, 1\]. Got 0"),
        ({"strength": -1}, "strength must be a number in the range"),
        ({"method": "kmean"}, "method must be one of 'kmeans'.*Did you mean 'kmeans'"),
        ({"presence": 0}, "presence must be in the range"),
    ],
)
def test_wrong_parameters_are_explained(study, pair, options, message):
    with pytest.raises(ValueError, match=message):
        fk.find_traits(pair, study=study, **options)


def test_questions_without_an_answer(study, pair):
    with pytest.raises(ValueError, match="needs a comparison whose evidence adds up"):
        fk.find_traits(pair.assign_attrs(method="gradcam"), study=study)
    with pytest.raises(ValueError, match="does not say which study it belongs to: pass study="):
        fk.find_traits(pair)
    with pytest.raises(TypeError, match="or a scikit-learn clustering estimator. Got 3"):
        fk.find_traits(pair, method=3, study=study)


def test_one_trait_is_allowed(study, pair):
    found = fk.find_traits(pair, n_traits=1, share=0.97, study=study)
    assert list(found.trait.values) == ["trait 1"]
    np.testing.assert_allclose(found.prevalence, [1.0])


def test_species_stand_in_order_and_say_their_roles(traits):
    assert (target_of(traits), references_of(traits)) == (TARGET, [REFERENCE])
    assert traits["species"].values.tolist() == [TARGET, REFERENCE]
    others = planted()
    images = others["images"].to_dataset()
    others["images"].dataset = images.assign(species=("image", np.repeat(["Zeta", TARGET, REFERENCE, ""], N // 2)))
    compared = fk.compare(others, TARGET, [REFERENCE], images="all", progress=False)
    found = fk.find_traits(compared, n_traits=2, share=0.97, study=others)
    assert found["species"].values.tolist() == [TARGET, REFERENCE, "Zeta"]
    assert found["role"].values.tolist() == ["target", "reference", "other"]


def test_a_reference_without_photos_has_unknown_prevalence():
    study = planted()
    third = study["species"].to_dataset().isel(species=[1]).assign_coords(species=["Alba tres"])
    third["weight"] = third["weight"] * 0.3 + 0.1
    study["species"].dataset = xr.concat([study["species"].to_dataset(), third], "species", data_vars="minimal")
    compared = fk.compare(study, TARGET, ["Alba tres", REFERENCE], progress=False)
    found = fk.find_traits(compared, n_traits=2, study=study)
    assert references_of(found) == ["Alba tres", REFERENCE]
    assert found["prevalence_by_species"].sel(species="Alba tres").isnull().all()
    assert found["prevalence_by_species"].sel(species=REFERENCE).notnull().all()


def test_what_is_known_of_photos_are_coordinates(traits, study):
    photos = ("true_species", "path", "width", "height", "row", "cell_left", "cell_top", "cell_width", "cell_height")
    assert set(photos) <= set(traits.coords)
    rows = study["images"].indexes["image"].get_indexer(traits["image"].values)
    np.testing.assert_array_equal(traits["row"], rows)
    np.testing.assert_allclose(traits["cell_width"], 120 / GRID)


def test_every_name_is_known_to_be_ours(traits):
    names = {str(n) for n in (*traits.variables, *traits.dims)}
    assert names - set(columns_of(traits)) <= OURS
    assert columns_of(traits) == {"sex": "sex", "day": "day"}
