"""A folder of some 340 hostile files: nothing crashes, each is classified in words, and the good ones are right."""

import json
import re
import subprocess
import sys
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest
from hostile import ALONE, NAMES, SPECIES, VACANT, make, picture
from PIL import Image

import finerkit as fk
from finerkit.photos.decode import PhotoError, _to_8_bit, load_image, quiet_pillow

JARGON = re.compile(r"Errno|Traceback|<class|object at 0x|NoneType|\n|/tmp/")


def as_id(name):
    return unicodedata.normalize("NFC", name).replace("\\", "/")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, save_turned):
    root = tmp_path_factory.mktemp("hostile") / "photos"
    files = make(root, save_turned)
    return root, {as_id(k): v for k, v in files.items()}


@pytest.fixture(scope="module")
def read(corpus):
    """Photos as they are read, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        images = fk.read_images(corpus[0], progress=False)
    return images, caught


def test_every_file_is_classified(corpus, read):
    files, (images, _) = corpus[1], read
    assert len(files) >= 300
    assert set(images.image.values) == set(files)
    status = dict(zip(images.image.values, images.status.values, strict=True))
    wrong = {
        name: status[name]
        for name, file in files.items()
        if (file.pixels is not None and status[name] != "ok")
        or (file.reason is not None and not re.fullmatch(file.reason, status[name]))
    }
    assert wrong == {}
    assert [s for s in status.values() if JARGON.search(s) or len(s) > 200] == []
    flipped = [status[name] == "ok" for name in files if "/flipped" in name]
    assert 0 < sum(flipped) < len(flipped)


def test_good_photos_have_the_pixels_they_were_made_of(corpus, read):
    off = {}
    for name, path in zip(read[0].image.values, read[0].path.values, strict=True):
        pixels, tolerance, _ = corpus[1][name]
        if pixels is not None:
            with quiet_pillow():
                found = np.asarray(load_image(path)).astype(int)
            difference = np.abs(found - pixels).max() if found.shape == pixels.shape else found.shape
            if found.shape != pixels.shape or difference > tolerance:
                off[name] = difference
    assert off == {}
    # Each orientation can be told from the others, and cut colours from whole ones, or this tests nothing.
    assert np.abs(picture(1001).astype(int) - picture(1001)[::-1]).max() > 20


def test_what_is_wrong_is_counted_and_named_and_nothing_else_is_said(corpus, read):
    images, caught = read
    said = {w.category: str(w.message) for w in caught}
    assert set(said) == {fk.PhotoWarning, fk.DuplicateWarning}
    bad = int((images.status != "ok").sum())
    assert said[fk.PhotoWarning].startswith(f"{bad} of {images.sizes['image']} photos cannot be read and are left out")
    assert f"and {bad - 5} more" in said[fk.PhotoWarning]
    assert said[fk.DuplicateWarning].startswith("3 pairs of photos are the same file under two species")
    copies = {n: c for n, c in zip(images.image.values, images.duplicate_of.values, strict=True) if c}
    assert copies == {f"{SPECIES[1]}/twice {i}.png": f"{SPECIES[0]}/twice {i}.png" for i in range(3)}


def test_species_that_are_empty_or_have_one_photo(corpus, read):
    found = set(read[0].species.values)
    assert (corpus[0] / VACANT).is_dir()
    assert found == {*SPECIES, ALONE}
    assert (read[0].species == ALONE).sum() == 1


def test_names_are_kept(read):
    assert {as_id(n) for n in NAMES} <= {i.partition("/")[2] for i in read[0].image.values}


def test_no_bomb_fills_the_memory(corpus):
    """Reading all of it in a process of its own takes less than a gigabyte at any time."""
    code = (
        "import sys, json, warnings; warnings.simplefilter('ignore')\n"
        "import finerkit as fk\n"
        "images = fk.read_images(sys.argv[1], progress=False)\n"
        "status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"  # ru_maxrss knows the parent's, too
        "print(json.dumps([len(images.image), int(status['VmHWM'].split()[0])]))"
    )
    if sys.platform != "linux":
        pytest.skip("memory is counted otherwise there")
    out = subprocess.run([sys.executable, "-c", code, corpus[0]], capture_output=True, text=True, check=True).stdout
    count, kilobytes = json.loads(out)
    assert count == len(corpus[1])
    assert kilobytes < 1_000_000


def test_deep_photos_are_brought_to_8_bits_without_copies_of_all_their_pixels():
    import tracemalloc

    deep = Image.fromarray(np.full((3000, 2000), 25700, np.uint16))
    tracemalloc.start()
    try:
        narrow = _to_8_bit(deep)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (narrow == 100).all()
    assert peak < 6 * 3000 * 2000  # in float64, one copy alone is 8


def test_a_file_that_may_not_be_read_is_reported(tmp_path, monkeypatch):
    """By refusing, since the owner of everything may read all."""
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path)
    original = Path.open

    def refuse(self, *args, **kwargs):
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.warns(fk.PhotoWarning, match="no permission to read the file"):
        images = fk.read_images(tmp_path, progress=False)
    assert images.sha256.values.tolist() == images.fingerprint.values.tolist() == [""]
    with pytest.raises(PhotoError, match="no permission to read the file"):
        load_image(path)


@pytest.fixture
def one_thread():
    """Quicker for small batches on a machine that does other things too."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_the_main_job_on_it(corpus, read, tmp_path, one_thread):
    model = fk.load_model("test_resnet", 64, "cpu", pretrained=False)
    with pytest.warns(UserWarning, match=f"1 species could not be judged: .*{ALONE}"):
        study = fk.analyze(read[0], model, tmp_path / "s.zarr", "nearest_mean", progress=False)
    assert study["images"].status.values.tolist() == read[0].status.values.tolist()
    good = study["images"].status.values == "ok"
    assert np.isfinite(study["features/embedding"].values[good]).all()
    assert np.isnan(study["features/embedding"].values[~good]).all()
    assert study["species"]["n_photos"].sum() == good.sum()
    assert study["species"]["n_photos"].sel(species=ALONE) == 1
    pair = fk.compare(study, ALONE, 1, model=model, progress=False)
    np.testing.assert_allclose(pair.evidence.sum(("y", "x")) + pair.bias, pair.logit, atol=1e-3)
    fk.evidence_table(fk.compare(study, SPECIES[1], 1, model=model, progress=False)).to_csv(tmp_path / "t.csv")
