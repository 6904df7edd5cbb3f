"""Kill runs at random moments, again and again, until one gets through, and compare it with one that nobody killed.

``python tests/killed.py run PHOTOS STORE`` is the run that is killed.
"""

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

ARRAYS = (
    "images/image", "images/status", "images/species", "features/image", "features/embedding", "features/feature_map",
    "species/weight", "predictions/logit", "predictions/fold",
)  # fmt: skip


def run(photos, store):
    """Analyse and compare, with a small network; says when it begins."""
    import finerkit as fk

    images = fk.read_images(photos, progress=False)
    model = fk.load_model("test_resnet", 64, "cpu", pretrained=False)
    print("begins", flush=True)
    study = fk.analyze(images, model, store, overwrite=True, progress=False)
    fk.compare(study, str(study["species"].species.values[0]), progress=False)
    print("done", flush=True)


def start(photos, store):
    command = [sys.executable, __file__, "run", str(photos), str(store)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begins\n", process.stderr.read()
    return process


def finish(photos, store):
    """Let a run finish; returns its seconds."""
    process = start(photos, store)
    begun = time.monotonic()
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return time.monotonic() - begun


def kill_until_done(photos, store, times, seed=0):
    """Kill `times` runs at random moments, looking at the store after each; then let one finish.

    A store that is there is copied first: the run that nobody kills goes on with the copy.
    Returns the seconds that an uninterrupted run took, and how many photos each killed run had left behind it.
    """
    import finerkit as fk

    whole = store.with_name("whole.zarr")
    if store.exists():
        shutil.copytree(store, whole)
        before = xr.open_datatree(store)["features/embedding"].values
    else:
        before = np.empty((0, 96))
    seconds = finish(photos, whole)
    chance, left = random.Random(seed), []
    for _ in range(times):
        process = start(photos, store)
        time.sleep(chance.uniform(0, seconds / 3))  # so that several kills fall into one run's work
        process.kill()
        process.communicate()
        if "images" in (plain := opened(store)).children:
            assert plain["images"].indexes["image"].is_unique
            rows = plain["features/embedding"].values
            np.testing.assert_array_equal(rows[: len(before)], before)  # rows never move
            fk.open_study(store)
            left.append(int((plain["images"].status == "ok").sum()))
    finish(photos, store)
    for name in ARRAYS:
        ours, theirs = (zarr.open_array(s, path=name, mode="r")[:] for s in (store, whole))
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
    ours, theirs = (fk.open_study(s) for s in (store, whole))
    assert ours.attrs["head_id"] == theirs.attrs["head_id"]
    evidence = [s.finerkit.comparison(s.finerkit.comparisons()[-1])["evidence"].values for s in (ours, theirs)]
    np.testing.assert_array_equal(*evidence)
    return seconds, left


def opened(store):
    """A store as plain xarray opens it; empty where there is none yet."""
    return xr.open_datatree(store) if (store / "zarr.json").exists() else xr.DataTree()


def change(photos, seed=0):
    """Add, change, rename and delete some photos of the folders that `samples.write_photos` made."""
    from samples import SPECIES, draw

    for species in SPECIES:
        files = sorted((photos / species).glob("*.png"))
        for i in range(max(2, len(files) // 4)):
            draw(species, 1000 + i + seed).save(photos / species / f"0 new {i}.png")
        draw(species, 2000 + seed).save(files[1])
        files[2].rename(photos / species / "renamed.png")
        files[3].unlink()


if __name__ == "__main__":
    run(*map(Path, sys.argv[2:]))
