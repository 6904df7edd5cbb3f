"""The strength explorer's state, as Python sees it."""

import base64
import io
from types import SimpleNamespace

import numpy as np
import pytest
import traitlets
import xarray as xr
from PIL import Image
from samples import random_pair

import finerkit as fk
from finerkit.base.roles import references_of


@pytest.fixture
def pair(tmp_path):
    return random_pair(tmp_path, photos=7)


def sent(explorer):
    """The page that travelled: ids, evidence and logits."""
    page = explorer._page
    n = len(page["images"])
    evidence = np.frombuffer(page["evidence"], "<f4").reshape(n, -1, page["rows"], page["columns"])
    return page["images"], evidence, np.frombuffer(page["logit"], "<f4").reshape(n, -1)


def test_only_the_page_shown_travels_and_it_is_the_evidence(pair):
    explorer = fk.StrengthExplorer(pair, page_size=3, sort="name")
    images, evidence, logit = sent(explorer)
    assert images == ["000.png", "001.png", "002.png"]
    np.testing.assert_array_equal(evidence, pair["evidence"].values[:3])
    np.testing.assert_array_equal(logit, pair["logit"].values[:3])
    assert len(explorer._page["photos"]) == 3
    assert all(p.startswith(b"\xff\xd8\xff") for p in explorer._page["photos"])
    explorer.page = 2
    assert sent(explorer)[0] == ["006.png"]
    explorer.page = 99
    assert explorer.page == 2
    explorer.page_size = 5
    assert (explorer.page, sent(explorer)[0]) == (1, ["005.png", "006.png"])


def test_order_by_margin_follows_the_references_in_use(pair):
    explorer = fk.StrengthExplorer(pair)
    for references in (references_of(pair), ["Rubra c"]):
        explorer.references = references
        table = fk.evidence_table(pair, references=references)
        assert sent(explorer)[0] == list(table["margin"].sort_values(ascending=False).index)


def test_order_by_error_puts_what_would_be_mistaken_first(pair):
    unseen = pair["logit"].copy(data=np.random.default_rng(5).normal(0, 1, pair["logit"].shape))
    pair["logit_cross_validated"] = unseen
    explorer = fk.StrengthExplorer(pair, sort="error")
    lead = unseen.isel(species=0) - unseen.isel(species=slice(1, None)).max("species")
    assert sent(explorer)[0] == list(pair.image.values[np.argsort(lead.values)])


def test_photos_that_failed_come_last_and_say_why(pair):
    pair["evidence"][0], pair["logit"][0], pair["status"][0] = np.nan, np.nan, "truncated: <b>no</b> end"
    for sort in ("margin", "error"):
        explorer = fk.StrengthExplorer(pair, sort=sort)
        assert explorer._page["images"][-1] == "000.png"
        assert explorer._page["status"][-1] == "truncated: <b>no</b> end"
    assert np.isfinite(explorer.limit)
    explorer.snapshot()


def test_contrast_is_that_of_the_state(pair):
    explorer = fk.StrengthExplorer(pair, strength=1.4, references=["Rubra b"], signed=True, objective="softmax")
    expected = fk.contrast(pair, 1.4, "softmax", references=["Rubra b"], relu=False)
    xr.testing.assert_identical(explorer.contrast(), expected)
    explorer.signed = False
    assert float(explorer.contrast().min()) == 0


def test_selection_is_an_xarray_selection(pair):
    explorer = fk.StrengthExplorer(pair)
    assert explorer.selection.sizes["image"] == 7
    explorer.selected = ["003.png", "001.png", "003.png"]
    assert explorer.selected == ["003.png", "001.png"]
    xr.testing.assert_identical(explorer.selection, pair.sel(image=["003.png", "001.png"]))


def test_enlarging_sends_the_photo_at_its_own_size_and_turns_to_its_page(pair):
    explorer = fk.StrengthExplorer(pair, page_size=2, sort="name", tile=80)
    explorer.enlarged = "005.png"
    assert explorer.page == 2
    with Image.open(io.BytesIO(explorer._photo["photo"])) as photo:
        assert photo.size == (50, 50)
    explorer.enlarged = ""
    assert explorer._photo == {}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("strength", 2.5, r"strength must be a number in the range \[0, 2\]\. Got 2\.5 instead"),
        ("strength", "much", r"strength must be a number in the range \[0, 2\]\. Got 'much' instead"),
        ("strength", float("nan"), r"strength must be a number"),
        ("share", 0, r"share must be a number in the range \[0\.01, 1\]"),
        ("cmap", "jet", r"cmap must be one of 'viridis', .* Got 'jet' instead"),
        ("scale", "image", r"scale must be one of 'common', 'photo'"),
        ("references", [], r"At least one reference is needed\. This comparison holds 'Rubra a'"),
        ("references", ["Rubra z"], r"No reference in this comparison named 'Rubra z'"),
        ("selected", ["1.png"], r"No photo in this comparison named '1\.png'"),
        ("enlarged", "nobody.png", r"No photo in this comparison named 'nobody\.png'"),
    ],
)
def test_wrong_values_are_refused_with_what_was_expected(pair, name, value, message):
    explorer = fk.StrengthExplorer(pair)
    before = getattr(explorer, name)
    with pytest.raises(traitlets.TraitError, match=message):
        setattr(explorer, name, value)
    assert getattr(explorer, name) == before


def test_a_misspelt_attribute_is_refused(pair):
    with pytest.raises(TypeError, match="no attribute 'strenght'"):
        fk.StrengthExplorer(pair, strenght=1)


def test_what_the_browser_sends_is_checked_and_errors_are_kept_for_display(pair):
    explorer = fk.StrengthExplorer(pair)
    explorer.set_state({"strength": 7})
    assert explorer.strength == 0.6
    assert "range [0, 2]" in explorer.error
    explorer.set_state({"strength": 1.0})
    assert (explorer.strength, explorer.error) == (1.0, "")
    explorer.observe(lambda _: 1 / 0, "opacity")
    explorer.set_state({"opacity": 0.2})
    assert explorer.opacity == 0.2
    assert explorer.error == "ZeroDivisionError: division by zero"


def test_python_can_watch(pair):
    explorer, seen = fk.StrengthExplorer(pair), []
    explorer.observe(lambda change: seen.append(change["new"]), "strength")
    explorer.set_state({"strength": 0.9})
    explorer.strength = 1.1
    assert seen == [0.9, 1.1]


def test_full_colour_is_what_nearly_all_photos_stay_under(pair):
    peaks = fk.contrast(pair, [0, 1]).max(("y", "x"))
    assert fk.StrengthExplorer(pair).limit == pytest.approx(float(np.quantile(peaks, 0.98)))
    assert fk.StrengthExplorer(pair, limit=3).limit == 3


def test_thousands_of_photos_do_not_travel(tmp_path):
    pair = random_pair(tmp_path, photos=2)
    many = pair.isel(image=np.arange(5000) % 2).assign_coords(image=[f"{i:05}.png" for i in range(5000)])
    state = fk.StrengthExplorer(many, page_size=12).page_state()
    import json

    assert len(json.dumps(state)) < 300_000
    assert state["_about"]["photos"] == 5000


def test_snapshot_shows_the_contrast(pair):
    explorer = fk.StrengthExplorer(pair)
    shown = np.asarray(Image.open(io.BytesIO(explorer.snapshot())).convert("RGB"), int)
    explorer.opacity = 0
    plain = np.asarray(Image.open(io.BytesIO(explorer.snapshot())).convert("RGB"), int)
    assert shown.shape == plain.shape
    assert np.abs(shown - plain).max() > 50


def test_a_still_picture_joins_the_output_once_its_cell_has_run(pair, monkeypatch):
    shown, later = [], {}
    events = SimpleNamespace(register=later.__setitem__, unregister=lambda name, _: later.pop(name))
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(events=events))
    monkeypatch.setattr("IPython.display.display", lambda data, **options: shown.append((data, options)))
    explorer = fk.StrengthExplorer(pair)
    explorer._ipython_display_()
    ((first, options),) = shown
    assert set(first) == {"application/vnd.jupyter.widget-view+json", "text/plain"}
    later["post_run_cell"](None)
    assert later == {}
    second, update = shown[1]
    assert second == first | {"image/png": second["image/png"]}
    assert update == options | {"update": True}
    assert Image.open(io.BytesIO(base64.b64decode(second["image/png"]))).format == "PNG"
    monkeypatch.setattr(explorer, "_still", lambda: 1 / 0)
    explorer._ipython_display_()
    later["post_run_cell"](None)
    assert "No still picture was made for the saved notebook. ZeroDivisionError" in explorer.error


def test_links_share_state_at_once(pair, tmp_path):
    first, second = fk.StrengthExplorer(pair, strength=1.5), fk.StrengthExplorer(random_pair(tmp_path / "b", seed=1))
    links = first.link(second, ["strength", "share"])
    assert second.strength == 1.5
    assert len(links) == 2
    with pytest.raises(TypeError, match="Expected another StrengthExplorer"):
        first.link(3)
