"""Where JavaScript runs outside a browser: Node from the system, or the one that comes with playwright."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[1] / "finerkit" / "output" / "widgets" / "static"


def node() -> str:
    """Path of Node, or the test is skipped."""
    found = shutil.which("node")
    if found is None:
        driver = pytest.importorskip("playwright._impl._driver", reason="neither Node nor playwright is installed")
        found = driver.compute_driver_executable()[0]
    return found


def run(script: str, data, tmp_path: Path):
    """Run a script that sees `data` and our modules by `await at("name.js")`; what it gives to `done` comes back."""
    (tmp_path / "data.json").write_text(json.dumps(data))
    source = f"""
import {{ readFileSync, writeFileSync }} from "node:fs";
const data = JSON.parse(readFileSync({json.dumps(str(tmp_path / "data.json"))}));
const at = (name) => import({json.dumps(STATIC.as_uri())} + "/" + name);
const done = (value) => writeFileSync({json.dumps(str(tmp_path / "out.json"))}, JSON.stringify(value));
{script}
"""
    (tmp_path / "script.mjs").write_text(source)
    finished = subprocess.run([node(), tmp_path / "script.mjs"], capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    return json.loads((tmp_path / "out.json").read_text())
