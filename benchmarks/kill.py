"""Kill a run at random moments, many times: the store always opens, and the run that ends equals an uninterrupted one.

Usage: python benchmarks/kill.py [--times 20]
"""

from __future__ import annotations

import argparse
import json
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
    from killed import kill_until_done
    from samples import write_photos

    with tempfile.TemporaryDirectory() as folder:
        photos = write_photos(Path(folder, "photos"), options.per_species)
        seconds, left = kill_until_done(photos, Path(folder, "killed.zarr"), options.times)
    print(json.dumps({"kills": options.times, "seconds of a whole run": round(seconds, 1), "photos done": left}))


if __name__ == "__main__":
    main()
