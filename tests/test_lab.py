"""`finerkit lab`: tutorials are copied once, changed copies are kept, and every installation holds them."""

import sys
import tomllib
from pathlib import Path

import pytest

from finerkit.cli import lab
from finerkit.cli.commands import main

ROOT = Path(__file__).parents[1]
NAMES = [path.name for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]


def test_copies_every_tutorial_as_it_is(tmp_path, capsys):
    assert main(["lab", str(tmp_path / "new" / "folder"), "--copy-only"]) == 0
    assert f"{len(NAMES)} tutorials copied to" in capsys.readouterr().out
    for name in NAMES:
        assert (tmp_path / "new" / "folder" / name).read_bytes() == (ROOT / "notebooks" / name).read_bytes()


def test_a_changed_copy_is_kept_and_said(tmp_path, capsys):
    lab.copy_tutorials(tmp_path)
    mine, other = tmp_path / NAMES[0], tmp_path / "mine.ipynb"
    mine.write_text("my own notes")
    other.write_text("my own notebook")
    (tmp_path / NAMES[-1]).unlink()
    done = lab.copy_tutorials(tmp_path)
    assert (done.copied, done.same, done.kept) == (NAMES[-1:], NAMES[1:-1], NAMES[:1])
    assert mine.read_text() == "my own notes"
    assert other.read_text() == "my own notebook"
    assert main(["lab", str(tmp_path), "--copy-only"]) == 0
    assert f"Kept, since they differ from finerkit's: {NAMES[0]}." in capsys.readouterr().out


def test_a_file_in_the_way_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["lab", str(tmp_path / "file"), "--copy-only"]) == 2
    assert "is a file: give a folder" in capsys.readouterr().err


class Lab:
    """Stands for a JupyterLab that was started; Ctrl-C comes once while it is waited for."""

    status = 0

    def __init__(self, command, cwd):
        self.command, self.cwd, self.waits = command, cwd, 0

    def __enter__(self):
        self.started.append(self)
        return self

    def __exit__(self, *_):
        pass

    def wait(self):
        self.waits += 1
        if self.waits == 1:
            raise KeyboardInterrupt
        return self.status


@pytest.fixture
def started(monkeypatch):
    Lab.started, Lab.status = [], 0
    monkeypatch.setattr(lab.subprocess, "Popen", Lab)
    return Lab.started


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []),
        (["--no-browser"], ["--no-browser"]),
        (["--no-browser", "--jupyter=--port 1"], ["--no-browser", "--port", "1"]),
    ],
)
def test_jupyterlab_is_opened_there_on_the_first_tutorial(tmp_path, started, given, expected):
    assert main(["lab", str(tmp_path), *given]) == 0
    assert started[0].command == [sys.executable, "-m", "jupyterlab", NAMES[0], *expected]
    assert started[0].cwd == tmp_path


def test_ctrl_c_is_left_to_jupyterlab_which_asks_before_it_ends(tmp_path, started):
    assert main(["lab", str(tmp_path)]) == 0
    assert started[0].waits == 2


def test_jupyterlab_that_does_not_start_is_said(tmp_path, started, capsys):
    Lab.status = 1
    assert main(["lab", str(tmp_path)]) == 2
    assert "JupyterLab ended with status 1" in capsys.readouterr().err


def test_tutorials_are_found_in_a_wheel_and_in_a_checkout(tmp_path, monkeypatch):
    assert [path.name for path in lab.tutorials()] == NAMES
    inside, beside = tmp_path / "inside", tmp_path / "beside"
    beside.mkdir()
    (beside / "01-b.ipynb").touch()
    monkeypatch.setattr(lab, "_PLACES", (inside, beside))
    assert lab.tutorials() == [beside / "01-b.ipynb"]
    inside.mkdir()
    (inside / "01-a.ipynb").touch()
    assert lab.tutorials() == [inside / "01-a.ipynb"]
    monkeypatch.setattr(lab, "_PLACES", (tmp_path / "nowhere",))
    with pytest.raises(FileNotFoundError, match="holds no tutorials"):
        lab.tutorials()


def test_wheel_and_sdist_hold_the_tutorials():
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert targets["wheel"]["force-include"]["notebooks"] == "finerkit/notebooks"
    assert "notebooks" in targets["sdist"]["include"]
