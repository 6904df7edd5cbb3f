"""Studies at addresses: the same as on a disk, to the bit, in memory and on a server that speaks S3."""

import itertools
import os
import uuid
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from samples import SPECIES, draw, stops_at, write_photos
from upath import UPath

import finerkit as fk
from finerkit.store import groups as disk
from finerkit.store import location as places
from finerkit.store import lock
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
    return fk.load_model("test_resnet", 64, "cpu", pretrained=False)


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / "photos", per_species=12)


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.slow)])
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


@in_memory
def test_a_study_at_an_address_is_not_compacted(photos, model, there):
    with pytest.raises(ValueError, match="cannot be compacted, since nothing can be renamed in a bucket: copy"):
        analyze(photos, model, there, compact=True)
    assert not there.exists()


def of(value):
    return xr.Dataset({"a": ("x", np.full(3, value))})


@pytest.mark.parametrize("step", ["remove_group", "rename_or_copy", "commit"])
def test_a_group_whose_replacement_was_cut_short_is_put_in_place_by_the_next_writer(there, tmp_path, monkeypatch, step):
    for store in (there, tmp_path / "s.zarr"):
        disk.commit(store)
        disk.replace_group(store, "traits/mine", of(1))
        with monkeypatch.context() as patched:
            where = places if step == "rename_or_copy" else disk
            done = getattr(where, step)

            def killed(*args, done=done, **kwargs):
                if kwargs.get("replacing"):  # what comes before the moment in question
                    return done(*args, **kwargs)
                raise KeyboardInterrupt

            patched.setattr(where, step, killed)
            with pytest.raises(KeyboardInterrupt):
                disk.replace_group(store, "traits/mine", of(2))
        assert "traits/mine" not in disk.committed(store)
        for _ in range(2):
            disk.finish_replacing(store)
            assert disk.read_group(store, "traits/mine")["a"].values.tolist() == [2, 2, 2]
        disk.replace_group(store, "traits/mine", of(3))
        assert disk.read_group(store, "traits/mine")["a"].values.tolist() == [3, 3, 3]
        assert not [name for name in disk.committed(store) if "." in name]


HOLDER = "process 1 on 'elsewhere', since 2024-01-01 12:00 UTC"


def left_behind(there):
    """A lock whose holder was killed."""
    note = there.with_name(f".{there.name}.lock")
    note.write_text(HOLDER)
    return note


def test_a_lock_that_was_left_names_its_holder_and_can_be_broken(photos, model, there):
    note = left_behind(there)
    with pytest.raises(BlockingIOError, match=rf"is writing to .*: {HOLDER}. Wait .* fk.break_lock\('{there}'\)"):
        analyze(photos, model, there)
    assert note.read_text() == HOLDER
    assert not there.exists()
    fk.break_lock(there)
    fk.break_lock(there)  # where there is none
    left_behind(there)
    analyze(photos, model, there, break_lock=True)
    assert not note.exists()
    with lock.writing(there), lock.writing(there):  # within each other, in one thread
        assert note.read_text().startswith(f"process {os.getpid()} on ")
    assert not note.exists()


@in_memory
def test_servers_refuse_a_lock_in_their_own_ways(there, monkeypatch):
    def refuse(*_, **__):
        raise OSError(22, "PreconditionFailed")

    monkeypatch.setattr(type(there.fs), "pipe_file", refuse)
    with pytest.raises(OSError, match="PreconditionFailed"), lock.writing(there):  # nobody holds it: something else
        pass
    monkeypatch.undo()
    left_behind(there)
    monkeypatch.setattr(type(there.fs), "pipe_file", refuse)
    with pytest.raises(BlockingIOError, match="Another process"), lock.writing(there):
        pass


def test_a_lock_on_a_disk_goes_with_its_process(tmp_path):
    fk.break_lock(tmp_path / "s.zarr")
    assert not list(tmp_path.iterdir())


def test_folders_stay_folders(tmp_path):
    assert places.place("warblers.zarr") == Path("warblers.zarr")
    assert places.place(tmp_path) is tmp_path
    there = places.place(f"file://{tmp_path}/s.zarr")
    assert isinstance(there, Path)
    assert there == tmp_path / "s.zarr"


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_address_without_credentials_says_what_to_do(bucket, monkeypatch):
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    there = UPath("s3://studies/private.zarr", endpoint_url=bucket["endpoint_url"])
    with pytest.raises(ConnectionError, match=r"cannot be reached \(NoCredentialsError: .*Expected a bucket"):
        fk.open_study(there)


@pytest.mark.slow
def test_options_of_an_address_are_remembered_but_never_stored(photos, model, bucket):
    there = UPath(f"s3://studies/{uuid.uuid4().hex}.zarr", **bucket)
    analyze(photos, model, there)
    fk.open_study(str(there))  # by its text, as the attrs of comparisons say it
    text = b"".join(there.fs.cat(there.fs.find(there.path)).values())
    assert bucket["secret"].encode() not in text
    assert bucket["endpoint_url"].encode() not in text
