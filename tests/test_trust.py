"""Stores from elsewhere: hostile metadata, links and codecs are refused in words, and nothing outside is touched."""

import json
import os
import pickle
import shutil
import sys

import numpy as np
import pytest
import xarray as xr
from samples import SPECIES, write_photos

import finerkit as fk
from finerkit.base.roles import target_of

DAMAGED = r"is damaged, or was not written by finerkit: .*Take a whole copy of it, or remove it and make it anew"


@pytest.fixture(scope="module")
def model():
    return fk.load_model("test_resnet", 64, "cpu", pretrained=False)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return fk.read_images(write_photos(tmp_path_factory.mktemp("photos"), per_species=5), progress=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, photos, model):
    path = tmp_path_factory.mktemp("store") / "study.zarr"
    fk.analyze(photos, model, path, progress=False)
    return path


@pytest.fixture
def path(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "study.zarr")


def change(path, node, edit):
    """Edit the metadata of a group or array, and what the root says of it."""
    if node != ".":
        write(path / node / "zarr.json", edit)
        write(path / "zarr.json", lambda root: edit(root["consolidated_metadata"]["metadata"][node]))
    else:
        write(path / "zarr.json", edit)


def write(file, edit):
    metadata = json.loads(file.read_text())
    edit(metadata)
    file.write_text(json.dumps(metadata))


@pytest.mark.parametrize(
    "version", ["1", [1], {"a": 1}, True, None, -5, 0, 1.5, "x" * 10**6], ids=lambda v: f"{v!s:.9}"
)
def test_versions_that_are_none(path, version):
    change(path, ".", lambda d: d["attributes"].update(schema_version=version))
    with pytest.raises(ValueError, match=r"schema_version must be an int in the range \[1, inf\), and is") as error:
        fk.open_study(path)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("node", "edit"),
    [
        ("images/width", lambda d: d["codecs"].append({"name": "numcodecs.pickle", "configuration": {}})),
        ("images/width", lambda d: d.update(data_type="object")),
        ("images/width", lambda d: d.update(shape=[10**12])),
        ("images/width", lambda d: d.update(shape="wide")),
        ("images/status", lambda d: d.update(dimension_names=["y"])),
        ("features/embedding", lambda d: d.update(codecs=5)),
        ("images", lambda d: d.update(node_type="tree")),
    ],
)
def test_metadata_that_make_no_sense(path, node, edit):
    change(path, node, edit)
    with pytest.raises(ValueError, match=DAMAGED):
        fk.open_study(path)


@pytest.mark.parametrize("gone", ["images/status", "images/species", "images/path"])
def test_missing_arrays_are_named(path, gone):
    shutil.rmtree(path / gone)
    with pytest.raises(ValueError, match=f"group 'images' lacks {gone.removeprefix('images/')} along image"):
        fk.open_study(path)


@pytest.mark.parametrize(
    "gone", ["species/n_photos", "species/prototype", "predictions/predicted", "predictions/logit"]
)
def test_missing_arrays_of_a_finished_study_are_named(path, gone):
    shutil.rmtree(path / gone)
    group, name = gone.split("/")
    with pytest.raises(ValueError, match=f"group '{group}' lacks {name} along"):
        fk.open_study(path)


def test_a_head_that_was_half_written_is_not_shown(path, photos, model):
    """As a kill leaves it: the next run fits it again."""
    shutil.rmtree(path / "species" / "n_photos")
    change(path, ".", lambda d: d["attributes"].update(head_id=""))
    study = fk.open_study(path)
    assert not {"species", "predictions"} & set(study.children)
    with pytest.raises(ValueError, match="This study is not finished: its species head .* run fk.analyze"):
        fk.similar_species(study)
    assert "n_photos" in fk.analyze(photos, model, path, progress=False)["species"]


def test_metadata_that_are_no_json(path):
    change(path, ".", lambda d: d.pop("consolidated_metadata"))
    with pytest.raises(ValueError, match=DAMAGED):
        fk.open_study(path)
    (path / "zarr.json").write_bytes(b"\xff\0")
    with pytest.raises(ValueError, match="is not a finerkit study"):
        fk.open_study(path)


def test_an_identity_that_is_none_is_not_ours_to_overwrite(path, photos, model):
    change(path, ".", lambda d: d["attributes"].pop("study_id"))
    with pytest.raises(FileExistsError, match="is not a finerkit study"):
        fk.analyze(photos, model, path, overwrite=True, progress=False)


@pytest.mark.parametrize("filters", [[{"id": "pickle"}], [{"id": "pickle"}, {"id": "delta", "dtype": "<f8"}]])
@pytest.mark.parametrize("dtype", ["|O", "<f8"])
def test_pickles_are_never_read(tmp_path, filters, dtype):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    array = tmp_path / "study.zarr" / "images" / "status"
    array.mkdir(parents=True)
    for folder, attrs in ((array.parents[1], {"schema_version": 1, "identity": {}}), (array.parent, {})):
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
        (folder / ".zattrs").write_text(json.dumps(attrs))
    facts = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": dtype, "fill_value": 0, "order": "C"}
    (array / ".zarray").write_text(json.dumps(facts | {"compressor": None, "filters": filters}))
    (array / ".zattrs").write_text('{"_ARRAY_DIMENSIONS": ["image"]}')
    (array / "0").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="is not a finerkit study"):
        fk.open_study(tmp_path / "study.zarr")
    assert not (tmp_path / "sprung").exists()
    pickle.loads((array / "0").read_bytes())
    assert (tmp_path / "sprung").exists()  # the trap is one


# --- links ---

LINKS = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")


@LINKS
@pytest.mark.filterwarnings("ignore:1 species with fewer photos")
@pytest.mark.parametrize("where", ["comparisons", "species", "features/embedding", "images/status/c/0"])
def test_links_out_of_the_store_are_not_followed(path, tmp_path, photos, model, where):
    """Each use goes through without touching the link, or is refused; one of them goes by it."""
    outside = tmp_path / "outside"
    if (path / where).exists():
        shutil.move(path / where, outside)
    else:
        outside.mkdir()
    precious = outside / "precious.txt" if outside.is_dir() else outside
    precious.write_text("mine")
    before = sorted(outside.rglob("*"))
    (path / where).symlink_to(outside)
    uses = (
        lambda: fk.open_study(path)["features/embedding"].values,
        lambda: fk.compare(fk.open_study(path), SPECIES[0], progress=False),
        lambda: fk.compare(fk.open_study(path), SPECIES[0], name="mine", overwrite=True, progress=False),
        lambda: fk.analyze(photos, model, path, head="nearest_mean", overwrite=True, progress=False),
        lambda: fk.analyze(photos.isel(image=slice(1, None)), model, path, overwrite=True, progress=False),
        lambda: fk.analyze(photos, model, path, overwrite=True, compact=True, progress=False),
    )
    refused = 0
    for use in uses:
        try:
            use()
        except ValueError as error:
            assert f"holds a link that leads out of it, on the way to '{where}" in str(error)  # noqa: PT017
            refused += 1
    assert refused >= 2
    assert sorted(outside.rglob("*")) == before
    assert precious.read_text() == "mine"


@LINKS
def test_a_link_to_a_store_and_links_inside_it_are_fine(path, tmp_path):
    (path / "copy").symlink_to(path / "images")
    (tmp_path / "link.zarr").symlink_to(path)
    assert fk.open_study(tmp_path / "link.zarr")["images"].sizes["image"] == 15


# --- text stays text ---

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "=1+1",
    "x" * 10**5,
    "\u202egpj",
    "${7*7}",
    "%s{0}",
]


def test_hostile_cells_and_attrs_are_shown_as_text(tmp_path, photos, model):
    names = dict(zip(SPECIES, HOSTILE, strict=False))
    hostile = photos.assign(
        species=("image", np.array([names[s] for s in photos.species.values], object)),
        note=("image", np.array([HOSTILE[i % len(HOSTILE)] for i in range(photos.sizes["image"])], object)),
    )
    study = fk.analyze(hostile, model, tmp_path / "s.zarr", folds=2, progress=False)
    assert set(study["images/note"].values) == set(HOSTILE)
    pair = fk.compare(study, HOSTILE[0], progress=False)
    assert target_of(pair) == HOSTILE[0]
    for shown in (study._repr_html_(), pair._repr_html_()):
        assert "<script>alert" not in shown
        assert "<img src=x" not in shown
    figure = fk.figures.contrast_grid(pair, [1], 1)
    figure.save(tmp_path / "f.html")
    page = (tmp_path / "f.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert sorted(p.name for p in tmp_path.iterdir()) == [".s.zarr.lock", "f.html", "s.zarr"]
    xr.testing.assert_equal(
        pair.load(),
        fk.open_study(tmp_path / "s.zarr")[f"comparisons/{study.finerkit.comparisons()[0]}"].to_dataset().load(),
    )
