"""Figures for papers: what they would draw against pandas, SciPy and xarray; files read back."""

import copy
import io
import json
import re
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from scipy.stats import sem
from test_figures import make_pair

import finerkit as fk
from finerkit.base.roles import species_coords
from finerkit.base.wording import fixed, join, probability, safe, short, shown
from finerkit.output.figures.colours import ink_on
from finerkit.output.figures.page import paper_style, text_width
from finerkit.output.figures.similarity import cell_texts, similarity_of

HOSTILE = "<img src=x onerror=alert(1)>"
FIGURES = ("grid", "strip", "sheet", "map", "boxes", "curves")


def make_study(names=("A_una", "B una", "C una", "D una", "E una"), seed=0):
    rng = np.random.default_rng(seed)
    species = xr.Dataset(
        {"prototype": (("species", "feature"), rng.normal(size=(len(names), 8))),
         "n_photos": ("species", np.arange(len(names)) + 3)},
        {"species": np.array(names, object)},
    )  # fmt: skip
    images = {"species": np.array(names, object), "status": np.array(["ok"] * len(names), object)}
    images = xr.Dataset({k: ("image", v) for k, v in images.items()}, {"image": np.array(names, object)})
    images = images.assign_coords(row=("image", np.arange(len(names))))
    tree = xr.DataTree.from_dict({"images": images, "species": species})
    tree.attrs["model"] = "test"
    return tree


def make_traits(target="A_una", groups=("female", "male"), per_group=7, seed=0):
    """Two traits; the first is stronger in the second group. Photos of a reference follow, and one unlabelled photo."""
    rng = np.random.default_rng(seed)
    n = per_group * len(groups)
    column = np.array([*np.tile(groups, per_group), "", groups[0]], object)
    evidence = rng.normal(1, 0.3, (n + 2, 2))
    evidence[:n, 0] += np.arange(n) % len(groups)
    return xr.Dataset(
        {
            "trait_evidence": (("image", "trait"), evidence),
            "remainder": ("image", np.zeros(n + 2)),
            "margin": ("image", evidence.sum(1)),
            "shows": (("image", "trait"), evidence > 1),
            "sex": ("image", column, {"column": "sex"}),
            "day": ("image", np.arange(n + 2.0), {"column": "day"}),
        },
        {"image": [f"{HOSTILE}{i}" for i in range(n + 2)], "trait": ["wing $x$", HOSTILE],
         "true_species": ("image", np.array([target] * (n + 1) + ["B"], object)), **species_coords(target, ["B"])},
        {"strength": 1.0, "objective": "mean", "share": 0.5, "method": "kmeans"},
    )  # fmt: skip


def make_scores(target="A_una", images=9, seed=0):
    rng = np.random.default_rng(seed)
    drop = rng.random((images, 3, 2, 2))
    drop[0, 0] = np.nan
    attrs = {"long_name": "relative drop", "units": "probability", "definition": "p less p*; higher is better"}
    return xr.Dataset(
        {
            "relative_drop": (("image", "map_kind", "strength", "top"), drop, attrs),
            "deletion": (("image", "map_kind", "strength", "step"), rng.random((images, 3, 2, 4)), {"units": "1"}),
            "pointing": (("image", "map_kind", "strength"), rng.random((images, 3, 2)), {"units": "1"}),
            "empty": (("image", "map_kind", "strength"), np.zeros((images, 3, 2))),
            "mask_share": ("image", np.zeros(images)),
        },
        {"image": [f"{i}" for i in range(images)], "map_kind": ["contrast", "random", "edge"], "strength": [0.0, 1.0],
         "top": [0.05, 0.1], "step": [0, 0.3, 0.6, 1.0], **species_coords(target, ["B_b"])},
        {"objective": "softmax", "method": "cam", "model": "test",
         "fill_definition": "grey"},
    )  # fmt: skip


def make_sheet(tmp_path, target="A_una"):
    Image.new("RGB", (120, 80), (200, 30, 30)).save(tmp_path / "p.png")
    ring = [[30, 20], [50, 20], [50, 40], [30, 40], [30, 20]]
    traits = xr.Dataset(
        {
            "region_trait": ("region", [0]), "region_image": ("region", np.array([HOSTILE], object)),
            "region_evidence": ("region", [1.5]), "region_box": (("region", "side"), [[30.0, 20, 50, 40]]),
            "region_outline": ("region", np.array([json.dumps([ring])], object)),
            "exemplar": (("trait", "exemplar_rank"), np.array([[HOSTILE, ""]], object)),
            "share_of_margin": ("trait", [0.25]), "prevalence": ("trait", [0.5]), "stability": ("trait", [0.9]),
            "background": ("trait", [False]),
        },
        {"trait": np.array([HOSTILE], object), "image": [HOSTILE], **species_coords(target, ["B"]),
         "true_species": ("image", np.array([target], object)), "row": ("image", [0]), "width": ("image", [120]),
         "height": ("image", [80]), "path": ("image", np.array(["moved"], object))},
        {"strength": 1.0, "objective": "mean", "share": 0.5, "method": "kmeans"},
    )  # fmt: skip
    images = {"path": str(tmp_path / "p.png"), "width": 120, "height": 80, "status": np.array("ok", object)}
    photos = xr.Dataset({k: ("image", [v]) for k, v in images.items()}, {"image": [HOSTILE], "row": ("image", [0])})
    return traits, xr.DataTree.from_dict({"images": photos})


def draw(kind, tmp_path, target="A_una"):
    if kind == "grid":
        return fk.figures.contrast_grid(make_pair(tmp_path, (target, "b")), [0, 1], 2)
    if kind == "strip":
        return fk.figures.strength_strip(make_pair(tmp_path, (target, "b")), strengths=[0, 0.25, 0.5, 1])
    if kind == "sheet":
        traits, study = make_sheet(tmp_path, target)
        return fk.figures.trait_sheet(traits, study=study)
    if kind == "map":
        return fk.figures.similarity_map(make_study((target, "B", "C", "D")))
    if kind == "boxes":
        return fk.figures.phenotype_boxes(make_traits(target), "sex", permutations=99)
    return fk.figures.score_curves(make_scores(target))


# --- what all figures share ---


@pytest.fixture(scope="module", params=FIGURES)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def drawn(kind, tmp_path_factory):
    """A figure of each kind, drawn once."""
    return draw(kind, tmp_path_factory.mktemp(kind))


def test_vector_files_are_self_contained_and_as_wide_as_asked(tmp_path, drawn):
    pdf = drawn.save(tmp_path / "f.pdf", width_mm=89).read_bytes()
    assert b"/FontFile2" in pdf  # TrueType, embedded
    assert b"/Type3" not in pdf
    assert float(re.search(rb"/MediaBox \[ ?0 0 ([\d.]+)", pdf)[1]) == pytest.approx(89 / 25.4 * 72, abs=0.1)
    root = ET.parse(drawn.save(tmp_path / "f.svg", width_mm=120)).getroot()
    assert float(root.attrib["width"].removesuffix("pt")) == pytest.approx(120 / 25.4 * 72, abs=0.1)
    for element in root.iter():
        assert element.tag.rpartition("}")[2] not in {"text", "script", "foreignObject"}
        for name, value in element.attrib.items():
            if name.endswith("href"):
                assert value.startswith(("#", "data:")), value


@pytest.mark.parametrize("width", [60, 180])
def test_no_text_is_cut_by_the_page_too_small_or_over_another(drawn, kind, width):
    page, texts, box = texts_of(drawn, width)
    assert min(t.get_fontsize() for t in texts) >= 4.5
    slack = 0.3 / 25.4
    assert min(box.x0, box.y0) >= -slack
    assert page.get_figwidth() * 25.4 == pytest.approx(width)
    assert box.x1 <= page.get_figwidth() + slack
    assert box.y1 <= page.get_figheight() + slack
    if kind != "map":
        words = [t for ax in page.axes for t in (*ax.texts, ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label)]
        words += [*page.texts, *(t for legend in page.legends for t in legend.get_texts())]
        extents = [t.get_window_extent() for t in words if t in texts]
        assert len(extents) > 1
        assert not any(a.padded(-1).overlaps(b) for a, b in combinations(extents, 2))
        photos = [ax.get_window_extent() for ax in page.axes if ax.images]
        assert all(not e.padded(-1).overlaps(photo) for e in extents for photo in photos)


def test_photos_are_not_distorted(tmp_path):
    with paper_style():
        page = draw("grid", tmp_path).draw(89)
        page.draw_without_rendering()
    shapes = [ax.get_window_extent().height / ax.get_window_extent().width for ax in page.axes if ax.images]
    assert shapes == pytest.approx([3] * 3 + [40 / 60] * 3, rel=0.01)


def texts_of(figure, width):
    """The page, the texts that are seen, and the box of all that is drawn, in inches."""
    with paper_style():
        page = figure.draw(width)
        canvas = FigureCanvasAgg(page)
        canvas.draw()
        texts = [t for t in page.findobj(Text) if t.get_text().strip() and t.get_visible()]
        texts = [t for t in texts if np.isfinite(t.get_window_extent().extents).all()]
        return page, texts, page.get_tightbbox(canvas.get_renderer())


def test_hostile_names_are_text(tmp_path, kind):
    figure = draw(kind, tmp_path, HOSTILE)
    words = figure._page().partition("Plotly.newPlot(")[2 if kind != "sheet" else 0]
    words = words.replace("\\u003c", "<").replace("\\u003e", ">")
    assert "<img src=x" not in words
    assert "&lt;img src=x onerror=alert(1)&gt;" in words
    assert "$x$" not in words
    figure.save(tmp_path / "f.svg", width_mm=60)  # would fail on bad mathtext or XML
    ET.parse(tmp_path / "f.svg")
    assert kind == "map" or HOSTILE in figure.caption  # plain: captions are for word processors


def test_captions_are_sentences_with_names_as_read(drawn, kind):
    caption = drawn.caption
    assert caption.endswith(".")
    assert "A_una" not in caption
    assert "nan" not in caption
    assert kind == "map" or "A una" in caption


def test_a_copy_that_forgot_its_numbers_says_so(tmp_path):
    figure = copy.deepcopy(draw("curves", tmp_path))
    for use in (lambda: figure.caption, lambda: figure.save(tmp_path / "f.pdf"), figure.to_png):
        with pytest.raises(ValueError, match="no longer knows its numbers"):
            use()


# --- strength strip ---


def test_strip_states_the_maximum_of_every_panel(tmp_path):
    pair = make_pair(tmp_path)
    figure = fk.figures.strength_strip(pair, strengths=[1, 0, 0.5], scale="panel")
    row = figure.content.rows[0]
    assert len(figure.content.rows) == 1
    assert row.image == "1.png"  # the larger margin
    for drawn, top, strength in zip(row.values, row.tops, [0, 0.5, 1], strict=True):
        values = fk.contrast(pair, strength).sel(image="1.png")
        np.testing.assert_allclose(drawn, values)
        assert top == float(values.max())
        words = f"strength {strength:g}<br>max {short(float(values.max()))}"
        assert any(a.text == words for a in figure.layout.annotations)
    assert "logits" in figure.content.legend
    with pytest.raises(TypeError, match="contrast_grid"):
        fk.figures.strength_strip(pair, 3)


# --- similarity map ---


def test_similarity_order_is_scipys_and_numbers_are_the_measures():
    study = make_study()
    content = similarity_of(study)
    scores = fk.similar_species(study)
    distance = squareform(1 - scores.values, checks=False)
    leaves = leaves_list(linkage(distance, "average", optimal_ordering=True))
    names = [shown(n) for n in scores.species.values[leaves]]
    assert list(content.names) in (names, names[::-1])
    at = [list(map(shown, scores.species.values)).index(n) for n in content.names]
    expected = scores.values[np.ix_(at, at)].copy()
    np.fill_diagonal(expected, np.nan)
    np.testing.assert_allclose(content.values, expected)
    assert len(content.branches) == 4
    tallest = max(b[:, 1].max() for b in content.branches)
    assert tallest == pytest.approx(linkage(distance, "average")[-1, 2])
    assert content.limits[0] == -content.limits[1]
    assert "25 photos (3 to 7 each)" in content.caption


def test_similarity_of_some_species_and_of_too_few():
    study = make_study()
    assert set(similarity_of(study, species=["a una", "C una"]).names) == {"A una", "C una"}
    with pytest.raises(ValueError, match="two species or more.* Got 1 instead"):
        similarity_of(study, species="C una")
    study["species"]["prototype"][1] = np.nan
    content = similarity_of(study)
    assert "B una" not in content.names
    assert "Left out, for want of photos: B una." in content.caption


def test_numbers_in_cells_only_where_they_can_be_read():
    content = similarity_of(make_study())
    with paper_style():
        texts = cell_texts(content, 8)
        assert len(texts) == 20
        assert all(size >= 4.5 and text_width(t, size) <= 8 for *_, t, size in texts)
        assert cell_texts(content, 1.5) == []
    text = next(t for i, j, t, _ in texts if (i, j) == (0, 1))
    assert text.replace("\N{MINUS SIGN}", "-") == f"{content.values[0, 1]:.2f}"


def test_names_that_do_not_fit_say_what_to_call(tmp_path):
    figure = fk.figures.similarity_map(make_study([f"Genus species {i}" for i in range(40)]))
    with pytest.warns(
        UserWarning, match=r"40 names are too many for 60 mm and were left out.* with \d+0 or more"
    ) as said:
        figure.save(tmp_path / "f.svg", width_mm=60)
    figure.save(tmp_path / "f.svg", width_mm=int(re.search(r"with (\d+) or", str(said[0].message))[1]))


def test_ink_contrasts_with_its_ground():
    assert ink_on((1, 1, 1)) == ink_on((1, 0.9, 0.2)) == "black"
    assert ink_on((0, 0, 0.4)) == "white"


# --- phenotype boxes ---


@pytest.mark.parametrize("groups", [("female", "male"), ("a", "b_b", "c")])
def test_boxes_are_pandas_quartiles_and_tests_are_test_traits(groups):
    traits = make_traits(groups=groups)
    figure = fk.figures.phenotype_boxes(traits, "SEX", permutations=199, seed=3)
    content = figure.content
    table = fk.phenotype_table(traits).query("true_species == 'A_una' and sex != ''")
    tests = fk.test_traits(traits, "sex", permutations=199, seed=3)
    for words, (name, test) in zip(content.panels.values(), tests.iterrows(), strict=True):
        assert short(test["effect"]) in words
        assert probability(test["p_holm"]) in words
        assert f"{probability(test['p'])} ({probability(test['p_holm'])}" in content.caption
        described = table.groupby("sex")[name].describe()
        assert list(content.groups) == list(described.index)
        for (group, photos), box in zip(content.groups.items(), content.boxes(name), strict=True):
            one = described.loc[group]
            assert (box["q1"], box["med"], box["q3"]) == pytest.approx((one["25%"], one["50%"], one["75%"]))
            assert len(photos) == one["count"] == 7
            np.testing.assert_array_equal(photos[name], table.loc[photos.index, name])
            reach = 1.5 * (one["75%"] - one["25%"])
            values = table.loc[table.sex == group, name]
            assert box["whishi"] == values[values <= one["75%"] + reach].max()
            shown_box = next(t for t in figure.data if t.type == "box" and t.median == (box["med"],))
            assert (shown_box.q1, shown_box.q3, shown_box.upperfence) == ((box["q1"],), (box["q3"],), (box["whishi"],))
            points = [t for t in figure.data if t.type == "scatter" and set(t.y) == set(values)]
            assert len(points) == 1
            assert len(set(points[0].x)) == len(values)  # spread sideways
            assert np.ptp(points[0].x) <= 0.4
    assert sum(map(len, content.groups.values())) == tests["n"].iloc[0]
    assert list(content.panels) == list(tests.index)
    assert f"{shown(groups[1])} n = 7" in content.caption


def test_boxes_of_numbers_say_what_to_call():
    with pytest.raises(ValueError, match=r"'day' holds numbers or dates.*fk\.test_traits\(traits, 'day'\)"):
        fk.figures.phenotype_boxes(make_traits(), "day", permutations=9)
    many = make_traits(groups=[f"site {i}" for i in range(13)], per_group=2)
    with pytest.raises(ValueError, match="13 groups, and a figure holds 12 at most"):
        fk.figures.phenotype_boxes(many, "sex", permutations=9)


def test_long_group_names_are_turned_not_overlapping(tmp_path):
    groups = [f"a rather long name of a place, number {i}" for i in range(6)]
    figure = fk.figures.phenotype_boxes(make_traits(groups=groups, per_group=2), "sex", permutations=9)
    with paper_style():
        page = figure.draw(89)
        page.draw_without_rendering()
        boxes = [t.get_window_extent() for t in page.axes[0].get_xticklabels()]
    assert all(a.x1 <= b.x0 for a, b in pairwise(boxes))


# --- score curves ---


def test_curves_are_means_and_standard_errors():
    scores = make_scores()
    figure = fk.figures.score_curves(scores, top=0.09, strength=0.8)
    content = figure.content
    np.testing.assert_allclose(figure.data[0].y, content.panels[0].lines["contrast"]["mean"])
    np.testing.assert_allclose(figure.data[0].error_y.array, content.panels[0].lines["contrast"]["sem"])
    assert [p.name for p in content.panels] == ["relative_drop", "deletion", "pointing"]
    drop, deletion, pointing = content.panels
    assert list(drop.lines) == ["contrast", "random map", "edge map"]
    values = scores["relative_drop"].sel(map_kind="contrast", top=0.1).values
    np.testing.assert_allclose(drop.lines["contrast"]["mean"], np.nanmean(values, 0))
    np.testing.assert_allclose(drop.lines["contrast"]["sem"], sem(values, 0, nan_policy="omit"))
    assert list(drop.lines["contrast"]["count"]) == [8, 8]
    assert "top 10%" in drop.title
    assert "higher is better" in drop.title
    edge = scores["deletion"].sel(map_kind="edge", strength=1)
    np.testing.assert_allclose(deletion.lines["edge map"]["mean"], edge.mean("image"))
    np.testing.assert_allclose(deletion.lines["edge map"].index, scores["step"])
    assert "lower is better" in deletion.title
    assert deletion.x_label == "share of pixels hidden"
    assert (drop.y_label, pointing.y_label) == ("probability", "share")
    for words in ("8 to 9 photos", "objective softmax", "A una against B b", "strength 0, 1", "p less p*"):
        assert words in content.caption


def test_one_photo_has_no_standard_error_and_other_things_are_refused(tmp_path):
    scores = make_scores().isel(image=[3])
    figure = fk.figures.score_curves(scores, "pointing")
    assert figure.content.panels[0].lines["contrast"]["sem"].isna().all()
    figure.save(tmp_path / "f.svg")
    single = make_scores().sel(strength=1.0)
    assert fk.figures.score_curves(single).content.panels[0].lines["contrast"].index == [1.0]
    with pytest.raises(TypeError, match=r"what fk\.score\(...\) returns, photo by photo.*Got a Dataset with dims"):
        fk.figures.score_curves(scores.mean("image"))
    with pytest.raises(ValueError, match="No measure in these scores named 'energy'"):
        fk.figures.score_curves(scores, ["energy"])


# --- trait sheet ---


def test_sheet_shows_the_part_of_the_photo_that_the_crop_names(tmp_path):
    traits, study = make_sheet(tmp_path)
    figure = fk.figures.trait_sheet(traits, study=study)
    picture = figure.content.pictures[0][0]
    left, top, right, bottom = picture.crop.box
    assert (left + right) / 2 == pytest.approx(40)
    assert (top + bottom) / 2 == pytest.approx(30)
    assert np.abs(np.subtract(picture.place, picture.crop.box)).max() <= 1
    assert figure.content.words == (f"{HOSTILE}: 25% of the margin, in 50% of the photos, stability 0.90",)
    page = figure.draw()
    left, right, bottom, top = page.axes[0].images[0].get_extent()
    assert (left, top, right, bottom) == picture.place
    assert page.axes[0].get_ylim() == (picture.crop.box[3], picture.crop.box[1])  # y down
    assert Image.open(io.BytesIO(figure.to_png(width_mm=60, dpi=100))).width == round(60 / 25.4 * 100)
    assert figure._repr_html_().startswith('<img alt="Traits of A una')
    assert "data:image/png;base64," in figure.save(tmp_path / "f.html").read_text("utf-8")
    with pytest.raises(ValueError, match=r"count must be an int in the range \[1, 8\]"):
        fk.figures.trait_sheet(traits, 0, study=study)


# --- words ---


def test_words():
    assert [short(v) for v in (0, 0.5, 1, -0.123, 9.96, 123.4)] == ["0", "0.50", "1.0", "−0.12", "10", "123"]  # noqa: RUF001
    assert [probability(p) for p in (0.0001, 0.0123, 0.5)] == ["p < 0.001", "p = 0.012", "p = 0.50"]
    assert [fixed(v, 1) for v in (-0.04, -0.06, 1)] == ["0.0", "−0.1", "1.0"]  # noqa: RUF001
    assert join(["a", "b", "c"]) == "a, b and c"
    assert safe("<b>$x$ %{y} \"q\" & 'r'\nz") == "&lt;b&gt;&#36;x&#36; %&#123;y} \"q\" &amp; 'r'<br>z"
