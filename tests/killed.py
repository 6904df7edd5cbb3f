"""Kill a run at random moments, again and again, until it is through: a folder of photos enters; how it went leaves.

``python tests/killed.py run PHOTOS STORE`` is the run that is killed.
"""

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import zarr

ARRAYS = ("images/status", "features/embedding", "features/feature_map", "species/weight", "predictions/logit")


def run(photos, store):
    """Analyse and compare, with a small network; says when it begins."""
    import finerkit as fk

    images = fk.read_images(photos, progress=False)
    model = fk.load_model("resnet18", 64, "cpu", pretrained=False)
    print("begins", flush=True)
    study = fk.analyze(images, model, store, progress=False)
    fk.compare(study, str(study["species"].species.values[0]), progress=False)
    print("done", flush=True)


def start(photos, store):
    command = [sys.executable, __file__, "run", str(photos), str(store)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begins\n", process.stderr.read()
    return process


def kill_until_done(photos, store, times, seed=0):
    """Kill `times` runs at random moments, looking at the store after each; then let one finish.

    Returns the seconds that an uninterrupted run took, and how many photos each killed run had left behind it.
    """
    import finerkit as fk

    whole = store.with_name("whole.zarr")
    process = start(photos, whole)
    begun = time.monotonic()
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    seconds = time.monotonic() - begun
    chance, left = random.Random(seed), []
    for _ in range(times):
        process = start(photos, store)
        time.sleep(chance.uniform(0, seconds / 3))  # so that several kills fall into one run's work
        process.kill()
        process.communicate()
        if Path(store).exists():
            left.append(int((fk.open_study(store)["images"].status == "ok").sum()))
    process = start(photos, store)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    for name in ARRAYS:
        ours, theirs = (zarr.open_array(s, path=name, mode="r")[:] for s in (store, whole))
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
    evidence = [
        next(iter(fk.open_study(s)["comparisons"].children.values()))["evidence"].values for s in (store, whole)
    ]
    np.testing.assert_array_equal(*evidence)
    return seconds, left


if __name__ == "__main__":
    run(*sys.argv[2:])
