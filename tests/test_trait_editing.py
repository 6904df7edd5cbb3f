"""Renamed, merged and split traits: every number against one counted here, cell by cell, from the comparison's maps."""

import json

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import label as connected
from test_traits import REFERENCE, TARGET, planted

import finerkit as fk
from finerkit import traits as tr
from finerkit.traits import edit


@pytest.fixture(scope="module")
def study():
    return planted()


@pytest.fixture(scope="module")
def maps(study):
    """Signed contrast of all photos, from comparisons: not from the traits themselves."""
    pair = fk.compare(study, TARGET, [REFERENCE], images="all", progress=False)
    return fk.contrast(pair, 1.0, relu=False).compute()


@pytest.fixture(scope="module")
def traits(study):
    pair = fk.compare(study, TARGET, [REFERENCE], progress=False)
    return fk.find_traits(pair, n_traits=4, share=0.8, study=study)


@pytest.fixture(scope="module")
def busy():
    """Traits of photos full of evidence, so that regions are many and touch."""
    study = planted()
    features = study["features"].to_dataset()
    F = np.abs(np.random.default_rng(3).normal(0, 1, features["feature_map"].shape)).astype(np.float16)
    features["feature_map"].values[:] = F
    features["embedding"].values[:] = F.astype(np.float32).mean((1, 2))
    study["features"].dataset = features
    images = study["images"].to_dataset()
    images["width"][:] = np.random.default_rng(4).integers(90, 300, images.sizes["image"])
    study["images"].dataset = images
    study.attrs["fit"] = "pad"
    pair = fk.compare(study, TARGET, [REFERENCE], progress=False)
    return fk.find_traits(pair, n_traits=4, share=0.9, study=study)


def truth(before, groups, maps, presence=0.25):
    """Numbers of traits that are unions of `groups` of former labels, counted cell by cell."""
    values = maps.sel(image=before.image.values).values.astype(float)
    label = np.full(before.label.shape, -1)
    for k, group in enumerate(groups):
        label[np.isin(before.label.values, group)] = k
    evidence = np.array([[m[one == k].sum() for k in range(len(groups))] for m, one in zip(values, label, strict=True)])
    own = before.true_species.values == TARGET
    shows = np.zeros(evidence.shape, bool)
    for k in range(len(groups)):
        some = evidence[own, k][evidence[own, k] > 0]
        shows[:, k] = evidence[:, k] >= presence * np.median(some)
    return label, evidence, shows, own


def check_whole(found):
    """What holds for any traits, however edited."""
    known = found.margin.notnull()
    total = found.trait_evidence.sum("trait", skipna=False) + found.remainder
    np.testing.assert_allclose(total[known], found.margin[known], atol=1e-3)
    own = (found.true_species == TARGET) & known
    share = found.trait_evidence[own].sum("image") / total[own].sum()
    np.testing.assert_allclose(found.share_of_margin, share, rtol=1e-9)
    label, region = found.label.values, found.cell_region.values
    assert (label[region >= 0] == found.region_trait.values[region[region >= 0]]).all()
    check_regions(found, label, region)


def check_regions(found, label, region):
    """Regions are the touching cells of a trait, in order, with their own evidence and cells."""
    maps = found.contrast.values
    order = []
    for i in range(len(label)):
        for k in range(found.sizes["trait"]):
            parts, n = connected(label[i] == k, np.ones((3, 3)))
            for j in range(1, n + 1):
                inside = parts == j
                ids = np.unique(region[i][inside])
                assert len(ids) == 1
                if ids[0] < 0:
                    continue  # wholly in the padding
                order.append(ids[0])
                assert (region[i] == ids[0]).sum() == inside.sum() == found.region_cells[ids[0]]
                assert found.region_evidence[ids[0]] == pytest.approx(maps[i][inside].sum(), rel=1e-4)
                assert found.region_image[ids[0]].item() == found.image[i].item()
    assert order == list(range(found.sizes["region"]))


def same_form(found, before):
    assert set(found.variables) == {*before.variables, "edit"}
    for name, values in before.variables.items():
        assert found[name].dims == values.dims, name
        assert found[name].dtype.kind == values.dtype.kind, name


def test_found_traits_hold_together(traits, busy):
    check_whole(traits)
    check_whole(busy)
    cells = busy.region_vector.weighted(busy.region_cells)
    assert np.isfinite(cells.mean("region")).all()


def test_merged_traits_are_counted_again(traits, maps):
    found = tr.merge(traits, ["trait 2", "trait 3"], "spots")
    assert list(found.trait.values) == ["trait 1", "spots", "trait 4"]
    label, evidence, shows, own = truth(traits, [[0], [1, 2], [3]], maps)
    np.testing.assert_array_equal(found.label, label)
    np.testing.assert_allclose(found.trait_evidence, evidence, atol=1e-4)
    np.testing.assert_array_equal(found.shows, shows)
    np.testing.assert_allclose(found.prevalence, shows[own].mean(0))
    np.testing.assert_allclose(found.prevalence_by_species.sel(species=REFERENCE), shows[~own].mean(0))
    best = np.flatnonzero(own)[np.argsort(-evidence[own, 1], kind="stable")][:8]
    np.testing.assert_allclose(
        np.sort(evidence[best, 1]), np.sort(found.trait_evidence.sel(image=found.exemplar[1].values)[:, 1]), atol=1e-4
    )
    assert np.isnan(found.stability[1])
    np.testing.assert_array_equal(found.stability[[0, 2]], traits.stability[[0, 3]])
    same_form(found, traits)
    check_whole(found)


def test_regions_that_touch_are_joined(busy):
    found = tr.merge(tr.merge(busy, ["trait 1", "trait 3"]), ["trait 2", "trait 4"])
    assert list(found.trait.values) == ["trait 1 + trait 3", "trait 2 + trait 4"]
    assert found.sizes["region"] < busy.sizes["region"]
    check_whole(found)
    everything = tr.merge(found, list(found.trait.values), "all")
    check_whole(everything)
    shape = json.loads(everything.region_outline.values[0])
    left, top, right, bottom = everything.region_box.values[0]
    points = np.concatenate([np.array(ring) for ring in shape])
    np.testing.assert_allclose([*points.min(0), *points.max(0)], [left, top, right, bottom], atol=0.01)


def test_vectors_of_joined_regions_are_means_over_cells(busy):
    found = tr.merge(busy, ["trait 1", "trait 2"])
    i = int(found.region_cells.values.argmax())
    inside = found.cell_region.values == i
    before = busy.cell_region.values[inside]  # -1: in the padding, where no region was
    expected = busy.region_vector.values[before[before >= 0]].mean(0)
    np.testing.assert_allclose(found.region_vector[i], expected, atol=1e-5)


def test_chosen_regions_become_a_trait(traits):
    mine = np.flatnonzero(traits.region_trait.values == 0)[::3]
    found = tr.split(traits, "trait 1", mine, name="left ones")
    assert list(found.trait.values) == ["trait 1", "left ones", "trait 2", "trait 3", "trait 4"]
    for i, image in enumerate(traits.image.values):
        here = mine[traits.region_image.values[mine] == image]
        expected = traits.region_evidence.values[here].sum()
        assert found.trait_evidence[i, 1].item() == pytest.approx(expected, abs=1e-5)
        rest = traits.trait_evidence[i, 0].item() - expected
        assert found.trait_evidence[i, 0].item() == pytest.approx(rest, abs=1e-5)
    np.testing.assert_allclose(found.trait_evidence[:, 2:], traits.trait_evidence[:, 1:])
    np.testing.assert_array_equal(np.isnan(found.stability), [True, True, False, False, False])
    same_form(found, traits)
    check_whole(found)


def test_regions_of_several_traits_become_one(busy):
    mine = np.arange(0, busy.sizes["region"], 3)
    found = tr.split(busy, None, mine, name="mixed")
    check_whole(found)
    expected = busy.region_evidence.values[mine].sum()
    assert found.trait_evidence.sel(trait="mixed").sum().item() == pytest.approx(expected, rel=1e-5)
    all_of_two = np.flatnonzero(busy.region_trait.values < 2)
    one = tr.split(busy, None, all_of_two, name="both")
    check_whole(one)
    merged = tr.merge(busy, ["trait 1", "trait 2"], "both")
    np.testing.assert_array_equal(one.cell_region, merged.cell_region)
    np.testing.assert_allclose(one.region_vector, merged.region_vector, atol=1e-6)


def test_k_means_parts_two_planted_kinds(study):
    """Two kinds of cells, found as one trait, are parted again as they were planted."""
    pair = fk.compare(study, TARGET, [REFERENCE], progress=False)
    one = fk.find_traits(pair, n_traits=1, share=0.97, study=study)
    two = tr.split(one, "trait 1", name="in females")
    own = two.true_species.values == TARGET
    label = two.label.values[own]
    assert (label[:, 1, 1:3] == 0).all()
    assert (label[::2, 4, 3] == 1).all()
    np.testing.assert_allclose(two.prevalence, [1.0, 0.5])
    check_whole(two)


def test_splitting_and_merging_again_gives_what_was(busy):
    parts = tr.split(busy, "trait 2", name="half")
    back = tr.merge(parts, ["trait 2", "half"], "trait 2")
    names = set(busy.variables) - {"stability", "centre", "radius", "cluster_trait"}
    for name in sorted(names):
        xr.testing.assert_allclose(back[name].drop_attrs(), busy[name].drop_attrs())


def test_a_trait_without_a_centre_of_its_own_is_still_found_in_photos(study, traits):
    merged = tr.merge(traits, ["trait 2", "trait 3"], "spots")
    both = [fk.match_trait(traits, t, study=study) for t in ("trait 2", "trait 3")]
    found = fk.match_trait(merged, "spots", study=study)
    assert found.cells.sum() == sum(t.cells.sum() for t in both)
    assert found.evidence.sum() == pytest.approx(sum(t.evidence.sum() for t in both), rel=1e-4)
    for part in ("trait 1", "trait 4"):
        assert len(fk.match_trait(merged, part, study=study)) == len(fk.match_trait(traits, part, study=study))


def test_names_and_marks(traits):
    found = tr.mark_background(tr.rename(traits, "Trait_2", "  white   patch "), "white patch")
    assert list(found.trait.values) == ["trait 1", "white patch", "trait 3", "trait 4"]
    assert bool(found.background[1])
    assert not tr.mark_background(found, "white patch", False).background[1]
    assert list(traits.trait.values)[1] == "trait 2"
    assert not traits.background[1]
    xr.testing.assert_identical(found.trait_evidence.drop_vars("trait"), traits.trait_evidence.drop_vars("trait"))


def test_a_mark_made_by_hand_outlives_splitting_and_merging(traits):
    marked = tr.mark_background(traits, "trait 1")
    parts = tr.split(marked, "trait 1", name="part")
    assert parts.background.values.tolist()[:2] == [True, True]
    assert tr.merge(parts, ["trait 1", "part"]).background.values[0]
    assert not tr.merge(traits, ["trait 1", "trait 2"]).background.values[0]


def test_what_was_done_is_kept(traits):
    found = tr.merge(tr.rename(traits, "trait 1", "eye"), ["eye", "trait 2"], "face")
    done = edit.history(found)
    assert [d["edit"] for d in done] == ["rename", "merge"]
    assert done[1]["traits"] == ["eye", "trait 2"]
    assert done[1]["name"] == "face"
    assert edit.history(traits) == []
    assert (found.attrs["edited"], "edited" in traits.attrs) == (2, False)
    assert found["edit"].dims == ("edit",)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda d: tr.rename(d, "trait 9", "x"), "No trait named 'trait 9'. Did you mean"),
        (lambda d: tr.rename(d, "trait 1", " "), "name is text of at least one letter. Got ' '"),
        (lambda d: tr.rename(d, "trait 1", "Trait_2"), "There is another trait named 'Trait_2'"),
        (lambda d: tr.rename(d, "trait 1", "sex"), "'sex' is a column of the phenotype table already"),
        (lambda d: tr.merge(d, ["trait 1"]), r"Merging needs two traits or more. Got \['trait 1'\]"),
        (lambda d: tr.merge(d, ["trait 1", "trait 1"]), "Merging needs two traits or more"),
        (lambda d: tr.split(d), "Nothing to split: name a trait, or pass regions"),
        (lambda d: tr.split(d, "trait 1", []), "No region is selected"),
        (lambda d: tr.split(d, "trait 1", [-1]), r"regions must be positions in the range \[0, "),
        (lambda d: tr.split(d, "trait 1", [0.5]), "regions must be positions"),
        (
            lambda d: tr.split(d, "trait 1", np.flatnonzero(d.region_trait.values == 1)),
            "of these regions are not of 'trait 1'",
        ),
        (
            lambda d: tr.split(d, None, np.flatnonzero(d.region_trait.values == 1)),
            "These are all the regions of 'trait 2': leave some with it",
        ),
        (lambda d: tr.rename(d.isel(region=[0]).drop_vars("cell_region"), "trait 1", "x"), "hold no 'cell_region'"),
    ],
)
def test_wrong_edits_are_explained(traits, work, message):
    with pytest.raises(ValueError, match=message):
        work(traits)


def test_other_things_are_refused():
    with pytest.raises(TypeError, match="Expected traits, as fk.find_traits"):
        tr.rename(xr.Dataset(), "a", "b")
