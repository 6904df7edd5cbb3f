"""The guide as a file: complete, safe, small; and what it says is what the datasets say."""

import base64
import hashlib
import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from guides import FILES, NAMES, TARGET, Page
from samples import random_pair

import finerkit as fk
from finerkit.base.roles import species_coords

#: Every element that a guide is made of.
ALLOWED = set(
    """html head body meta title style script header nav main section article footer h1 h2 h3 p a ul ol li dl dt dd
    table thead tbody tr th td div span i b small cite code img figure figcaption svg polygon details summary
    noscript""".split()  # noqa: SIM905 - more legible
)


@pytest.fixture(scope="module")
def page(guide):
    return Page(guide.text)


def shown(name):
    return re.sub(r"\s+", " ", name)


# --- safe and complete ---


def test_hostile_names_stay_text(page):
    assert {name for name, _ in page.elements} <= ALLOWED
    assert not [a for _, attrs in page.elements for a in attrs if a.startswith("on")]
    assert [a.get("type") for a in page.of("script")] == ["application/json", "module"]
    assert page.texts["title"][0].startswith(f"How to tell {TARGET} from ")
    for name in (TARGET, *NAMES, "<b onclick=alert(1)>J. Doe</b>", "<i>Me</i>"):
        assert shown(name)[1:] in page.words
    alts = " ".join(a["alt"] for a in page.of("img"))
    assert FILES[0].split("{")[0] in alts


def test_odd_characters_become_spaces(guide, tmp_path):
    odd = "\x00\x1b\x85\u200f\u2028\u202e\u2066\ud800"
    traits = guide.traits.assign_coords(trait=[f"a{odd}b", "c"])
    text = fk.write_guide(tmp_path / "g.html", guide.pair, traits, title=f"d{odd}e", author=f"f{odd}g").read_text()
    assert not set(odd) & set(text)
    for words in ("A b", "d e", "By f g"):
        assert words in Page(text).words


def test_nothing_is_fetched(guide, page):
    sources = [attrs[a] for _, attrs in page.elements for a in ("src", "href", "data-src", "srcset") if a in attrs]
    links = [s for s in sources if not s.startswith(("data:image/jpeg;base64,", "data:image/png;base64,", "#"))]
    assert links == ["https://arxiv.org/abs/2501.11309"]
    style = "".join(page.texts["style"])
    assert "url(" not in style
    assert "@import" not in style
    assert guide.path.stat().st_size < 5e6


def test_the_policy_lets_only_our_script_run(page):
    policy = next(a["content"] for a in page.of("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("style-src")[0]
    code = page.texts["script"][-1]
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy


def test_places_of_this_machine_stay_out(guide):
    assert str(guide.path.parent) not in guide.text
    assert "study.zarr" in guide.text


def test_it_can_be_read_aloud(page):
    assert page.of("html") == [{"lang": "en"}]
    assert all(a.get("alt") for a in page.of("img"))
    levels = [int(name[1]) for name, _ in page.elements if name in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.of("a") if a["href"].startswith("#")} <= set(ids)


# --- says what the datasets say ---


def test_counts_of_traits(guide, page):
    labels = guide.traits["true_species"].values.astype(str)
    for k in range(2):
        said = []
        for name in guide.pair["species"].values:
            number = int(guide.traits["shows"].values[labels == name, k].sum())
            share = float(guide.traits["prevalence_by_species"].sel(species=name).values[k])
            assert number == pytest.approx(share * (labels == name).sum())
            said.append(f"{number} of {(labels == name).sum()} {'photos ' * (not said)}of {shown(name)}")
        assert f"Seen in {', '.join(said)}." in page.words
        assert f"It carries {float(guide.traits['share_of_margin'][k]):.0%} of the margin." in page.words


def test_scores(guide, page):
    mean = guide.scores.mean("image")
    contrast = mean.sel(map_kind="contrast")
    values = [*contrast.relative_drop.sel(top=0.05).values, *contrast.deletion_area.values]
    values += [mean.relative_drop.sel(map_kind=m, top=0.05, strength=1) for m in ("random", "edge")]
    for value in values:
        assert f"{float(value):.3f}".replace("-", "\N{MINUS SIGN}") in page.words
    assert "Hide the strongest 5% of the photo" in page.words


def test_accuracy_and_origin(guide, page):
    accuracy = guide.study["species"].attrs["accuracy"]
    beside = "always guessing the commonest species: 25.0%"
    assert f"{accuracy:.1%} over all species of the study, cross-validated ({beside})" in page.words
    logit = guide.pair["logit_cross_validated"]
    right = (logit.sel(species=TARGET) > logit.drop_sel(species=TARGET).max("species")).sum().item()
    assert f"{right} of 6 photos that were kept back" in page.words
    for fact in (guide.pair.attrs["weights_hash"], "efficientnet-lite0", fk.__version__, "6 photos of the target"):
        assert fact in page.words
    assert "24 photos of 4 species in the study" in page.words


def test_the_explorer_holds_the_evidence(guide, page):
    state = json.loads(page.texts["script"][0])
    assert state["strength"] == 0.7
    assert state["_about"]["live"] is False
    sent = np.frombuffer(base64.b64decode(state["_page"]["evidence"]["base64"]), "<f4")
    expected = guide.pair["evidence"].sel(image=state["_page"]["images"]).transpose("image", "species", "y", "x")
    np.testing.assert_array_equal(sent, expected.values.ravel())


def test_everyone_is_cited(page):
    cited = yaml.safe_load((Path(__file__).parents[1] / "CITATION.cff").read_text())["references"][0]
    assert cited["title"] in page.words
    for author in cited["authors"]:
        assert author["family-names"] in page.words


# --- what may be missing ---


def test_background_stands_apart(guide, tmp_path):
    traits = guide.traits.assign(background=("trait", [True, False])).assign_coords(trait=["leaf", "red spot"])
    words = Page(fk.write_guide(tmp_path / "g.html", guide.pair, traits).read_text()).words
    assert words.index("Red spot") < words.index("Probably background") < words.index("Leaf")
    assert "Do not use for identification." in words


def test_without_traits_scores_and_study(guide, tmp_path):
    pair = guide.pair.copy()
    del pair.attrs["store"]
    found = Page(fk.write_guide(tmp_path / "new" / "g.html", pair, n_photos=3, title="A <new> title").read_text())
    assert "photos of the look-alikes are not shown" in found.words
    assert "Traits to look for" not in found.words
    assert "How good are these maps?" not in found.words
    assert "not known: the study was not at hand" in found.words
    assert found.texts["h1"] == found.texts["title"] == ["A <new> title"]
    assert len(json.loads(found.texts["script"][0])["_page"]["images"]) == 3


def test_photos_that_are_gone(tmp_path):
    pair = random_pair(tmp_path / "photos")
    for file in (tmp_path / "photos").iterdir():
        file.unlink()
    with pytest.warns(fk.PhotoWarning, match="3 of 3 photos are not found under") as said:
        text = fk.write_guide(tmp_path / "g.html", pair).read_text()
    assert len(said) == 1
    words = Page(text).words
    assert "<h1>How to tell <i>Rubra quadrata</i> from Rubra a, Rubra b and Rubra c</h1>" in text
    assert "The files of its photos could not be read" in words
    assert "3 files could not be read any more and are drawn as “photo not found”" in words


def test_traits_without_photos(guide, tmp_path):
    images = guide.study["images"].to_dataset()
    lost = images.assign(path=images["path"].astype(object).copy(data=np.array(["gone.png"] * 24, object)))
    study = guide.study.copy()
    study["images"] = xr.DataTree(lost)
    words = Page(fk.write_guide(tmp_path / "g.html", guide.pair, guide.traits, study=study).read_text()).words
    assert "No photo that shows it could be read" in words


def test_typical_photos_come_first(guide):
    from finerkit.output.widgets.exemplars import exemplars

    ids = [photo.image for photo in exemplars(guide.study, TARGET)]
    embedding = guide.study["features"]["embedding"].sel(image=ids).values.astype(float)
    prototype = guide.study["species"]["prototype"].sel(species=TARGET).values
    distance = np.linalg.norm(embedding - prototype, axis=1)
    assert len(ids) == 6
    assert (np.diff(distance) >= 0).all()


def test_wrong_input_is_explained(guide, tmp_path):
    with pytest.raises(ValueError, match="must be a file name that ends in '.html'"):
        fk.write_guide(tmp_path / "guide.pdf", guide.pair)
    with pytest.raises(TypeError, match="traits must be a Dataset from fk.find_traits"):
        fk.write_guide(tmp_path / "g.html", guide.pair, guide.pair)
    other = guide.traits.assign_coords(species_coords("another", guide.traits["species"].values[1:]))
    with pytest.raises(ValueError, match="traits must be of the same comparison.*Got those of 'another'"):
        fk.write_guide(tmp_path / "g.html", guide.pair, other)
    with pytest.raises(ValueError, match=r"n_photos must be an int in the range \[1, 60\]. Got 0 instead"):
        fk.write_guide(tmp_path / "g.html", guide.pair, n_photos=0)
    with pytest.raises(ValueError, match=r"strength must be a number in the range \[0, 2\]. Got 3 instead"):
        fk.write_guide(tmp_path / "g.html", guide.pair, strength=3)
    failed = guide.pair.assign_coords(status=("image", np.array(["damaged"] * 6, object)))
    with pytest.raises(ValueError, match="No photo of this comparison could be explained"):
        fk.write_guide(tmp_path / "g.html", failed)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("part", "message"), [("study", "another study"), ("network", "another network"), ("head", "another species head")]
)
def test_parts_that_do_not_belong_together_are_refused(guide, tmp_path, part, message):
    other = {f"{part}_id": "another"}
    with pytest.raises(ValueError, match=rf"These traits were made .*{message}.*fk.find_traits\(comparison\)"):
        fk.write_guide(tmp_path / "g.html", guide.pair, guide.traits.assign_attrs(other))
    with pytest.raises(ValueError, match=rf"These scores were made .*{message}.*fk.score\(comparison\)"):
        fk.write_guide(tmp_path / "g.html", guide.pair, guide.traits, guide.scores.assign_attrs(other))


def test_what_is_not_known_is_said_in_words(guide, tmp_path):
    unknown = ("trait", [np.nan] * 2)
    traits = guide.traits.assign(share_of_margin=unknown, stability=unknown)
    study = guide.study.copy()
    study["species"].attrs = study["species"].attrs | {"accuracy": np.nan}
    words = Page(fk.write_guide(tmp_path / "g.html", guide.pair, traits, study=study).read_text()).words
    assert words.count("Share not given, as the margin is near zero. A person grouped its regions.") == 2
    assert "could not be judged" in words
    assert "nan" not in words


def test_it_is_written_whole_or_not_at_all(guide, tmp_path, monkeypatch):
    path = fk.write_guide(tmp_path / "g.html", guide.pair)
    before = path.read_bytes()

    def full(self, *args, **kwargs):
        with self.open("w") as stream:
            stream.write("half")
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="disk full"):
        fk.write_guide(path, guide.pair)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_command_writes_a_guide(guide, tmp_path, capsys):
    from finerkit.cli.commands import main

    store = str(guide.path.parent / "study.zarr")
    arguments = ["guide", store, TARGET, "-k", "1", "--traits", "2", "--photos", "2", "--author", "Me"]
    assert main([*arguments, "--out", str(tmp_path / "g.html")]) == 0
    assert "opens in any browser, offline" in capsys.readouterr().out
    assert "By Me" in Page((tmp_path / "g.html").read_text()).words
