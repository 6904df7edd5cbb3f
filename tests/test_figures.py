"""Figures are tested by what they would draw, and by reading back what was drawn."""

import base64
import io
import xml.etree.ElementTree as ET

import matplotlib.image
import numpy as np
import pytest
import xarray as xr
from PIL import Image

import finerkit as fk
from finerkit.base.roles import species_coords
from finerkit.output.figures.colours import colours, for_plotly
from finerkit.output.figures.panels import contrast_panels

HOSTILE = "<script>alert('$x^2$')</script> & co"


def make_pair(tmp_path, species=("a", "b"), sizes=((60, 40), (30, 90)), seed=0):
    """Two photos, plain grey; evidence for the target only in cell (1, 2) of a 4 x 4 grid, stronger in the second."""
    evidence = np.zeros((2, 2, 4, 4), np.float32)
    evidence[0, 0, 1, 2], evidence[1, 0, 1, 2] = 1.0, 2.0
    evidence[:, 1, 3, 3] = 0.5
    paths = []
    for i, size in enumerate(sizes):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.new("RGB", size, (128, 128, 128)).save(paths[-1])
    width, height = np.array(sizes).T
    per_image = {
        "true_species": [species[0]] * 2, "path": paths, "status": ["ok"] * 2, "width": width, "height": height,
        "cell_left": [0.0] * 2, "cell_top": [0.0] * 2, "cell_width": width / 4, "cell_height": height / 4,
    }  # fmt: skip
    return xr.Dataset(
        {
            "evidence": (("image", "species", "y", "x"), evidence),
            "logit": (("image", "species"), evidence.sum((2, 3))),
            "bias": ("species", [0.0, 0.0]),
        },
        {
            "image": [f"{HOSTILE}/0.png", "1.png"],
            **{k: ("image", np.array(v, object if isinstance(v[0], str) else float)) for k, v in per_image.items()},
            **species_coords(species[0], species[1:]),
        },
        {"objective": "mean", "method": "cam", "additive": 1, "picked_by": "embedding", "model": "test"},
    )  # fmt: skip


def panels(pair, strengths=(0, 1), images=2, **kwargs):
    options = {"objective": None, "references": None, "relu": True, "scale": "shared", "pixels": 50} | kwargs
    return contrast_panels(pair, strengths, images, **options)


def test_what_is_drawn_is_the_contrast(tmp_path):
    pair = make_pair(tmp_path)
    grid = panels(pair, (1, 0))
    assert grid.strengths == (0, 1)
    assert [r.image for r in grid.rows] == ["1.png", f"{HOSTILE}/0.png"]  # from the largest margin down
    for row in grid.rows:
        for values, g in zip(row.values, (0, 1), strict=True):
            np.testing.assert_allclose(values, fk.contrast(pair, g).sel(image=row.image))
    assert (grid.rows[0].width, grid.rows[0].height) == (30, 90)
    assert grid.rows[0].margin == pytest.approx(1.5)
    assert "logits" in grid.legend


def test_scales(tmp_path):
    pair = make_pair(tmp_path)
    assert {top for row in panels(pair).rows for top in row.tops} == {2.0}
    assert [row.tops[0] for row in panels(pair, scale="image").rows] == [2.0, 1.0]
    signed = panels(pair, (2,), scale="panel", relu=False)
    assert signed.limits == (-1, 1)
    assert panels(pair, (0,)).limits == (0, 2)
    assert "share of the panel's largest value" in panels(pair, scale="panel").legend
    with pytest.raises(ValueError, match="scale must be one of 'shared', 'image', 'panel'"):
        panels(pair, scale="auto")


def test_photos_are_picked_evenly_by_margin_or_by_name(tmp_path):
    pair = make_pair(tmp_path)
    copies = [pair.assign_coords(image=[f"{i}a", f"{i}b"]) for i in range(5)]
    many = xr.concat(copies, "image", data_vars="minimal", coords="minimal", compat="override")
    many["logit"] = many.logit + xr.DataArray(np.arange(10.0), dims="image") * xr.DataArray([1, 0], dims="species")
    order = list(fk.evidence_table(many)["margin"].sort_values(ascending=False).index)
    assert [r.image for r in panels(many, images=3).rows] == [order[0], order[4], order[9]]
    assert [r.image for r in panels(many, images=["3a", "0b"]).rows] == ["3a", "0b"]
    assert len(panels(many, images=50).rows) == 10
    with pytest.raises(ValueError, match="No photo in this comparison named 'z'"):
        panels(many, images=["z"])
    with pytest.raises(ValueError, match="images must be an int in the range"):
        panels(many, images=0)


def test_plotly_overlay_lies_on_the_photos_pixels(tmp_path):
    figure = fk.figures.contrast_grid(make_pair(tmp_path), [0, 1], 2)
    heat = [t for t in figure.data if t.type == "heatmap"]
    assert len(heat) == 4
    np.testing.assert_allclose(heat[0].x, (np.arange(4) + 0.5) * 30 / 4)  # first row: the 30 x 90 photo
    np.testing.assert_allclose(heat[0].y, (np.arange(4) + 0.5) * 90 / 4)
    assert np.unravel_index(np.argmax(heat[0].z), (4, 4)) == (1, 2)
    photo = next(t for t in figure.data if t.type == "image")
    assert photo.source.startswith("data:image/jpeg;base64,")
    size = Image.open(io.BytesIO(base64.b64decode(photo.source.partition(",")[2]))).size
    for start, step, pixels, whole in zip((photo.x0, photo.y0), (photo.dx, photo.dy), size, (30, 90), strict=True):
        assert (start - step / 2, start + (pixels - 0.5) * step) == pytest.approx((0, whole))
    assert list(figure.layout.yaxis.range) == [90, 0]
    assert figure.layout.coloraxis.cmax == 2
    assert "one scale for all panels" in figure.layout.coloraxis.colorbar.title.text
    assert any(a.text == "max 1.0" for a in figure.layout.annotations)


def test_relative_scales_keep_logits_for_the_reader(tmp_path):
    heat = fk.figures.contrast_grid(make_pair(tmp_path), [0], 2, scale="panel").data[2]
    assert np.max(heat.z) == 1
    assert np.max(heat.customdata) == 2


def test_names_are_text_never_markup(tmp_path):
    figure = fk.figures.contrast_grid(make_pair(tmp_path, (HOSTILE, "b_c")), [1], 1)
    text = figure.to_json() + figure.layout.title.text
    assert "<script>" not in text.replace("\\u003c", "<")
    assert "&lt;script&gt;" in figure.layout.title.text
    assert "b c" in figure.layout.title.text
    figure.save(tmp_path / "hostile.svg")  # would fail on bad mathtext or XML
    ET.parse(tmp_path / "hostile.svg")


def test_print_puts_the_evidence_at_its_place(tmp_path):
    pair = make_pair(tmp_path, sizes=((80, 80), (80, 80)))
    bare = pair.copy(deep=True)
    bare["evidence"][:] = 0
    saved = []
    for name, data in (("bare", bare), ("with", pair)):
        figure = fk.figures.contrast_grid(data, [0], ["1.png"], scale="panel", opacity=1.0)
        saved.append(matplotlib.image.imread(figure.save(tmp_path / f"{name}.png", width_mm=120, dpi=100))[..., :3])
    assert saved[0].shape == saved[1].shape
    assert saved[0].shape[1] == round(120 / 25.4 * 100)
    grey = np.abs(saved[0] - 128 / 255).max(2) < 0.02  # both photos, the left one and the one under the map
    columns = np.flatnonzero(grey.sum(0) > 20)
    right = columns[columns > (columns[0] + columns[-1]) / 2]
    rows = np.flatnonzero(grey[:, right].sum(1) > 20)
    changed = np.abs(saved[0] - saved[1]).max(2)[rows[0] : rows[-1] + 1, right[0] : right[-1] + 1]
    changed = changed > 0.7 * changed.max()
    y, x = (np.flatnonzero(changed.any(axis)).mean() / changed.shape[1 - axis] for axis in (1, 0))
    assert y == pytest.approx(1.5 / 4, abs=0.04)  # the centre of cell (1, 2)
    assert x == pytest.approx(2.5 / 4, abs=0.04)


def test_pages_are_written_offline_and_endings_and_widths_that_cannot_be_are_refused(tmp_path):
    figure = fk.figures.contrast_grid(make_pair(tmp_path), [1], 1)
    content = figure.save(tmp_path / "new" / "f.html").read_bytes()
    assert b"<script src=" not in content
    assert b"Plotly.newPlot" in content
    with pytest.raises(ValueError, match=r"must end in \.png, \.svg, \.pdf, \.html. Got 'f\.jpg'"):
        figure.save(tmp_path / "f.jpg")
    with pytest.raises(ValueError, match="width_mm must be in the range .40, 1000., in millimetres"):
        figure.save(tmp_path / "f.png", width_mm=0)


def test_caption_says_what_was_computed(tmp_path):
    caption = panels(make_pair(tmp_path, ("Alba_una", "Alba duo")), 0.6, 1).caption
    for words in ("Finer-CAM", "Alba una against Alba duo", "objective mean", "strength 0.6", "4 x 4 cells"):
        assert words in caption


def test_colour_maps_are_perceptual_and_transparent_at_zero():
    rgba = colours("viridis", False, 0.8)
    assert rgba.shape == (256, 4)
    assert rgba[0, 3] == 0
    assert rgba[-1, 3] == pytest.approx(0.8)
    luminance = rgba[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert np.all(np.diff(luminance) > -1e-3)
    signed = colours(None, True, 1)
    assert signed[127, 3] < 0.02
    assert signed[0, 3] == signed[-1, 3] == 1
    assert for_plotly(rgba)[0][1].endswith(",0.000)")
    with pytest.raises(ValueError, match="cmap must be one of 'viridis'.* Got 'jet' instead"):
        colours("jet", False, 1)
    with pytest.raises(ValueError, match="for signed maps. Got 'viridis'"):
        colours("viridis", True, 1)
    with pytest.raises(ValueError, match=r"opacity must be in the range \[0, 1\]. Got 1.5"):
        colours(None, True, 1.5)


def test_a_photo_that_is_gone_is_said_and_drawn_as_such(tmp_path):
    pair = make_pair(tmp_path)
    (tmp_path / "1.png").unlink()
    with pytest.warns(fk.PhotoWarning, match="1 of 1 photos are not found under .* fk.open_study") as said:
        row = panels(pair, images=["1.png"]).rows[0]
    assert len(said) == 1
    assert row.photo.size == (17, 50)
    assert len(row.photo.getcolors()) > 3  # not plain: words are written on it


def test_the_table_says_where_the_peak_lies(tmp_path):
    table = fk.evidence_table(make_pair(tmp_path), 1.0)
    assert table.index.name == "image"
    first = table.loc[f"{HOSTILE}/0.png"]
    assert (first.peak_x, first.peak_y) == (2.5 * 15, 1.5 * 10)
    assert first.peak == pytest.approx(1)
    assert first.margin == pytest.approx(0.5)
    assert first["logit: a"] == pytest.approx(1)
    assert first.top_5_percent == pytest.approx(1)


def test_the_table_of_a_photo_without_evidence_has_no_peak(tmp_path):
    pair = make_pair(tmp_path)
    pair["evidence"][0] = np.nan
    pair["logit"][0] = np.nan
    pair["status"][0] = "file not found"
    table = fk.evidence_table(pair)
    assert table.iloc[0][["peak", "peak_x", "peak_y", "margin", "top_5_percent"]].isna().all()
    assert table.iloc[1][["peak", "peak_x", "peak_y", "margin", "top_5_percent"]].notna().all()
