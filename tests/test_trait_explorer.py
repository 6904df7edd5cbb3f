"""The trait explorer's state in Python: edits, what is saved and what travels. No browser."""

import io
import shutil

import ipywidgets
import numpy as np
import pytest
import traitlets
import xarray as xr
from PIL import Image
from test_traits import REFERENCE, TARGET, planted

import finerkit as fk
from finerkit import traits as tr
from finerkit.output.widgets.page import embedded, scripts
from finerkit.output.widgets.projection import available, follow, project
from finerkit.store import groups as disk
from finerkit.store.lock import writing
from finerkit.traits import edit, saving


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A study on disk, with photos, and traits in it."""
    root = tmp_path_factory.mktemp("study")
    study = planted()
    images = study["images"].to_dataset()
    rng = np.random.default_rng(0)
    for i, image in enumerate(images["image"].values):
        path = root / f"{i:02}.png"
        Image.fromarray(rng.integers(0, 255, (60, 120, 3), np.uint8)).save(path)
        images["path"].loc[{"image": image}] = str(path)
    study["images"].dataset = images
    groups = ("images", "species", "features", "predictions")
    (root / "study.zarr").mkdir()
    with writing(root / "study.zarr"):
        for name in groups:
            disk.write_group(root / "study.zarr", name, study[name].to_dataset())
        disk.commit(root / "study.zarr", *groups, **study.attrs)
    opened = fk.open_study(root / "study.zarr")
    pair = fk.compare(opened, TARGET, [REFERENCE], progress=False)
    fk.find_traits(pair, n_traits=3, share=0.8)
    return root / "study.zarr"


@pytest.fixture
def store(kept, tmp_path):
    return shutil.copytree(kept, tmp_path / "study.zarr")


@pytest.fixture
def explorer(store):
    return fk.TraitExplorer(stored(store))


def stored(store):
    study = fk.open_study(store)
    return study.finerkit.trait(study.finerkit.traits()[0])


def names(data):
    return [str(t) for t in data.trait.values]


def ask(explorer, kind, **more):
    explorer._answer(explorer, {"kind": kind, **more}, [])


def test_edits_are_in_the_dataset_and_in_the_study(explorer, store):
    explorer.rename("trait 1", "white patch")
    explorer.merge(["trait 2", "trait 3"], "dark spots")
    explorer.mark_background("dark spots")
    assert names(explorer.traits) == ["white patch", "dark spots"]
    again = stored(store).load()
    xr.testing.assert_allclose(again.drop_attrs(), explorer.traits.drop_attrs())
    assert again.background.values.tolist() == [False, True]
    assert [e["edit"] for e in edit.history(again)] == ["rename", "merge", "mark_background"]
    assert [e["edit"] for e in explorer.edits] == ["rename", "merge", "mark_background"]
    total = again.trait_evidence.sum("trait") + again.remainder
    np.testing.assert_allclose(total, again.margin, atol=1e-4)
    whole = xr.open_datatree(store, engine="zarr")  # consolidated metadata too
    assert whole["traits/Alba_una-vs-Alba_duo"].sizes["trait"] == 2


def test_undo_takes_back_one_edit_after_the_other(explorer, store):
    before = explorer.traits
    explorer.rename("trait 1", "a")
    explorer.split("a", name="b")
    explorer.undo()
    assert names(explorer.traits) == ["a", "trait 2", "trait 3"]
    explorer.undo()
    xr.testing.assert_identical(saving.synced(before, explorer.traits), explorer.traits)
    assert explorer.edits == []
    assert names(stored(store)) == names(before)
    with pytest.raises(ValueError, match="There is nothing to undo"):
        explorer.undo()


def test_selected_regions_become_a_trait(explorer):
    explorer.regions = [4, 0, 2, 2]
    assert explorer.regions == [0, 2, 4]
    chosen = explorer.selection
    assert chosen.region.values.tolist() == [0, 2, 4]
    evidence = chosen.region_evidence.sum().item()
    explorer.split(name="picked")
    assert explorer.traits.trait_evidence.sel(trait="picked").sum().item() == pytest.approx(evidence, rel=1e-5)
    assert explorer.regions == []
    assert explorer.selection.sizes["region"] == explorer.traits.sizes["region"]


def test_a_selection_can_be_split_off_later(explorer):
    explorer.regions = [1, 3]
    found = tr.split(explorer.traits, None, explorer.selection, name="picked")
    assert (found.region_trait == names(found).index("picked")).sum() == 2


def test_the_browser_asks_and_errors_are_shown(explorer):
    ask(explorer, "rename", old="trait 1", new="patch")
    assert names(explorer.traits)[0] == "patch"
    assert explorer.error == ""
    ask(explorer, "merge", names=["patch"])
    assert explorer.error.startswith("ValueError: Merging needs two traits or more")
    ask(explorer, "background", trait="patch", background=True)
    assert explorer.error == ""
    assert explorer._rows["rows"][0]["background"]
    ask(explorer, "undo")
    assert not explorer.traits.background[0]
    ask(explorer, "dance")
    assert "does not know the request 'dance'" in explorer.error


def test_callbacks_see_edits(explorer):
    seen = []
    explorer.observe(lambda change: seen.append([e["edit"] for e in change["new"]]), "edits")
    explorer.rename("trait 1", "a")
    explorer.undo()
    assert seen == [["rename"], []]
    with pytest.raises(traitlets.TraitError):
        explorer.edits = []


def test_what_cannot_be_saved_is_kept_and_said(explorer, store, monkeypatch):
    shutil.rmtree(store / "traits")
    monkeypatch.setattr(saving.os, "access", lambda *_: False)
    with pytest.raises(RuntimeError, match="The edit was made, but not saved: .* explorer.autosave = False"):
        explorer.rename("trait 1", "a")
    assert names(explorer.traits)[0] == "a"
    monkeypatch.undo()
    explorer.save()
    assert names(stored(store))[0] == "a"


def test_without_autosave_nothing_is_written(explorer, store):
    explorer.autosave = False
    explorer.rename("trait 1", "a")
    assert names(stored(store))[0] == "trait 1"
    assert explorer._about["saved"] == "unsaved"
    assert explorer.save().name == "Alba_una-vs-Alba_duo"
    assert explorer._about["saved"] == "saved"
    assert names(stored(store))[0] == "a"


def test_a_save_that_fails_leaves_what_was(explorer, store, monkeypatch):
    explorer.autosave = False
    explorer.rename("trait 1", "a")

    def broken(*_args, **_more):
        raise OSError("disk full")

    monkeypatch.setattr(saving.disk, "write_group", broken)
    with pytest.raises(OSError, match="disk full"):
        explorer.save()
    monkeypatch.undo()
    assert names(stored(store))[0] == "trait 1"
    assert not list(store.glob(".saving*"))


def test_traits_in_memory(store):
    data = stored(store).load()
    data.attrs.pop("store")
    explorer = fk.TraitExplorer(data)
    assert not explorer.autosave
    explorer.rename("trait 1", "a")
    assert explorer._about["saved"] == "memory"
    with pytest.raises(ValueError, match="do not know a study on disk"):
        explorer.save()


def test_only_what_is_shown_travels(explorer):
    explorer.page_size, explorer.crops = 1, 2
    explorer.page = 1
    (row,) = explorer._rows["rows"]
    assert row["name"] == "trait 2"
    assert len(row["crops"]) == 2
    n = explorer.traits.sizes["region"]
    assert sum(len(v) for v in explorer._points.values()) == 16 * n
    explorer.page = 99
    assert explorer.page == 2
    explorer.region = 3
    assert explorer._region["region"] == 3
    picture = Image.open(io.BytesIO(explorer._region["photo"]))
    left, top, right, bottom = explorer._region["place"]
    assert picture.width / picture.height == pytest.approx((right - left) / (bottom - top), rel=0.1)


def test_the_enlarged_photo_is_the_file_with_its_outlines(explorer):
    image = str(explorer.traits.image.values[0])
    explorer.enlarged = image
    photo = explorer._photo
    assert Image.open(io.BytesIO(photo["photo"])).size == (120, 60)
    assert sum(photo["evidence"]) + photo["remainder"] == pytest.approx(photo["margin"], abs=1e-4)
    assert len(photo["regions"]) == (explorer.traits.region_image == image).sum()
    explorer.merge(["trait 1", "trait 2"])
    assert len(explorer._photo["evidence"]) == 2
    explorer.enlarged = ""
    assert explorer._photo == {}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("regions", [10**6], r"regions must be positions in the range \[0, "),
        ("region", -2, r"region must be a position in the range \[-1, "),
        ("ticked", ["trait 9"], "No trait named 'trait 9'"),
        ("enlarged", "nowhere.jpg", "No photo of these traits named 'nowhere.jpg'"),
        ("projection", "tsne", "projection must be one of 'pca', 'umap'"),
    ],
)
def test_wrong_values_are_explained(explorer, name, value, message):
    with pytest.raises(traitlets.TraitError, match=message):
        setattr(explorer, name, value)


def test_unknown_attributes_are_refused(store):
    with pytest.raises(TypeError, match="TraitExplorer has no attribute 'colour' to set"):
        fk.TraitExplorer(stored(store), colour="red")
    with pytest.raises(TypeError, match="Expected traits, as fk.find_traits"):
        fk.TraitExplorer(xr.Dataset())


def test_traits_is_a_dataset_and_the_libraries_still_find_the_attributes(explorer):
    assert type(explorer.traits) is xr.Dataset
    other = fk.TraitExplorer(explorer.traits)
    traitlets.link((explorer, "region"), (other, "region"))
    explorer.region = 5
    assert other.region == 5
    ipywidgets.jslink((explorer, "region"), (other, "region"))
    assert "region" in explorer.trait_names()
    assert "region" in explorer.keys
    assert "TraitExplorer" in repr(explorer)


def test_a_page_without_kernel_and_a_picture(explorer):
    explorer.rename("trait 1", "</script><b>bold</b>")
    made = embedded(explorer, "one")
    assert made.kind == "traits"
    assert "</script><b>" not in made.body
    assert '"editable": false' in made.body
    assert "import " not in scripts([made.kind])[0].split("//")[0]
    assert Image.open(io.BytesIO(explorer.snapshot())).width >= 640


def test_points_stay_where_they_are(explorer):
    before = explorer.places
    mine = explorer.traits.region_image.values
    explorer.split("trait 1", name="half")
    after = explorer.places
    assert len(after) == len(before)
    for image in np.unique(mine):
        one, two = (
            np.sort(p[m == image], axis=0) for p, m in ((before, mine), (after, explorer.traits.region_image.values))
        )
        np.testing.assert_allclose(one, two)
    merged = tr.merge(explorer.traits, list(explorer.traits.trait.values))
    assert follow(before, fk.TraitExplorer(explorer.traits).traits, merged).shape == (merged.sizes["region"], 2)


def test_principal_components_keep_distances_on_a_plane():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(40, 2)) @ np.linalg.qr(rng.normal(size=(9, 2)))[0].T + 3
    at = project(flat, "pca")
    np.testing.assert_allclose(
        np.linalg.norm(at[:, None] - at[None], axis=2), np.linalg.norm(flat[:, None] - flat[None], axis=2), atol=1e-9
    )
    assert project(flat[:1], "pca").tolist() == [[0, 0]]
    assert project(flat[:2], "pca").shape == (2, 2)


@pytest.mark.skipif("umap" in available(), reason="umap-learn is installed")
def test_umap_that_is_not_installed(explorer):
    with pytest.raises(ImportError, match="pip install umap-learn"):
        explorer.projection = "umap"
