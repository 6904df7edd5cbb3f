"""Analysis on a dask cluster: equal to the bit to one process, whatever happens to the workers."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from samples import write_photos
from upath import UPath

import finerkit as fk
from finerkit.analysis import cluster, worker
from finerkit.cli import commands as cli
from finerkit.networks import embed as forward
from finerkit.store import groups as disk
from finerkit.store import location as places
from finerkit.store import lock

distributed = pytest.importorskip("distributed", reason="needs finerkit[distributed]")

pytestmark = [
    pytest.mark.slow,
    # Of the processes that dask starts and of connections that a killed worker leaves; none of ours.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed.*"),
]

ARRAYS = (
    "images/status",
    "features/embedding",
    "features/feature_map",
    "species/weight",
    "species/bias",
    "predictions/logit",
)


@pytest.fixture(scope="module")
def model():
    return fk.load_model("test_resnet", 64, "cpu", pretrained=False)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return fk.read_images(write_photos(tmp_path_factory.mktemp("photos"), per_species=40), progress=False)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, images, model):
    """Store of the run in one process."""
    path = tmp_path_factory.mktemp("alone") / "study.zarr"
    fk.analyze(images, model, path, progress=False)
    return path


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**options) as machines, distributed.Client(machines) as client:
        yield client


@pytest.fixture
def after_first_chunk(monkeypatch):
    """Calls something as soon as the progress bar says that a chunk is done, and records what the bar says."""

    def prepare(do):
        told = []

        class Bar(forward.tqdm):
            def update(self, n=1):
                told.append(n)
                if len(told) == 1:
                    do()

        monkeypatch.setattr(forward, "tqdm", Bar)
        return told

    return prepare


def same(ours, theirs):
    for name in ARRAYS:
        a, b = (zarr.open_array(store, path=name, mode="r")[:] for store in (ours, theirs))
        np.testing.assert_array_equal(a, b, err_msg=name)


def kill(pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


class Tattling(torch.nn.Module):
    """A user's own network that writes down every process it is unpickled in."""

    def __init__(self, file):
        super().__init__()
        self.file = file
        self.layer = torch.nn.Conv2d(3, 8, 8, 8)

    def forward(self, x):
        return self.layer(x)

    def __deepcopy__(self, memo):
        raise TypeError("a network that cannot be copied runs too")

    def __setstate__(self, state):
        super().__setstate__(state)
        with Path(self.file).open("a") as file:
            file.write(f"{os.getpid()}\n")


def test_equal_to_one_process_to_the_bit(images, model, alone, client, tmp_path, after_first_chunk):
    told = after_first_chunk(lambda: None)
    study = fk.analyze(images, model, tmp_path / "s.zarr", client=client)
    same(tmp_path / "s.zarr", alone)
    assert sorted(told) == [24, 32, 32, 32]
    assert (study["images"].status == "ok").all()
    assert (fk.compare(study, "Viridis alba", progress=False).status == "ok").all()


def test_a_network_is_loaded_once_per_worker(images, client, tmp_path):
    file = tmp_path / "loaded.txt"
    own = fk.load_model(Tattling(str(file)), 64, "cpu", split=fk.Split("layer"))
    fk.analyze(images, own, tmp_path / "s.zarr", progress=False, client=client)
    pids = file.read_text().split()
    assert 1 <= len(pids) == len(set(pids)) <= 2
    assert str(os.getpid()) not in pids


def test_a_worker_that_is_killed_loses_nothing(images, model, alone, client, tmp_path, after_first_chunk):
    told = after_first_chunk(lambda: kill([next(iter(client.run(os.getpid).values()))]))
    fk.analyze(images, model, tmp_path / "s.zarr", client=client)
    assert sorted(told) == [24, 32, 32, 32]
    same(tmp_path / "s.zarr", alone)


def test_workers_write_to_a_bucket(images, model, alone, client, bucket, after_first_chunk):
    """Also with one that is killed; the options of the address travel to the others."""
    there = UPath("s3://studies/by-workers.zarr", **bucket)
    after_first_chunk(lambda: kill([next(iter(client.run(os.getpid).values()))]))
    fk.analyze(images, model, there, client=client)
    same(places.zarr_store(there), alone)


def test_the_network_is_sent_again_if_all_workers_are_killed(images, model, alone, client, tmp_path, after_first_chunk):
    told = after_first_chunk(lambda: kill(client.run(os.getpid).values()))
    fk.analyze(images, model, tmp_path / "s.zarr", client=client)
    assert sum(told) == 120
    same(tmp_path / "s.zarr", alone)


def wait_until(true, seconds=10):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_an_interruption_cancels_what_is_pending_and_the_store_goes_on(
    images, model, alone, client, tmp_path, after_first_chunk
):
    def interrupt():
        raise KeyboardInterrupt

    path = tmp_path / "s.zarr"
    after_first_chunk(interrupt)
    with pytest.raises(KeyboardInterrupt):
        fk.analyze(images, model, path, client=client)
    wait_until(lambda: not client.futures)  # the client's own thread lets go of them
    status = fk.open_study(path)["images"].status
    assert 32 <= (status == "ok").sum() < 120
    assert set(status.values) == {"ok", "pending"}
    fk.analyze(images, model, path, progress=False)  # in this process: the two kinds of run go on with each other's
    same(path, alone)


def _fill_disk():
    def full(self, start, **values):
        raise OSError(28, "No space left on device")

    disk.ChunkedGroup.kept, disk.ChunkedGroup.write = disk.ChunkedGroup.write, full


def _empty_disk():
    disk.ChunkedGroup.write = disk.ChunkedGroup.kept


def test_a_full_disk_is_said_and_the_run_can_go_on(images, model, alone, client, tmp_path):
    client.run(_fill_disk)
    with pytest.raises(OSError, match="No space left on device"):
        fk.analyze(images, model, tmp_path / "s.zarr", progress=False, client=client)
    client.run(_empty_disk)
    fk.analyze(images, model, tmp_path / "s.zarr", progress=False, client=client)
    same(tmp_path / "s.zarr", alone)


def test_one_client_writes_at_a_time(images, model, client, tmp_path, monkeypatch):
    import subprocess
    import sys

    monkeypatch.setattr(lock, "PATIENCE", 0.1)
    hold = (
        "import sys; from pathlib import Path; from finerkit.store import lock\n"
        "with lock.writing(Path(sys.argv[1])):\n    print('held', flush=True); input()"
    )
    command = [sys.executable, "-c", hold, tmp_path / "s.zarr"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError, match="Another process is writing to .*: wait until it is done"):
            fk.analyze(images, model, tmp_path / "s.zarr", progress=False, client=client)
        other.kill()
    assert not (tmp_path / "s.zarr").exists()


def test_the_command_line_takes_a_scheduler(images, client, tmp_path, capsys):
    folder = str(Path(images["path"].values[0]).parents[1])
    command = ["analyze", folder, "--store", str(tmp_path / "s.zarr"), "--image-size", "64", "--device", "cpu"]
    (tmp_path / "scheduler.json").write_text(json.dumps({"address": client.scheduler.address}))
    for scheduler in (client.scheduler.address, str(tmp_path / "scheduler.json")):
        assert cli.main([*command, "--scheduler", scheduler, "--overwrite"]) == 0
        assert "120 of 120 photos analysed" in capsys.readouterr().out
    assert cli.main([*command, "--scheduler", str(tmp_path / "nothing.json")]) == 2
    assert "There is no scheduler file" in capsys.readouterr().err


def test_only_a_client_will_do(images, model, tmp_path):
    with pytest.raises(
        TypeError, match=r"client must be a dask.distributed.Client. Got a str instead: Client\(cluster"
    ):
        fk.analyze(images, model, tmp_path / "s.zarr", client="tcp://10.0.0.1:8786")


def test_a_network_that_cannot_be_sent_is_named(images, client, tmp_path):
    own = fk.load_model(Tattling(str(tmp_path / "x")), 64, "cpu", split=fk.Split("layer"))
    own.module.log = (i for i in range(3))
    with pytest.raises(TypeError, match="The network 'Tattling' cannot be sent to the workers .*picklable"):
        fk.analyze(images, own, tmp_path / "s.zarr", progress=False, client=client)


# --- what a worker refuses, asked in this process ---


@pytest.fixture
def parcel(alone, images, monkeypatch):
    monkeypatch.setattr(worker, "_me", lambda: "a worker's name")
    chunk = forward.Chunk(0, np.full(32, "pending", object), images.path.values[:32])
    return cluster._parcel(alone, [chunk])


def test_a_worker_refuses_a_store_of_another_run(parcel):
    with pytest.raises(FileNotFoundError, match="does not see the study that this run writes at .*same path"):
        worker.check_store(parcel, patience=0)


def test_a_worker_refuses_photos_that_it_does_not_see_and_other_versions(parcel):
    from dataclasses import replace

    worker.check_worker(parcel)
    with pytest.raises(FileNotFoundError, match="does not see the photo 'elsewhere.jpg'.*shared file system"):
        worker.check_worker(replace(parcel, photo="elsewhere.jpg"))
    with pytest.raises(RuntimeError, match=r"has torch .* instead of 1.0: install the same versions"):
        worker.check_worker(replace(parcel, versions=parcel.versions | {"torch": "1.0"}))


@pytest.mark.parametrize(("name", "expected"), [("0", "cuda:0"), ("SLURMCluster-5", "cuda:1"), ("anna", "cuda:0")])
def test_workers_share_gpus_by_the_number_in_their_names(name, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert str(worker.own_device(name)) == expected
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # as CUDA_VISIBLE_DEVICES says
    assert str(worker.own_device(name)) == "cuda"
