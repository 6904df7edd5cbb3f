"""The browser modules: their own tests run in Node, and each stands alone once its neighbours are written in."""

import re
import subprocess
from pathlib import Path

import pytest
from javascript import STATIC, node

from finerkit.output.widgets.modules import module

SCRIPTS = sorted(p.name for p in STATIC.glob("*.js"))
ENTRIES = [name for name in SCRIPTS if "export default" in (STATIC / name).read_text(encoding="utf-8")]


def test_their_own_tests_pass():
    tests = sorted((Path(__file__).parent / "js").glob("*.test.mjs"))
    assert tests
    finished = subprocess.run([node(), "--test", *tests], capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize("name", ENTRIES)
def test_a_widget_is_one_module_that_stands_alone(name, tmp_path):
    text = module(name)
    assert not re.search(r"^\s*import\b", text, re.MULTILINE), "an import was left: one line, braces, ./name.js"
    assert re.findall(r"^export\b.*$", text, re.MULTILINE) == ["export default { render };"]
    (tmp_path / "alone.mjs").write_text(text)
    checked = subprocess.run([node(), "--check", tmp_path / "alone.mjs"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr  # two neighbours with one name would be an error here


@pytest.mark.parametrize("name", SCRIPTS)
def test_text_never_enters_as_markup_and_nothing_is_fetched(name):
    text = (STATIC / name).read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text)
    addresses = set(re.findall(r"https?://[^\"'\s]+", text)) - {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\bfetch\(|XMLHttpRequest|WebSocket", text)
    assert not addresses
