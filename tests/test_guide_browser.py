"""The guide in a real browser, from disk, offline: its slider draws, hostile names do nothing, everyone can read it."""

import numpy as np
import pytest
from browser import watched

pytestmark = pytest.mark.slow

PIXELS = """() => [...document.querySelectorAll(".fk-tile canvas")].map((canvas) =>
  Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data))"""


@pytest.fixture
def page(browser, guide):
    with watched(browser, offline=True) as page:
        page.dialogs = []
        page.on("dialog", lambda d: (page.dialogs.append(d.message), d.dismiss()))
        load(page, guide)
        yield page


def load(page, guide):
    page.goto(guide.path.as_uri())
    page.wait_for_selector(".fk-tile canvas")
    page.wait_for_timeout(100)  # the first frame


def unfold(page):
    page.locator("summary").evaluate_all("all => all.forEach((s) => (s.parentElement.open = true))")


def slider(page):
    return page.get_by_label("Comparison strength").first


def pixels(page):
    return [np.array(p, float) for p in page.evaluate(PIXELS)]


def test_the_slider_changes_the_picture(page):
    before = pixels(page)
    assert len(before) == 6
    assert max(p.max() for p in before) > 50
    slider(page).focus()
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(200)
    assert float(slider(page).input_value()) == pytest.approx(1.1)
    after = pixels(page)
    assert any((a != b).any() for a, b in zip(before, after, strict=True))
    assert page.troubles == []


def test_what_needs_a_kernel_is_not_offered(page):
    assert page.get_by_text("Next").count() == 0
    assert page.locator(".fk-words input").count() == 0
    assert page.locator("option", has_text="nearest to a mistake").count() == 0


def test_a_photo_can_be_enlarged_and_closed(page):
    page.locator("button.fk-photo").first.click()
    page.wait_for_selector("dialog[open] canvas")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="detached")
    assert page.troubles == []


def test_hostile_names_do_nothing(page):
    page.locator("button.fk-photo").first.click()
    page.wait_for_selector("dialog[open]")
    assert page.dialogs == []
    assert page.locator('img[src="x"]').count() == 0
    assert page.locator("script").count() == 2
    assert (
        page.evaluate(
            "[...document.querySelectorAll('*')].some((e) => [...e.attributes].some((a) => /^on/.test(a.name)))"
        )
        is False
    )
    assert page.title().startswith("How to tell <script>alert(1)</script> from ")
    assert page.troubles == []


def test_the_policy_stops_what_was_not_there(page):
    ran = page.evaluate(
        """() => { const s = document.createElement("script"); s.textContent = "window.ran = true";
        document.body.append(s); return window.ran === true; }"""
    )
    assert not ran
    assert any("Content Security Policy" in t for t in page.troubles)


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_the_window(browser, guide, width):
    with watched(browser, offline=True) as page:
        page.set_viewport_size({"width": width, "height": 844})
        load(page, guide)
        unfold(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible(browser, guide, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    with watched(browser, offline=True, color_scheme=scheme) as page:
        load(page, guide)
        unfold(page)
        found = axe.Axe().run(page).response
    assert len(found["passes"]) > 15
    grave = [
        (v["id"], [n["html"][:200] for n in v["nodes"]])
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]
    assert grave == []


def test_it_prints(browser, guide, tmp_path):
    with watched(browser, offline=True) as page:
        load(page, guide)
        page.pdf(path=tmp_path / "guide.pdf")
        page.emulate_media(media="print")
        assert page.locator("nav").is_hidden()
        assert page.locator(".fk-tools").is_hidden()
    assert (tmp_path / "guide.pdf").stat().st_size > 10_000
