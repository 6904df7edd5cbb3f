"""A table with gaps: a finished study is opened at once, without lock and without writing."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from samples import SPECIES, write_photos

import finerkit as fk

GAPS = {
    "number": [np.nan, *np.arange(5.0)],
    "text": ["", "a", None, "b", "c", "d"],
    "date": [pd.NaT, *pd.date_range("2024-02-28", periods=5)],
    "flag": [None, True, False, True, True, False],
    "nothing": [np.nan] * 6,
}


@pytest.fixture
def job(tmp_path):
    photos = write_photos(tmp_path / "photos", 6)
    paths = [f"{s}/{i:02}.png" for s in SPECIES for i in range(6)]
    frame = pd.DataFrame({"path": paths, "species": [p.split("/")[0] for p in paths]})
    for name, values in GAPS.items():
        frame[name] = values * 3
    model = fk.load_model("test_resnet", 64, "cpu", pretrained=False)
    images = fk.read_images(photos, frame, progress=False)
    return images, model, tmp_path / "s.zarr"


def written(store):
    return {f: f.stat().st_mtime_ns for f in store.rglob("*") if f.is_file()}


def test_nothing_is_written_again(job):
    images, model, store = job
    first = fk.analyze(images, model, store, progress=False)
    before = written(store)
    again = fk.analyze(images, model, store, progress=False)
    assert written(store) == before
    for name in GAPS:
        assert again["images"][name].equals(first["images"][name])
        np.testing.assert_array_equal(again["images"][name].values, images[name].values)


def test_it_opens_while_another_process_writes(job):
    images, model, store = job
    fk.analyze(images, model, store, progress=False)
    code = (
        "import pathlib\nfrom finerkit.store.lock import writing\n"
        f"with writing(pathlib.Path({str(store)!r})):\n    print(1, flush=True); input()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": os.environ | {"PYTHONWARNINGS": "ignore"}}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as holder:
        assert holder.stdout.readline().strip() == b"1"
        assert fk.analyze(images, model, store, progress=False)["images"].sizes["image"] == 18
        holder.kill()


def test_a_gap_that_was_filled_is_written(job):
    images, model, store = job
    fk.analyze(images, model, store, progress=False)
    images["number"][0] = 7.5
    images["date"][0] = np.datetime64("2020-01-01", "ns")
    study = fk.analyze(images, model, store, progress=False)
    assert study["images"]["number"].values[0] == 7.5
    assert study["images"]["date"].values[0] == np.datetime64("2020-01-01")
