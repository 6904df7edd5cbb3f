"""Photos decoded by TorchCodec where the network runs: Pillow's pixels, the same reasons, the same studies."""

import re
import sys
import warnings

import numpy as np
import pytest
import torch
import torchcodec.decoders
from hostile import make, picture
from PIL import Image
from samples import SPECIES, write_photos

import finerkit as fk
from finerkit import device_photo
from finerkit.decoding import run_photos
from finerkit.device_photo import decoded
from finerkit.photo import load_image, read_jpeg
from finerkit.preprocess import Preprocess

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
SIDE = 64


@pytest.fixture
def pretended(monkeypatch):
    """A CUDA device that is the CPU: photos take the way they take on a GPU."""
    real = torchcodec.decoders.decode_jpeg
    asked = []

    def decode_jpeg(photos, *, device):
        assert device == CUDA
        asked.append(len(photos))
        return real(photos)

    monkeypatch.setattr(torchcodec.decoders, "decode_jpeg", decode_jpeg)
    device_photo.check_torchcodec.cache_clear()
    yield asked
    device_photo.check_torchcodec.cache_clear()


@pytest.fixture
def photo(tmp_path):
    def save(name="a.jpg", size=(330, 220), seed=0, **options):
        path = tmp_path / name
        Image.fromarray(picture(seed, size)).save(path, "JPEG", quality=90, **options)
        return path

    return save


def exactly(photo, fit, interpolation):
    """The square by Pillow in float, channel by channel, rounded once at the end; crops cut at whole pixels."""
    filters = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
    values, box = np.asarray(photo).astype(np.float32), None
    width, height = photo.size
    size, at = (SIDE, SIDE), (0, 0)
    if fit == "crop":
        side = min(photo.size)
        left, top = (width - side) // 2, (height - side) // 2
        box = (left, top, left + side, top + side)
    if fit == "pad":
        longest = max(photo.size)
        size = tuple(max(1, round(n * SIDE / longest)) for n in photo.size)
        at = tuple((SIDE - n) // 2 for n in size)
    small = [
        np.asarray(Image.fromarray(c).resize(size, filters[interpolation], box)) for c in np.moveaxis(values, 2, 0)
    ]
    out = np.tile(np.rint(255 * np.array(Preprocess(SIDE).mean)), (SIDE, SIDE, 1))
    out[at[1] : at[1] + size[1], at[0] : at[0] + size[0]] = np.clip(np.rint(np.stack(small, -1)), 0, 255)
    return out


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("fit", ["squash", "pad", "crop"])
@pytest.mark.parametrize("size", [(330, 220), (221, 330), (40, 50)])
def test_pixels_are_those_of_pillow_in_float(photo, fit, interpolation, size):
    path = photo(size=size)
    (found,) = decoded([read_jpeg(path)], Preprocess(SIDE, fit, interpolation), CPU)
    assert found.dtype == np.uint8
    assert found.shape == (SIDE, SIDE, 3)
    assert np.abs(found - exactly(load_image(path), fit, interpolation)).max() <= 1  # where .5 is rounded


def test_crops_begin_within_half_a_pixel_of_pillows(photo):
    path = photo(size=(331, 220))
    assert Preprocess(SIDE, "crop").placement(331, 220, (1, 1)).left == 55.5
    (found,) = decoded([read_jpeg(path)], Preprocess(SIDE, "crop"), CPU)
    values = np.asarray(load_image(path))[:, 55:275]
    np.testing.assert_allclose(found, exactly(Image.fromarray(values), "squash", "bicubic"), atol=1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_upright(photo, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = photo(exif=exif)
    jpeg = read_jpeg(path)
    assert jpeg.orientation == orientation
    (found,) = decoded([jpeg], Preprocess(SIDE), CPU)
    assert np.abs(found - exactly(load_image(path), "squash", "bicubic")).max() <= 1


def test_exif_that_pillow_does_not_know_does_not_turn_photos(photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = photo(exif=exif)
    path.write_bytes(path.read_bytes().replace(b"Exif\0\0", b"Exif\0\xff", 1))
    jpeg = read_jpeg(path)
    assert jpeg.orientation == 1
    assert np.abs(decoded([jpeg], Preprocess(SIDE), CPU)[0] - exactly(load_image(path), "squash", "bicubic")).max() <= 1


def test_grey_and_progressive_files_are_decoded(photo, tmp_path):
    grey = tmp_path / "grey.jpg"
    Image.fromarray(picture(0, (100, 90))).convert("L").save(grey)
    for path in (grey, photo(progressive=True), photo("s.jpg", subsampling=0)):
        (found,) = decoded([read_jpeg(path)], Preprocess(SIDE), CPU)
        assert np.abs(found - exactly(load_image(path), "squash", "bicubic")).max() <= 1


def test_what_decoders_may_read_otherwise_is_left_to_pillow(photo, tmp_path, monkeypatch):
    assert read_jpeg(photo()) is not None
    Image.fromarray(picture(0)).convert("CMYK").save(tmp_path / "cmyk.jpg")
    Image.fromarray(picture(0)).save(tmp_path / "png.jpg", "PNG")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(photo("whole.jpg").read_bytes()[:-40])
    plain, bare = photo("rgb.jpg", keep_rgb=True), tmp_path / "bare.jpg"
    bare.write_bytes(re.sub(rb"\xff\xee..Adobe.{7}", b"", plain.read_bytes(), flags=re.DOTALL))
    with Image.open(bare) as image:
        assert "adobe" not in image.info
    for path in (tmp_path / "cmyk.jpg", tmp_path / "png.jpg", plain, bare, cut):
        assert read_jpeg(path) is None
    monkeypatch.setattr("finerkit.photo.LARGE", 100)
    assert read_jpeg(photo()) is None


def test_bad_photos_do_not_spoil_the_others(photo, monkeypatch, pretended):
    good = [read_jpeg(photo(f"{i}.jpg", seed=i)) for i in range(4)]
    bad = good[0]._replace(data=good[0].data[:300] + good[0].data[-2:])
    found = decoded([good[0], bad, *good[1:]], Preprocess(SIDE), CUDA)
    assert found[1] is None
    for one, jpeg in zip([found[0], *found[2:]], good, strict=True):
        np.testing.assert_array_equal(one, decoded([jpeg], Preprocess(SIDE), CUDA)[0])
    monkeypatch.setattr(device_photo, "AT_ONCE", 2 * good[0].pixels)
    pretended.clear()
    again = decoded(good, Preprocess(SIDE), CUDA)
    assert pretended == [2, 2]
    np.testing.assert_array_equal(again, [found[0], *found[2:]])


@pytest.mark.parametrize("device", [CPU, CUDA])
@pytest.mark.parametrize("batch_size", [1, 7])
def test_hostile_files_have_the_same_reasons_and_pixels(tmp_path, save_turned, device, batch_size, request):
    asked = request.getfixturevalue("pretended") if device == CUDA else []
    root = tmp_path / "photos"
    paths = [str(root / name) for name in make(root, save_turned)]
    found = []
    for decoder in ("pillow", "torchcodec"):
        pixels, failed = {}, {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            batches = list(run_photos([paths], Preprocess(SIDE, decoder=decoder), batch_size, device))
        for batch in batches:
            failed |= batch.failed
            pixels |= dict(zip(batch.indices, batch.pixels, strict=True))
        assert sorted([*pixels, *failed]) == list(range(len(paths)))
        assert [batch.last for batch in batches] == [False] * (len(batches) - 1) + [True]
        found.append((pixels, failed))
    (theirs, why), (ours, ours_why) = found
    assert ours_why == why
    assert len(why) > 50
    apart = {paths[i]: np.abs(ours[i].astype(int) - theirs[i]).mean() for i in ours}
    assert {path: mean for path, mean in apart.items() if mean >= 1} == {}
    if device == CUDA:
        assert sum(asked) > 50
        assert (max(asked) > 1) == (batch_size > 1)


@pytest.fixture(scope="module")
def model():
    return fk.load_model("resnet18", SIDE, "cpu", pretrained=False, decoder="torchcodec")


def test_a_study_says_its_decoder_and_keeps_to_it(tmp_path, model):
    root = write_photos(tmp_path / "photos", per_species=3)
    for path in root.rglob("*.png"):
        Image.open(path).save(path.with_suffix(".jpg"), quality=95)
        path.unlink()
    images = fk.read_images(root, progress=False)
    study = fk.analyze(images, model, tmp_path / "s.zarr", folds=2, progress=False)
    assert study.attrs["decoder"] == "torchcodec"
    pixels = decoded([read_jpeg(path) for path in images["path"].values], model.preprocess, CPU)
    expected = np.concatenate([model.features(one[None])[1] for one in pixels])
    np.testing.assert_array_equal(study["features"]["embedding"], expected)
    pair = fk.compare(fk.open_study(tmp_path / "s.zarr"), SPECIES[0], method="gradcam", model=model, progress=False)
    assert pair.attrs["decoder"] == "torchcodec"
    assert np.isfinite(fk.score(pair, 1, "relative_drop", model=model, progress=False)["relative_drop"]).all()
    other = fk.load_model("resnet18", SIDE, "cpu", pretrained=False)
    with pytest.raises(ValueError, match="differs in decoder"):
        fk.compare(study, SPECIES[0], model=other)
    with pytest.raises(ValueError, match="differs in decoder"):
        fk.analyze(images, other, tmp_path / "s.zarr", folds=2, progress=False)


@pytest.fixture
def unknown():
    device_photo.check_torchcodec.cache_clear()
    yield
    device_photo.check_torchcodec.cache_clear()


@pytest.mark.usefixtures("unknown")
def test_a_device_that_cannot_decode_is_said(photo, monkeypatch):
    def decode_jpeg(photos, *, device):
        raise RuntimeError("built without nvJPEG")

    monkeypatch.setattr(torchcodec.decoders, "decode_jpeg", decode_jpeg)
    with pytest.raises(RuntimeError, match=r"cannot decode JPEG files on 'cuda' \(built without nvJPEG\).*'pillow'"):
        list(run_photos([[str(photo())]], Preprocess(SIDE, decoder="torchcodec"), 1, CUDA))


def test_too_many_photos_at_once_are_decoded_by_halves(photo, monkeypatch):
    jpeg, asked = read_jpeg(photo()), []

    def decode_jpeg(photos, *, device):
        asked.append(len(photos))
        if len(photos) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [torch.zeros(3, 8, 8, dtype=torch.uint8)] * len(photos)

    monkeypatch.setattr(torchcodec.decoders, "decode_jpeg", decode_jpeg)
    fits = 2
    assert len(decoded([jpeg] * 5, Preprocess(SIDE), CPU)) == 5
    assert asked == [5, 2, 3, 1, 2]
    fits = 0
    with pytest.raises(torch.OutOfMemoryError):
        decoded([jpeg] * 2, Preprocess(SIDE), CPU)


@pytest.mark.usefixtures("unknown")
def test_a_decoder_that_is_not_there_is_said(photo, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with pytest.raises(ModuleNotFoundError, match="decoded by torchcodec"):  # where no network is loaded, too
        list(run_photos([[str(photo())]], Preprocess(SIDE, decoder="torchcodec")))
    with pytest.raises(ModuleNotFoundError, match=r"cannot be imported.*pip install 'finerkit\[gpu\]'"):
        fk.load_model(decoder="torchcodec")
    with pytest.raises(ValueError, match="decoder must be one of 'pillow', 'torchcodec'. Got 'nvjpeg'"):
        fk.load_model(decoder="nvjpeg")
    with pytest.raises(ValueError, match="resizes with 'bicubic' or 'bilinear'. Got interpolation='lanczos'"):
        Preprocess(SIDE, interpolation="lanczos", decoder="torchcodec")
