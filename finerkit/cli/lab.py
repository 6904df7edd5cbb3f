"""Copy the tutorials into a folder, and open JupyterLab there."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

#: Where the notebooks lie: inside an installed finerkit, or beside it in a checkout.
_PLACES = (Path(__file__).parents[1] / "notebooks", Path(__file__).parents[2] / "notebooks")


class Copies(NamedTuple):
    """Names of the tutorials in a folder: copied now, the same as ours already, and changed by someone, so kept."""

    folder: Path
    copied: list[str]
    same: list[str]
    kept: list[str]


def tutorials() -> list[Path]:
    """Return the tutorials that belong to this finerkit, in reading order.

    Returns
    -------
    list of pathlib.Path
        Notebooks.

    Raises
    ------
    FileNotFoundError
        If they were left out when finerkit was installed.
    """
    found = next((files for place in _PLACES if (files := sorted(place.glob("*.ipynb")))), None)
    if found is None:
        raise FileNotFoundError("This installation of finerkit holds no tutorials: install it again.")
    return found


def copy_tutorials(folder: str | os.PathLike[str]) -> Copies:
    """Copy the tutorials into a folder; a copy that somebody changed is never overwritten.

    Parameters
    ----------
    folder
        Made if it is not there. Other files in it are left alone.

    Returns
    -------
    Copies
        What was done with each tutorial.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{str(folder)!r} is a file: give a folder for the tutorials.")
    folder.mkdir(parents=True, exist_ok=True)
    done = Copies(folder, [], [], [])
    for tutorial in tutorials():
        content = tutorial.read_bytes()
        try:
            with (folder / tutorial.name).open("xb") as file:
                file.write(content)
        except FileExistsError:
            same = (folder / tutorial.name).read_bytes() == content
            (done.same if same else done.kept).append(tutorial.name)
        else:
            done.copied.append(tutorial.name)
    return done


def open_lab(folder: str | os.PathLike[str], more: Sequence[str] = ()) -> None:
    """Run JupyterLab on the first tutorial in a folder, until it is stopped.

    Parameters
    ----------
    folder
        From `copy_tutorials`.
    more
        Further options of ``jupyter lab``.

    Raises
    ------
    RuntimeError
        If JupyterLab does not start.
    """
    command = [sys.executable, "-m", "jupyterlab", tutorials()[0].name, *more]
    with subprocess.Popen(command, cwd=folder) as lab:  # noqa: S603 - our own interpreter, no shell
        status = _ended(lab)
    if status > 0:
        raise RuntimeError(f"JupyterLab ended with status {status}. The tutorials are in {str(folder)!r}.")


def _ended(lab: subprocess.Popen) -> int:
    """Wait for JupyterLab. Ctrl-C is for it: it asks whether to shut down, and stops its kernels."""
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            return lab.wait()
