"""The species explorer in a real JupyterLab: drawn, moved by mouse and keys, with one state for Python and browser."""

import numpy as np
import pytest
from species_study import HOSTILE, species_study

import finerkit as fk

pytestmark = pytest.mark.slow

START = """
from pathlib import Path
from species_study import species_study
import finerkit as fk
explorer = fk.SpeciesExplorer(species_study(Path("photos")), species="Alba una", k=3)
explorer
"""

MAP = ".fk-heatmap"


@pytest.fixture(scope="module")
def notebook(lab):
    with lab.run(START) as opened:
        opened.page.wait_for_selector(".fk-alike img", timeout=90_000)
        yield opened


def readout(page):
    return page.locator(".fk-readout").inner_text()


def colours(page):
    """Number of different colours among the cells of the map."""
    return page.evaluate("""async () => {
      const picture = new Image();
      picture.src = document.querySelector(".fk-heatmap image").getAttribute("href");
      await picture.decode();
      const canvas = new OffscreenCanvas(picture.width, picture.height);
      const context = canvas.getContext("2d");
      context.drawImage(picture, 0, 0);
      return new Set(new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size;
    }""")


def test_map_and_look_alikes_are_shown(notebook):
    page = notebook.page
    assert colours(page) > 20
    names = page.locator(".fk-alike .fk-link").all_inner_texts()
    assert names == notebook.ask("list(map(str, explorer.look_alikes().species.values))")
    assert names[0] == "Alba duo"
    first = page.locator(".fk-alike").first.inner_text()
    assert "5 of 5 photos (100 %) recognised" in first
    assert "1 of 5 photos of A. una taken for A. duo; 0 of 5 photos of A. duo taken for A. una" in first
    loaded = "e => [...e.querySelectorAll('img')].every((i) => i.complete && i.naturalWidth > 0)"
    assert page.locator(".fk-species-side").evaluate(loaded)


def test_arrow_keys_and_enter_choose_and_space_ticks(notebook):
    page = notebook.page
    notebook.tell("explorer.species = 'Alba una'")
    page.locator(MAP).focus()
    order = notebook.ask("list(map(str, explorer.matrix.species.values))")
    at = order.index("Alba una")
    step, to = ("ArrowDown", at + 1) if at < 4 else ("ArrowUp", at - 1)
    page.keyboard.press(step)
    assert order[to] in page.locator(".fk [aria-live]").inner_text()
    page.keyboard.press("Enter")
    notebook.until("explorer.species", order[to])
    page.keyboard.press("Home")
    if to == 0:
        page.keyboard.press("ArrowRight")
    ticked = order[0 if to else 1]
    page.keyboard.press("Space")
    notebook.until("explorer.references", [ticked])
    assert page.locator(".fk-ticked .fk-link").inner_text() == ticked
    assert page.locator(MAP).evaluate("e => e === document.activeElement")  # the notebook did not take the keys


def test_mouse_reads_a_pair_and_chooses_a_row(notebook):
    page = notebook.page
    box = page.locator(MAP).bounding_box()
    order = notebook.ask("list(map(str, explorer.matrix.species.values))")
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 10)
    assert readout(page).startswith(order[0])
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 10)
    notebook.until("explorer.species", order[0])
    notebook.until("explorer.references", [])
    page.wait_for_selector(f".fk-species-side h3:text-is('{order[0]}')")


def test_references_are_ticked_in_the_list(notebook):
    page = notebook.page
    notebook.tell("explorer.species = 'Rubra una'")
    page.get_by_label("Take Rubra duo as a reference").check()
    notebook.until("explorer.references", ["Rubra duo"])
    assert "compares Rubra una with Rubra duo." in page.locator(".fk-next").inner_text()


def test_python_sets_the_state(notebook):
    page = notebook.page
    notebook.tell("explorer.species = 'Nigra una'; explorer.by = 'confusion'; explorer.references = ['Viridis duo']")
    page.wait_for_selector(".fk-species-side h3:text-is('Nigra una')")
    page.wait_for_selector(".fk-ticked img")
    assert page.get_by_label("Species", exact=True).input_value() == "Nigra una"
    assert "probability" in page.locator(".fk-species-map").inner_text()
    assert page.get_by_label("Take Viridis duo as a reference").is_checked()
    notebook.tell("explorer.by = 'embedding'")


def test_errors_of_callbacks_are_shown_under_the_widget(notebook):
    page = notebook.page
    notebook.tell("explorer.observe(lambda change: 1 / 0, 'k')")
    page.get_by_label("Look-alikes").fill("5")
    page.wait_for_selector("text=ZeroDivisionError")
    notebook.tell("explorer.unobserve_all('k')")


def test_nothing_went_wrong_and_nothing_left_the_machine(notebook):
    assert notebook.page.troubles == []


def test_dark_theme(lab):
    with lab.run(START, dark=True) as notebook:
        page = notebook.page
        page.wait_for_selector(".fk-alike img", timeout=90_000)
        name = page.locator(".fk-alike .fk-link").first.evaluate("e => getComputedStyle(e).color")
        assert np.mean([int(v) for v in name[name.index("(") + 1 : -1].split(",")[:3]]) > 150


def test_very_many_species_are_searched_by_name(lab):
    genera = "[f'Genus{chr(97 + i // 26)}{chr(97 + i % 26)}' for i in range(260)]"
    many = START.replace('Path("photos")', f'Path("many"), {genera}, photos=1').replace("Alba una", "Genusaa una")
    with lab.run(many) as notebook:
        page = notebook.page
        page.wait_for_selector(".fk-alike img", timeout=90_000)
        assert page.locator(MAP).count() == 0
        search = page.get_by_label("Species", exact=True)
        search.fill("genusjx DUO")
        page.keyboard.press("Enter")
        notebook.until("explorer.species", "Genusjx duo")
        page.wait_for_selector(".fk-species-side h3:text-is('Genusjx duo')")
        names = notebook.ask("list(explorer.listed())")
        page.wait_for_selector(f".fk-alike .fk-link:text-is('{names[0]}')")
        assert page.locator(".fk-alike .fk-link").all_inner_texts() == names
        search.fill("nobody")
        page.keyboard.press("Enter")
        assert search.evaluate("e => e.validity.customError")
        page.get_by_label(f"Take {names[1]} as a reference").check()
        notebook.until("explorer.references", [names[1]])
        assert page.troubles == []


def test_the_state_alone_shows_it_and_hostile_names_do_nothing(browser, tmp_path):
    from browser import page_of, watched

    explorer = fk.SpeciesExplorer(species_study(tmp_path / "photos", hostile=True), species="Alba una")
    (tmp_path / "page.html").write_text(page_of(explorer))
    with watched(browser, offline=True) as page:
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_selector(".fk-alike img")
        assert HOSTILE.replace("_", " ") in page.locator(".fk-alike .fk-link").all_inner_texts()
        page.locator(".fk-link").first.click()
        page.wait_for_selector("h3:has-text('onerror')")
        assert page.title() == "t"
        assert page.locator("img[src=x]").count() == 0
        assert page.troubles == []
