"""Write a folder whole or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

DONE = "done.json"


def is_complete(folder: Path, parameters: dict[str, Any]) -> bool:
    """Tell whether a folder holds the whole data set made with these parameters.

    Raises
    ------
    FileExistsError
        If the folder holds something else.
    """
    done = folder / DONE
    if done.is_file():
        found = json.loads(done.read_text("utf-8"))["parameters"]
        if found == parameters:
            return True
        other = ", ".join(f"{k}={found.get(k)!r}, not {v!r}" for k, v in parameters.items() if found.get(k) != v)
        raise FileExistsError(
            f"{str(folder)!r} already holds a data set made with other parameters ({other}). "
            "Pass another out=, or delete that folder."
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(
            f"{str(folder)!r} is neither empty nor a complete data set (it has no {DONE}). "
            "Expected a new or empty folder: pass another out=, or delete that one."
        )
    return False


@contextmanager
def written_whole(folder: Path, parameters: dict[str, Any]) -> Iterator[Path]:
    """Give a temporary sibling to write into; it takes the folder's name, with done.json, only if all went well."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        part.chmod(0o755)
        yield part
        (part / DONE).write_text(json.dumps({"parameters": parameters}, indent=1) + "\n", "utf-8")
        if folder.is_dir():  # empty, or `is_complete` would have refused it
            folder.rmdir()
        part.rename(folder)
    except OSError:
        # Another process may have finished the same data set meanwhile; then its folder is as good as ours.
        if not is_complete(folder, parameters):
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
