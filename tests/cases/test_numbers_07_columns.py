"""Columns of the user's table may have any name and hold text, numbers, gaps, dates or booleans."""

import numpy as np
import pytest
import xarray as xr
from test_traits import REFERENCE, TARGET, N, planted

import finerkit as fk
from finerkit.base.user_columns import OURS, column_of, columns_of, derived_name

HARD = [
    "region", "border", "background", "stability", "position_x", "trait", "x", "y", "shows", "cluster", "rank",
    "component", "feature", "number", "where", "measure", "geometry", "exemplar", "off_animal", "statistic",
    "cell_region", "point", "axis", "label", "margin", "remainder", "true_species", "Species_like", "edit", "trait_1",
    "contrast", "strength", "count", "mean", "map", "role",
]  # fmt: skip


def study_with(columns):
    study = planted()
    images = study["images"].to_dataset().drop_vars(["sex", "day"])
    study["images"].dataset = images.assign({name: ("image", values) for name, values in columns.items()})
    return study


def traits_of(columns):
    study = study_with(columns)
    return fk.find_traits(fk.compare(study, TARGET, [REFERENCE], progress=False), n_traits=2, study=study)


def test_columns_of_any_name_are_kept_tested_and_drawn():
    groups = np.tile(np.array(["north", "south"], object), N)
    traits = traits_of(dict.fromkeys(HARD, groups))
    table = fk.phenotype_table(traits)
    assert sorted(columns_of(traits).values()) == sorted(HARD)
    for column in HARD:
        kept = column_of(traits, column)
        assert kept.endswith(column)
        assert list(table[kept]) == list(groups)
        assert fk.test_traits(traits, column, permutations=9).columns[-1] == "mean: south"
    np.testing.assert_allclose(table[["trait 1", "trait 2", "remainder"]].sum(axis=1), table["margin"], atol=1e-4)
    boxes = fk.figures.phenotype_boxes(traits, "region", permutations=9)
    assert "by region" in boxes.content.title


def test_dates_booleans_and_numbers_with_gaps():
    dates = np.datetime64("2024-05-01") + np.arange(2 * N).astype("timedelta64[D]")
    gaps = np.where(np.arange(2 * N) % 5 == 0, np.nan, np.arange(2.0 * N))
    traits = traits_of({"margin": dates.astype("datetime64[ns]"), "shows": np.arange(2 * N) % 2 == 0, "border": gaps})
    assert fk.test_traits(traits, "margin", permutations=9)["measure"].iloc[0] == "Spearman's rho"
    assert fk.test_traits(traits, "shows", permutations=9)["measure"].iloc[0] == "Hedges' g"
    assert fk.test_traits(traits, "border", permutations=9)["n"].iloc[0] == np.isfinite(gaps[:N]).sum()
    assert fk.phenotype_table(traits)["table_margin"].dtype.kind == "M"
    assert fk.phenotype_table(traits)["table_shows"].dtype == bool


@pytest.mark.parametrize("column", ["trait 1", "Trait 2", "shows: trait 1", "#", "(note)"])
def test_columns_named_like_the_phenotype_tables_own_or_with_signs(column):
    traits = traits_of({column: np.tile(np.array(["n", "s"], object), N)})
    assert column_of(traits, column) == f"table_{column}"
    assert list(fk.phenotype_table(traits).columns[-1:]) == [f"table_{column}"]


def test_two_columns_never_become_one():
    one, two = (np.tile(np.array(v, object), N) for v in (["a", "b"], ["c", "d"]))
    traits = traits_of({"region": one, "table_region": two})
    assert traits[column_of(traits, "region")].values[0] == "a"
    assert traits[column_of(traits, "table_region")].values[0] == "c"


def test_columns_survive_edits_and_a_column_that_was_added_later_counts():
    traits = traits_of({"region": np.tile(np.array(["n", "s"], object), N)})
    edited = fk.traits.merge(traits, ["trait 1", "trait 2"]).assign(site=("image", np.arange(2.0 * N)))
    assert columns_of(edited) == {"table_region": "region", "site": "site"}
    with pytest.raises(ValueError, match="No metadata column named 'regoin'. Did you mean 'region'"):
        fk.test_traits(edited, "regoin")


def test_the_rule():
    assert derived_name("sex") == "sex"
    assert derived_name("Region") == "table_Region"
    assert derived_name("region", ["TABLE_REGION"]) == "table_table_region"
    assert not OURS & {*dir(xr.Dataset), *dir(xr.DataArray)}
