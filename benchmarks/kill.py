"""Kill runs at random moments, many times: the store always opens, and the run that ends equals an uninterrupted one.

Usage: python benchmarks/kill.py [--times 20] [--per-species 200]
First a study is made, then it grows, with photos that were added, changed, renamed and deleted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--per-species", type=int, default=200)
    options = parser.parse_args()
    from killed import change, kill_until_done
    from samples import write_photos

    with tempfile.TemporaryDirectory() as folder:
        photos = write_photos(Path(folder, "photos"), options.per_species)
        for what in ("made", "grown"):
            seconds, left = kill_until_done(photos, Path(folder, "killed.zarr"), options.times)
            row = {"study": what, "kills": options.times, "seconds of a whole run": round(seconds, 1)}
            print(json.dumps(row | {"photos done": left}), flush=True)
            shutil.rmtree(Path(folder, "whole.zarr"))
            change(photos)


if __name__ == "__main__":
    main()
