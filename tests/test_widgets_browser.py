"""The strength explorer in a real JupyterLab: drawn, moved by mouse and keys, with one state for Python and browser."""

import numpy as np
import pytest

import finerkit as fk

pytestmark = pytest.mark.slow

START = """
from pathlib import Path
from samples import random_pair
import finerkit as fk
pair = random_pair(Path("photos"), photos=14)
explorer = fk.StrengthExplorer(pair, page_size=6)
explorer
"""

#: What is to be drawn over the second photo, in the notebook's kernel.
EXPECTED = """
from finerkit.base.geometry import GridPlace
from painted import painted
place = GridPlace.of(pair.isel(image=1)).scaled(73 / 30, 220 / 90)
map = fk.contrast(pair, explorer.strength, references=explorer.references, relu=False).isel(image=1).values
cmap = explorer.cmap_signed if explorer.signed else explorer.cmap
expected = painted(map, (73, 220), place, cmap, explorer.limit, signed=explorer.signed, opacity=explorer.opacity)
"""

#: The pixels of one map, composited on black so that colours of transparent pixels do not count.
PIXELS = """(i) => {
  const canvas = document.querySelectorAll(".fk-tile canvas")[i];
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return { width: canvas.width, height: canvas.height, pixels: Array.from(pixels) };
}"""


def pixels(page, i=0):
    found = page.evaluate(PIXELS, i)
    rgba = np.array(found["pixels"], float).reshape(found["height"], found["width"], 4)
    return rgba[..., :3] * rgba[..., 3:] / 255


@pytest.fixture(scope="module")
def notebook(lab):
    with lab.run(START) as opened:
        opened.page.wait_for_selector(".fk-tile canvas", timeout=90_000)
        yield opened


def slider(page):
    return page.get_by_label("Comparison strength").first


def test_it_is_drawn(notebook):
    page = notebook.page
    assert page.locator(".fk-tile").count() == 6
    assert "1\u20136 of 14 photos" in page.locator(".fk-pager").inner_text()
    assert pixels(page).max() > 50


def test_arrow_keys_reach_the_slider(notebook):
    page = notebook.page
    before = notebook.ask("explorer.strength")
    drawn = pixels(page)
    slider(page).focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    notebook.until("round(explorer.strength, 3)", round(before + 0.2, 3))
    assert np.abs(pixels(page) - drawn).max() > 5
    assert page.evaluate("document.activeElement.type") == "range"  # the notebook did not take the keys


def test_mouse_drags_the_slider(notebook):
    page = notebook.page
    box = slider(page).bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 4, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, middle, steps=12)
    page.mouse.up()
    notebook.until("explorer.strength", 2.0)


@pytest.mark.parametrize(("strength", "references", "signed"), [(0.0, [0, 1, 2], False), (1.35, [1], True)])
def test_python_sets_the_state_and_browser_draws_the_same_contrast(notebook, strength, references, signed):
    page = notebook.page
    notebook.tell(
        f"explorer.strength, explorer.signed, explorer.sort = {strength}, {signed}, 'name'\n"
        f"explorer.references = [str(pair.species.values[1 + i]) for i in {references}]"
    )
    page.wait_for_function("s => document.querySelector('.fk input[type=range]').value == s", arg=strength)
    page.wait_for_timeout(300)
    notebook.tell(EXPECTED)
    expected = np.array(notebook.ask("expected.tolist()"), float)
    drawn = pixels(page, 1)
    assert drawn.shape[:2] == expected.shape[:2]
    assert np.abs(drawn - expected[..., :3] * expected[..., 3:] / 255).max() <= 2.5  # canvases keep premultiplied bytes


def test_references_are_ticked_and_one_always_stays(notebook):
    page = notebook.page
    notebook.tell("explorer.references = [str(s) for s in pair.species.values[1:3]]")
    page.wait_for_timeout(300)
    page.get_by_label("Rubra a").uncheck()
    notebook.until("explorer.references", ["Rubra b"])
    page.wait_for_timeout(200)
    assert page.get_by_label("Rubra b").is_disabled()


def test_pages_travel_when_they_are_turned(notebook):
    page = notebook.page
    notebook.tell("explorer.sort = 'name'; explorer.page = 0")
    page.get_by_role("button", name="Next").click()
    page.wait_for_selector("text=006.png")
    assert notebook.ask("explorer.page") == 1
    assert page.locator(".fk-tile").count() == 6
    notebook.tell("explorer.page = 0")


def test_selection_comes_back_as_photos_of_the_comparison(notebook):
    page = notebook.page
    page.wait_for_selector("text=001.png")
    page.get_by_label("Select 001.png").check()
    notebook.until("list(explorer.selection.image.values)", ["001.png"])


def test_a_photo_is_enlarged_and_escape_closes_it(notebook):
    page = notebook.page
    page.get_by_role("button", name="Enlarge 002.png").click()
    page.wait_for_selector("dialog[open] canvas")
    notebook.until("explorer.enlarged", "002.png")
    page.keyboard.press("Escape")
    notebook.until("explorer.enlarged", "")


def test_errors_of_callbacks_are_shown_under_the_widget(notebook):
    page = notebook.page
    notebook.tell("def fail(change):\n    raise RuntimeError('no such <b>luck</b>')\nexplorer.observe(fail, 'opacity')")
    page.get_by_label("Opacity").fill("0.5")
    page.wait_for_selector("text=RuntimeError: no such <b>luck</b>")
    notebook.tell("explorer.unobserve(fail, 'opacity')")


def test_linked_explorers_move_together(notebook):
    page = notebook.page
    notebook.tell(
        "from IPython.display import display\n"
        "other = fk.StrengthExplorer(pair, page_size=2)\nlinks = explorer.link(other)\nexplorer.strength = 0.25"
    )
    notebook.until("other.strength", 0.25)
    assert notebook.ask("other.scale == explorer.scale")
    slider(page).focus()
    page.keyboard.press("ArrowRight")
    notebook.until("round(other.strength, 2)", 0.3)


def test_nothing_went_wrong_and_nothing_left_the_machine(notebook):
    assert notebook.page.troubles == []


def test_dark_theme(lab):
    with lab.run(START, dark=True) as notebook:
        page = notebook.page
        page.wait_for_selector(".fk-tile canvas", timeout=90_000)
        ink, ground = page.evaluate(
            "() => { const s = getComputedStyle(document.querySelector('.fk')); return [s.color, s.backgroundColor]; }"
        )
        brightness = [np.mean([int(v) for v in c[c.index("(") + 1 : -1].split(",")[:3]]) for c in (ink, ground)]
        assert brightness[0] > 150 > 80 > brightness[1]


def test_a_saved_notebook_shows_the_widget_without_a_kernel(lab, tmp_path):
    import nbformat
    from nbclient import NotebookClient

    cells = [nbformat.v4.new_code_cell(START.replace('"photos"', repr(str(tmp_path / "photos"))))]
    made = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(made, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    with pytest.MonkeyPatch.context() as patch:
        for name, value in lab.environment.items():
            patch.setenv(name, value)
        client.execute()
    bundle = made.cells[0].outputs[0]["data"]
    assert set(bundle) >= {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"}
    with lab.run(notebook=made, run=False) as notebook:  # a stranger's notebook runs nothing, but shows a picture
        notebook.page.wait_for_function("document.querySelector('.jp-OutputArea img')?.naturalWidth > 300")
        assert notebook.page.locator(".fk-tile").count() == 0
    with lab.run(notebook=made, run=False, trusted=True) as notebook:
        notebook.page.wait_for_selector(".fk-tile canvas", timeout=60_000)
        before = pixels(notebook.page)
        slider(notebook.page).focus()
        notebook.page.keyboard.press("End")
        notebook.page.wait_for_timeout(300)
        assert np.abs(pixels(notebook.page) - before).max() > 5


def test_the_state_alone_draws_the_page_anywhere(browser, tmp_path):
    """What the guide relies on; here without network, from disk."""
    from browser import page_of, watched
    from samples import random_pair

    explorer = fk.StrengthExplorer(random_pair(tmp_path / "p", photos=2))
    (tmp_path / "page.html").write_text(page_of(explorer, 'a"><img src=x>'))
    with watched(browser, offline=True) as page:
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_selector(".fk-tile canvas")
        page.wait_for_timeout(200)
        assert pixels(page).max() > 50
        assert page.troubles == []


#: As `START`, with a still picture that takes two seconds, so that it comes long after the first paint.
LATE = START.replace("explorer = ", "import time\nstill = fk.StrengthExplorer.snapshot\n"
    "fk.StrengthExplorer.snapshot = lambda self: [time.sleep(2), still(self)][1]\nexplorer = ")  # fmt: skip


def test_a_still_picture_joins_the_output_and_the_view_stays_as_it_is(lab):
    """JupyterLab renders the output again; the explorer moves to its new place."""
    import nbformat

    with lab.run(LATE) as notebook:
        page = notebook.page
        page.wait_for_selector(".fk-tile canvas", timeout=90_000)
        page.evaluate("document.querySelector('.fk').before = true")
        notebook.ask("explorer.error")  # waits until the cell, picture and all, is done
        page.wait_for_timeout(500)
        page.keyboard.press("Control+s")
        page.wait_for_timeout(1500)
        (output,) = nbformat.read(lab.root / "work" / notebook.name, 4).cells[0].outputs
        assert {"application/vnd.jupyter.widget-view+json", "image/png"} <= set(output["data"])
        assert page.evaluate("[...document.querySelectorAll('.fk')].map((e) => e.before)") == [True]
        slider(page).focus()
        page.keyboard.press("End")
        notebook.until("explorer.strength", 2.0)
        assert page.troubles == []
