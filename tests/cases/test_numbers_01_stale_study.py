"""A study that was opened before its store grew: it reads its own rows, or is refused in words; never other photos'."""

import numpy as np
import pytest
import xarray as xr
from samples import SPECIES, draw, write_photos

import finerkit as fk


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A study as it was opened, a comparison of it, and the study after five photos that sort before the others."""
    model = fk.load_model("test_resnet", 64, "cpu", pretrained=False)
    folder = tmp_path_factory.mktemp("grown")
    photos, store = write_photos(folder / "photos", 12), folder / "s.zarr"
    old = fk.analyze(fk.read_images(photos, progress=False), model, store, progress=False)
    pair = fk.compare(old, SPECIES[2], [SPECIES[1]], name="before", progress=False)
    true = {"evidence": pair.evidence.values.copy(), "embedding": old["features/embedding"].values.copy()}
    for i in range(5):
        draw(SPECIES[0], 100 + i).save(photos / SPECIES[0] / f"00_new{i}.png")
    new = fk.analyze(fk.read_images(photos, progress=False), model, store, progress=False)
    return old, pair, new, true


def test_the_old_study_is_refused_in_words_that_name_the_next_call(grown):
    old, _, new, _ = grown
    with pytest.raises(ValueError, match=r"This study is of an earlier head: .* study = fk.open_study\(.*s\.zarr"):
        fk.compare(old, SPECIES[2], [SPECIES[1]], name="after", progress=False)
    with pytest.raises(ValueError, match="earlier head"):
        fk.similar_species(old, SPECIES[2])
    assert "after" not in new.finerkit.comparisons()


def test_what_was_opened_before_reads_what_it_read_before(grown):
    old, pair, new, true = grown
    np.testing.assert_array_equal(old["features/embedding"].values, true["embedding"])
    np.testing.assert_array_equal(pair.evidence.values, true["evidence"])
    maps = fk.contrast(pair, 1.0, relu=False)
    margin = (pair.logit - pair.bias).sel(species=SPECIES[2]) - (pair.logit - pair.bias).sel(species=SPECIES[1])
    np.testing.assert_allclose(maps.sum(("y", "x")), margin, atol=1e-4)
    kept = new["features/embedding"].sel(image=old["images"].image.values)
    np.testing.assert_array_equal(kept.values, true["embedding"])


def test_a_comparison_of_an_earlier_head_is_not_taken_for_one_of_this(grown):
    _, pair, new, _ = grown
    assert new.finerkit.comparisons() == []
    with pytest.raises(ValueError, match="made with another species head than the study has now"):
        new.finerkit.comparison("before")
    with pytest.raises(ValueError, match="of an earlier head. Choose another name="):
        fk.compare(new, SPECIES[2], [SPECIES[1]], name="before", progress=False)
    with pytest.raises(ValueError, match="made with another species head"):
        fk.find_traits(pair, study=new)
    fresh = fk.compare(new, SPECIES[2], [SPECIES[1]], progress=False)
    assert fresh.attrs["head_id"] != pair.attrs["head_id"]
    right = (
        new["features/embedding"].sel(image=fresh.image).values
        @ new["species/weight"].sel(species=fresh.species).values.T
        + new["species/bias"].sel(species=fresh.species).values
    )
    np.testing.assert_allclose(fresh.logit, right, atol=1e-4)


def test_without_finerkit_the_grown_store_has_unique_ids(grown):
    _, _, new, _ = grown
    plain = xr.open_datatree(new.finerkit.location)
    for group in ("images", "features", "predictions"):
        assert plain[group].indexes["image"].is_unique
        assert plain[group].sizes["image"] == 41
