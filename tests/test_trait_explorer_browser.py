"""The trait explorer in a real JupyterLab: drawn, edited by mouse and keys, with one state for Python and browser."""

import math

import pytest

pytestmark = pytest.mark.slow

START = """
from pathlib import Path
import numpy as np
from PIL import Image
from test_traits import REFERENCE, TARGET, planted
import finerkit as fk
study = planted()
images = study["images"].to_dataset()
for i, image in enumerate(images["image"].values):
    Image.fromarray(np.full((60, 120, 3), 5 * i, np.uint8)).save(f"{i:02}.png")
    images["path"].loc[{"image": image}] = f"{i:02}.png"
study["images"].dataset = images
pair = fk.compare(study, TARGET, [REFERENCE], progress=False)
explorer = fk.TraitExplorer(fk.find_traits(pair, n_traits=3, share=0.8, study=study), study)
explorer
"""


#: Number of pixels of the map that are drawn.
INK = """() => {
  const canvas = document.querySelector("canvas.fk-scatter");
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return pixels.filter((value, i) => i % 4 === 3 && value).length;
}"""


@pytest.fixture(scope="module")
def opened(lab):
    with lab.run(START) as notebook:
        notebook.page.wait_for_selector(".fk-trait", timeout=120_000)
        yield notebook


@pytest.fixture
def notebook(opened):
    yield opened
    opened.tell("while explorer._before: explorer.undo()")
    opened.page.wait_for_function("document.querySelectorAll('.fk-trait').length === 3")


def canvas(page):
    found = page.locator("canvas.fk-scatter")
    found.scroll_into_view_if_needed()
    return found


def lasso(page, box, shift=False):
    """Draw around the whole map."""
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    wide, high = box["width"] / 2 - 1, box["height"] / 2 - 1
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]
    if shift:
        page.keyboard.down("Shift")
    page.mouse.move(x - wide, y - high)
    page.mouse.down()
    for a, b in corners:
        page.mouse.move(x + a * wide, y + b * high, steps=4)
    page.mouse.up()
    if shift:
        page.keyboard.up("Shift")


def test_traits_are_drawn(notebook):
    page = notebook.page
    assert page.locator(".fk-trait").count() == 3
    assert page.locator(".fk-crop-button image").count() >= 9
    assert page.locator(".fk-matrix tbody tr").count() == 4
    ink = page.evaluate(INK)
    assert ink > 200


def test_a_name_is_typed(notebook):
    page = notebook.page
    field = page.get_by_label("Name of trait 2")
    field.fill("dark <b>spot</b>")
    page.keyboard.press("Enter")
    notebook.until("str(explorer.traits.trait.values[1])", "dark <b>spot</b>")
    page.get_by_label("Name of dark <b>spot</b>").wait_for()
    assert page.locator(".fk-trait-explorer .fk-key b").count() == 0


def test_a_lasso_takes_all_and_a_trait_is_made_of_some(notebook):
    page = notebook.page
    lasso(page, canvas(page).bounding_box())
    notebook.until("len(explorer.regions) == explorer.traits.sizes['region']", True)
    page.get_by_role("button", name="Clear").click()
    notebook.until("explorer.regions", [])
    notebook.tell("explorer.regions = np.flatnonzero(explorer.traits.region_trait.values == 0)[:5].tolist()")
    page.get_by_text("5 selected: 5 of trait 1").wait_for()
    page.get_by_label("Name of the new trait").fill("mine")
    page.get_by_role("button", name="Make a trait of them").click()
    notebook.until("list(explorer.traits.trait.values)", ["trait 1", "mine", "trait 2", "trait 3"])
    page.wait_for_function("document.querySelectorAll('.fk-trait').length === 4")


def test_keys_walk_over_the_map(notebook):
    page = notebook.page
    notebook.tell("explorer.region = -1; explorer.regions = []")
    canvas(page).focus()
    seen = set()
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
        page.wait_for_timeout(200)
        seen.add(notebook.ask("explorer.region"))
    assert len(seen) > 2
    assert "region" in page.locator(".fk-scatter-frame [aria-live]").inner_text()
    page.keyboard.press("Space")
    notebook.until("explorer.regions == [explorer.region]", True)
    page.keyboard.press("Enter")
    page.locator("dialog[open] svg.fk-whole").wait_for()
    page.keyboard.press("Escape")
    notebook.until("explorer.enlarged", "")
    notebook.tell("explorer.regions = []")


def test_hovering_shows_the_crop(notebook):
    page = notebook.page
    notebook.tell("explorer.region = -1; explorer.regions = []")
    box = canvas(page).bounding_box()
    for step in range(400):
        angle, far = step / 6, step / 400
        x = box["x"] + box["width"] / 2 * (1 + far * math.cos(angle))
        page.mouse.move(x, box["y"] + box["height"] / 2 * (1 + far * math.sin(angle)))
        if page.locator(".fk-looked .fk-crop image").count():
            break
    page.locator(".fk-looked .fk-crop image").wait_for()
    notebook.until("explorer.region >= 0", True)


def test_merge_undo_background_and_errors(notebook):
    page = notebook.page
    page.get_by_label("Tick trait 1").check()
    page.get_by_label("Tick trait 3").check()
    page.get_by_role("button", name="Merge ticked traits").click()
    notebook.until("list(explorer.traits.trait.values)", ["trait 1 + trait 3", "trait 2"])
    page.get_by_label("trait 2 is background").click()
    notebook.until("bool(explorer.traits.background[1])", True)
    page.locator(".fk-badge:not([hidden])").wait_for()
    for _ in range(2):
        page.get_by_role("button", name="Undo").click()
        page.wait_for_timeout(500)
    notebook.until("explorer.traits.sizes['trait']", 3)
    page.get_by_label("Name of trait 2").fill("trait 3")
    page.keyboard.press("Enter")
    page.get_by_text("There is another trait named 'trait 3'").wait_for()
    page.wait_for_function("document.querySelectorAll('.fk-trait-name')[1].value === 'trait 2'")


def test_nothing_went_wrong(opened):
    assert opened.page.troubles == []


def test_it_is_accessible(notebook):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    notebook.tell("explorer.regions = [0, 1]; explorer.region = 1")
    notebook.page.get_by_text("2 selected").wait_for()
    found = axe.Axe().run(notebook.page, context=".fk-trait-explorer").response
    assert [(v["id"], v["nodes"][0]["html"]) for v in found["violations"]] == []


def test_a_notebook_opened_again_shows_traits_without_a_kernel(lab, tmp_path):
    import nbformat
    from nbclient import NotebookClient

    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(START)])
    client = NotebookClient(made, timeout=180, resources={"metadata": {"path": str(tmp_path)}})
    with pytest.MonkeyPatch.context() as patch:
        for name, value in lab.environment.items():
            patch.setenv(name, value)
        client.execute()
    assert "image/png" in made.cells[0].outputs[0]["data"]
    with lab.run(notebook=made, run=False, trusted=True) as notebook:
        page = notebook.page
        page.wait_for_selector(".fk-trait", timeout=60_000)
        assert page.locator(".fk-crop-button image").count() >= 9
        lasso(page, canvas(page).bounding_box())
        page.get_by_text("selected:").wait_for()
        page.get_by_label("Name of trait 1").fill("x")
        page.keyboard.press("Enter")
        page.get_by_text("No answer from Python: is its kernel running?").wait_for(timeout=12_000)
