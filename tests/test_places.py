"""Studies at addresses: the same as on a disk, to the bit, in memory and on a server that speaks S3."""

import itertools
import json
import subprocess
import sys
import uuid
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from samples import SPECIES, draw, stops_at, write_photos
from upath import UPath

import finerkit as fk
from finerkit import lock, places
from finerkit.traits import save

pytestmark = [
    # S3's client leaves its connections to the collector, and asks for the time in a way that Python frowns upon.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(botocore|aiobotocore|moto|werkzeug).*"),
]

ARRAYS = ("images/status", "features/embedding", "features/feature_map", "species/weight", "predictions/logit")


@pytest.fixture(scope="module")
def model():
    return fk.load_model("resnet18", 64, "cpu", pretrained=False)


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / "photos", per_species=12)


@pytest.fixture(params=["memory", "s3"])
def there(request):
    """An address where there is nothing yet."""
    options = request.getfixturevalue("bucket") if request.param == "s3" else {}
    return UPath(f"{request.param}://studies/{uuid.uuid4().hex}/warblers.zarr", **options)


in_memory = pytest.mark.parametrize("there", ["memory"], indirect=True)


def analyze(photos, model, store, **options):
    return fk.analyze(fk.read_images(photos, progress=False), model, store, progress=False, **options)


def same(there, path):
    for name in ARRAYS:
        a, b = (zarr.open_array(places.zarr_store(p), path=name, mode="r")[:] for p in (there, path))
        np.testing.assert_array_equal(a, b, err_msg=name)


def names(there):
    """Everything at an address and beside it."""
    return there.fs.find(there.parent.path)


def test_the_whole_job_at_an_address(photos, model, there, tmp_path):
    study = analyze(photos, model, there)
    analyze(photos, model, tmp_path / "s.zarr")
    same(there, tmp_path / "s.zarr")
    assert not [name for name in names(there) if "/warblers.zarr/" not in name]  # no lock, no part is left

    pair = fk.compare(study, SPECIES[0], progress=False)
    assert pair.attrs["store"] == str(there)
    assert fk.compare(fk.open_study(str(there)), SPECIES[0], progress=False).identical(pair)  # the kept answer
    local = fk.compare(fk.open_study(tmp_path / "s.zarr"), SPECIES[0], progress=False)
    np.testing.assert_array_equal(pair["evidence"].values, local["evidence"].values)

    traits = fk.find_traits(pair, seed=0)
    for _ in range(2):  # where there is nothing, and in the place of what is there
        traits = save(traits.assign_attrs(note="mine"))
    again = fk.open_study(there)
    (kept,) = again["traits"].children.values()
    assert kept.attrs["note"] == "mine"
    np.testing.assert_array_equal(kept["trait_evidence"].values, traits["trait_evidence"].values)

    tree = xr.open_datatree(str(there), engine="zarr", storage_options=dict(there.storage_options))
    assert set(tree.children) == {"images", "features", "species", "predictions", "comparisons", "traits"}


@in_memory
def test_an_interrupted_run_goes_on_and_a_study_grows(photos, model, there, tmp_path, monkeypatch):
    original = model.features
    with monkeypatch.context() as patch:
        patch.setattr(model, "features", stops_at(35, original))
        with pytest.raises(KeyboardInterrupt):
            analyze(photos, model, there)
    assert (fk.open_study(there)["images"].status == "ok").sum() == 32  # the first chunk
    counted = itertools.count()
    with monkeypatch.context() as patch:
        patch.setattr(model, "features", lambda pixels: (next(counted), original(pixels))[1])
        analyze(photos, model, there)
        assert next(counted) == 4  # the photos that were left
        draw(SPECIES[1], 300).save(photos / SPECIES[1] / "300.png")
        analyze(photos, model, there)
        assert next(counted) == 6
    analyze(photos, model, tmp_path / "s.zarr")
    ours, theirs = (fk.open_study(p)["features/embedding"].sortby("image") for p in (there, tmp_path / "s.zarr"))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)  # batches of other sizes, rounded to float16
    assert not [name for name in names(there) if "/warblers.zarr/" not in name]


@pytest.mark.parametrize(
    ("there", "moment"),
    [
        ("memory", "before the old one went"),
        ("memory", "before the new one came"),
        ("s3", "half way"),
        ("memory", "at the end"),
    ],
    indirect=["there"],
)
def test_a_replacement_that_is_cut_short_is_finished_by_the_next(photos, model, there, monkeypatch, moment):
    analyze(photos, model, there)
    draw(SPECIES[1], 300).save(photos / SPECIES[1] / "01.png")
    analyze(photos, model, there)
    copy, calls = places.copy, itertools.count(1)

    def half(source, target):  # of the study; the first call copies a group of it
        if next(calls) == 2:
            copy(source / "images", target / "images")
            raise KeyboardInterrupt
        copy(source, target)

    def cut(*_):
        raise KeyboardInterrupt

    def cut_second(*args, function=None):
        return cut() if next(calls) == 2 else function(*args)

    with monkeypatch.context() as patch:
        if moment == "at the end":  # of the note: the lock goes
            unlink = UPath.unlink
            patch.setattr(UPath, "unlink", lambda p, **_: cut() if "replaced-by" in p.name else unlink(p))
        elif moment == "half way":
            patch.setattr(places, "copy", half)
        else:
            name = "remove" if moment == "before the old one went" else "copy"
            patch.setattr(places, name, partial(cut_second, function=getattr(places, name)))
        with pytest.raises(KeyboardInterrupt):
            analyze(photos, model, there, compact=True)
    assert places.is_between(there)
    assert fk.open_study(there)["images"].sizes["image"] == 36
    assert not places.is_between(there)
    study = analyze(photos, model, there)
    assert study["species"]["n_photos"].sum() == 36
    assert len(xr.open_zarr(places.zarr_store(there), group="images").image) == 36
    assert not [name for name in names(there) if "/warblers.zarr/" not in name]


@in_memory
def test_traits_that_are_between_are_not_shown_until_they_are_whole(photos, model, there, monkeypatch):
    traits = fk.find_traits(fk.compare(analyze(photos, model, there), SPECIES[0], progress=False), seed=0)
    original = places.copy

    def half(source, target):
        original(source / "margin", target / "margin")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(places, "copy", half)
        with pytest.raises(KeyboardInterrupt):
            save(traits.assign_attrs(note="mine"))
    with monkeypatch.context() as patch:
        patch.setattr(lock, "PATIENCE", 0.1)
        held = left_behind(there)
        assert not fk.open_study(there)["traits"].children  # another process is at it
        held.unlink()
    (kept,) = fk.open_study(there)["traits"].children.values()
    assert kept.attrs["note"] == "mine"
    assert kept.to_dataset().sizes == traits.sizes
    save(traits)
    assert not [name for name in names(there) if ".saving-" in name or "replaced-by" in name]


@in_memory
def test_a_place_whose_part_is_gone_is_left_as_it_is(photos, model, there):
    analyze(photos, model, there)
    there.with_name(".warblers.zarr.replaced-by").write_text(".warblers.zarr-12345678.part")
    with pytest.raises(FileNotFoundError, match="is gone, which was to take the place of"):
        fk.open_study(there)
    assert (there / "zarr.json").exists()


def test_a_note_that_leads_elsewhere_is_refused(there):
    there.with_name(".warblers.zarr.replaced-by").write_text("../others")
    with pytest.raises(ValueError, match="was not written by finerkit: remove it"):
        fk.open_study(there)


def left_behind(there, **holder):
    """A lock whose holder did not give it back."""
    note = there.with_name(f".{there.name}.lock")
    note.write_text(json.dumps({"token": "theirs", "host": "elsewhere", "pid": 1, "until": 2e10} | holder))
    return note


@pytest.mark.parametrize("holder", ["dead", "silent", "garbled"])
def test_the_lock_of_a_process_that_is_gone_is_taken_over(there, holder, monkeypatch):
    monkeypatch.setattr(lock, "SETTLING", 0.01)
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = {
        "dead": {"host": lock.machine(), "pid": int(dead.stdout)},
        "silent": {"until": 1.0},
        "garbled": {"pid": "<b>"},
    }
    note = left_behind(there, **left[holder])
    with lock.writing(there):
        assert json.loads(note.read_text())["token"] != "theirs"
    assert not note.exists()


def test_a_lock_that_is_held_elsewhere_is_respected_and_stays(photos, model, there, monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE", 0.1)
    note = left_behind(there)
    with pytest.raises(BlockingIOError, match=r"Another process \(1 on 'elsewhere'\) is writing to .*lock ends"):
        analyze(photos, model, there)
    assert json.loads(note.read_text())["host"] == "elsewhere"
    note.unlink()
    with lock.writing(there), lock.writing(there):  # within each other, in one thread
        pass
    assert not note.exists()


@in_memory
def test_servers_refuse_a_lock_in_their_own_ways(there, monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE", 0.1)
    left_behind(there)

    def refuse(*_, **__):
        raise OSError(22, "PreconditionFailed")

    monkeypatch.setattr(type(there.fs), "pipe_file", refuse)
    with pytest.raises(BlockingIOError, match="Another process"), lock.writing(there):
        pass


@in_memory
def test_who_lost_the_lock_writes_no_more(photos, model, there, monkeypatch):
    """As a laptop that was asleep."""
    original = model.features
    monkeypatch.setattr(lock, "LEASE", 1.0)
    monkeypatch.setattr(lock._Lease, "renew_until", lambda *_: None)

    def slow(pixels):
        lock.time.sleep(0.1)
        return original(pixels)

    monkeypatch.setattr(model, "features", slow)
    with pytest.raises(BlockingIOError, match="could not say for 1 s that it was alive"):
        analyze(photos, model, there)
    assert (fk.open_study(there)["images"].status == "pending").all()


def test_a_lock_is_renewed_and_one_that_was_lost_is_told(there, monkeypatch):
    monkeypatch.setattr(lock, "LEASE", 0.5)
    note = there.with_name(f".{there.name}.lock")
    with lock.writing(there):
        first = json.loads(note.read_text())["until"]
        lock.time.sleep(0.4)
        assert json.loads(note.read_text())["until"] > first
    with pytest.raises(BlockingIOError, match="another may have taken over"), lock.writing(there):
        left_behind(there)


def test_folders_stay_folders(tmp_path):
    assert places.place("warblers.zarr") == Path("warblers.zarr")
    assert places.place(tmp_path) is tmp_path
    there = places.place(f"file://{tmp_path}/s.zarr")
    assert isinstance(there, Path)
    assert there == tmp_path / "s.zarr"


def test_addresses_have_one_spelling(bucket):
    there = UPath("s3://studies/a/x.zarr", **bucket)
    assert str(places.place(there)) == "s3://studies/a/x.zarr"
    for same in ("s3://studies/a/x.zarr/", "s3://studies//a/x.zarr", "s3://studies/a//x.zarr"):
        assert str(places.place(same)) == "s3://studies/a/x.zarr"
        assert places.options_of(places.place(same)) == bucket


def test_a_whole_bucket_is_no_place_for_a_study():
    for address in ("s3://studies", "s3://studies/"):
        with pytest.raises(ValueError, match=r"whole bucket. Expected a name in it: 's3://studies/name.zarr'"):
            places.place(address)


@pytest.mark.parametrize("address", ["nowhere://bucket/s.zarr", "abc://x"])
def test_an_unknown_kind_of_address_is_refused(address):
    for ask in (fk.open_study, places.place):
        with pytest.raises(ValueError, match=rf"The address '{address}' cannot be used .*Expected a folder"):
            ask(address)


def test_a_study_that_is_not_there(there):
    with pytest.raises(FileNotFoundError, match="There is no study at '(memory|s3)://"):
        fk.open_study(there)


def test_an_address_without_credentials_says_what_to_do(bucket, monkeypatch):
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    there = UPath("s3://studies/private.zarr", endpoint_url=bucket["endpoint_url"])
    with pytest.raises(ConnectionError, match=r"cannot be reached \(NoCredentialsError: .*Expected a bucket"):
        fk.open_study(there)


def test_options_of_an_address_are_remembered_but_never_stored(photos, model, bucket):
    there = UPath(f"s3://studies/{uuid.uuid4().hex}.zarr", **bucket)
    analyze(photos, model, there)
    fk.open_study(str(there))  # by its text, as the attrs of comparisons say it
    text = b"".join(there.fs.cat(there.fs.find(there.path)).values())
    assert bucket["secret"].encode() not in text
    assert bucket["endpoint_url"].encode() not in text
