"""Everything that finerkit returns is plain xarray: it can be stored, copied, pickled, joined and tabulated."""

import pickle

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from samples import SPECIES, write_photos

import finerkit as fk
from finerkit import traits as tr
from finerkit.base.user_columns import OURS, columns_of
from finerkit.measures import sanity_check

NAMES = (
    "images", "study_images", "species", "predictions", "pair", "contrast", "contrasts", "weights", "traits", "edited",
    "selection", "scores", "suggested", "sanity", "background", "similarity",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("kept")
    photos = write_photos(root / "photos")
    paths = sorted(p.relative_to(photos).as_posix() for p in photos.rglob("*.png"))
    n = len(paths)
    table = pd.DataFrame({
        "path": paths, "species": [p.split("/")[0] for p in paths], "sex": ["F", "M", ""] * (n // 3),
        "wild": [True, False] * (n // 2), "when": pd.date_range("2024-01-01", periods=n),
        "length": [np.nan, *np.arange(1.0, n)], "region": ["north", "south"] * (n // 2),
    })  # fmt: skip
    images = fk.read_images(table, root=photos, progress=False)
    model = fk.load_model("test_resnet", 64, pretrained=False, device="cpu")
    study = fk.analyze(images, model, root / "study.zarr", progress=False)
    pair = fk.compare(study, SPECIES[0], 1, progress=False)
    known = {"study": study, "model": model}
    traits = fk.find_traits(pair, n_traits=2, **known)
    edited = tr.rename(tr.split(traits, "trait 1", name="wing"), "trait 2", "tail")
    sizes = zip(images["image"].values, images["height"].values, images["width"].values, strict=True)
    half = {i: np.arange(h * w).reshape(h, w) < h * w // 2 for i, h, w in sizes}
    scores = fk.score(pair, [0, 1.0], ["relative_drop", "deletion", "energy"], masks=half, progress=False, **known)
    return {
        "images": images,
        "study_images": study["images"].to_dataset(),
        "species": study["species"].to_dataset(),
        "predictions": study["predictions"].to_dataset(),
        "pair": pair,
        "contrast": fk.contrast(pair),
        "contrasts": fk.contrast(pair, [0, 1.0], relu=False, normalize=True),
        "weights": fk.reference_weights(pair),
        "traits": traits,
        "edited": edited,
        "selection": fk.TraitExplorer(traits, study, regions=[0, 2]).selection,
        "scores": scores,
        "suggested": fk.suggest_strength(pair, [0, 1], progress=False, **known),
        "sanity": sanity_check(pair, **known),
        "background": fk.test_background(pair, half, permutations=9, **known),
        "similarity": fk.similar_species(study),
    }


def values_of(variable):
    return variable.values.astype(object).astype(str) if variable.dtype.kind in "OUT" else variable.values


def assert_same(found, data):
    """Equal in names, dims, kinds, values and attrs."""
    found, data = (d.to_dataset(name="values") if isinstance(d, xr.DataArray) else d for d in (found, data))
    assert set(found.variables) == set(data.variables)
    assert set(found.coords) == set(data.coords)
    for name, variable in data.variables.items():
        kinds = ["text" if v.dtype.kind in "OUT" else v.dtype.kind for v in (found[name], variable)]
        assert kinds[0] == kinds[1], name
        assert found[name].dims == variable.dims, name
        np.testing.assert_array_equal(values_of(found[name]), values_of(variable), str(name))
        assert found[name].attrs == variable.attrs, name
    assert found.attrs == data.attrs


def read(path, data, engine):
    load = xr.load_dataset if isinstance(data, xr.Dataset) else xr.load_dataarray
    return load(path, engine=engine)


@pytest.mark.parametrize("engine", ["netcdf4", "h5netcdf"])
@pytest.mark.parametrize("name", NAMES)
def test_netcdf(made, tmp_path, name, engine):
    made[name].to_netcdf(tmp_path / "d.nc", engine=engine)
    assert_same(read(tmp_path / "d.nc", made[name], engine), made[name])


@pytest.mark.parametrize("name", NAMES)
def test_zarr_copies_pickles_and_selections(made, tmp_path, name):
    data = made[name]
    data.to_zarr(tmp_path / "d.zarr", consolidated=False)
    found = xr.open_zarr(tmp_path / "d.zarr", consolidated=False)
    assert_same(found if isinstance(data, xr.Dataset) else next(iter(found.data_vars.values())), data)
    assert_same(data.copy(deep=True), data)
    assert_same(pickle.loads(pickle.dumps(data)), data)
    if "image" in data.dims:
        assert_same(data.sel(image=data["image"].values[[2, 0]]), data.isel(image=[2, 0]))


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("traits", "edited", "selection")])
def test_tables(made, name):
    data = made[name] if isinstance(made[name], xr.Dataset) else made[name].to_dataset(name="values")
    assert len(data.to_dataframe()) == np.prod(list(data.sizes.values()))


@pytest.mark.parametrize("name", NAMES)
def test_attrs_are_numbers_or_short_text_and_no_name_is_hidden(made, name):
    data = made[name] if isinstance(made[name], xr.Dataset) else made[name].to_dataset(name="values")
    for attrs in (data.attrs, *(v.attrs for v in data.variables.values())):
        for key, value in attrs.items():
            assert type(value) in (int, float, str) or isinstance(value, np.integer | np.floating), key
            assert not isinstance(value, str) or len(value) < 1000, key
    ours = {str(n) for n in (*data.variables, *data.dims)} - {"values", *columns_of(made["traits"]).values()}
    assert not ours & {*dir(xr.Dataset), *dir(xr.DataArray)}
    assert all(v.dtype.kind != "U" for v in data.variables.values())  # Zarr does not specify text of fixed width


@pytest.mark.parametrize("name", ["pair", "traits", "edited", "scores", "suggested", "sanity", "background"])
def test_names_of_what_is_derived_are_listed(made, name):
    data = made[name]
    assert {str(n) for n in (*data.variables, *data.dims)} - set(columns_of(data)) <= OURS


@pytest.mark.parametrize("engine", ["netcdf4", "h5netcdf"])
def test_what_was_read_back_is_used_as_before(made, tmp_path, engine):
    for name in ("pair", "edited", "scores"):
        made[name].to_netcdf(tmp_path / f"{name}.nc", engine=engine)
    pair, edited, scores = (xr.load_dataset(tmp_path / f"{n}.nc", engine=engine) for n in ("pair", "edited", "scores"))
    pd.testing.assert_frame_equal(fk.evidence_table(pair), fk.evidence_table(made["pair"]))
    pd.testing.assert_frame_equal(fk.phenotype_table(edited), fk.phenotype_table(made["edited"]))
    assert tr.merge(edited, ["wing", "tail"]).attrs["edited"] == 3
    assert fk.find_traits(pair, n_traits=1).sizes["trait"] == 1
    assert fk.write_guide(tmp_path / "g.html", pair, edited, scores).exists()


def test_two_halves_of_a_comparison_are_one(made):
    pair = made["pair"].load()
    halves = [pair.isel(image=slice(2)), pair.isel(image=slice(2, None))]
    joined = xr.concat(halves, "image", data_vars="all", coords="different", compat="equals", join="outer")
    xr.testing.assert_identical(fk.contrast(joined, [0, 1]), fk.contrast(pair, [0, 1]))


@pytest.mark.parametrize("engine", ["netcdf4", "h5netcdf"])
def test_a_whole_study(made, tmp_path, engine):
    study = fk.open_study(made["pair"].attrs["store"])
    features = study["features"].to_dataset()
    whole = features["feature_map"].astype("float32")  # netCDF has no half precision
    study["features"].dataset = features.assign(feature_map=whole)
    study.to_netcdf(tmp_path / "study.nc", engine=engine)
    with xr.open_datatree(tmp_path / "study.nc", engine=engine) as found:
        for group in ("images", "species", "predictions", "features"):
            assert_same(found[group].to_dataset(), study[group].to_dataset())
