"""All photos of some species show one individual: such species are not judged, and it is said."""

import numpy as np
import pandas as pd
import pytest
from samples import SPECIES, write_photos

import finerkit as fk

PHOTOS = 8


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory):
    """What analyzes the same photos with any individuals (a function of species and number)."""
    folder = tmp_path_factory.mktemp("individuals")
    root = write_photos(folder / "photos", PHOTOS)
    model = fk.load_model("test_resnet", 64, "cpu", pretrained=False)

    def study_of(who, name):
        rows = [(f"{s}/{i:02}.png", s, who(s, i)) for s in SPECIES for i in range(PHOTOS)]
        table = pd.DataFrame(rows, columns=["path", "species", "individual"])
        images = fk.read_images(root, table, progress=False)
        return fk.analyze(images, model, folder / f"{name}.zarr", groups="individual", progress=False)

    return study_of


def test_where_each_species_is_one_individual_nothing_is_judged(analyzed):
    with pytest.warns(fk.SpeciesWarning, match="3 species could not be judged"):
        study = analyzed(lambda species, i: species, "each")
    assert np.isnan(study["species"].attrs["accuracy"])
    assert np.isnan(study["species"].attrs["chance_level"])
    assert np.isnan(study["species"]["recall"]).all()
    assert (study["predictions"]["predicted"] == "").all()


def test_where_one_species_is_one_individual_the_others_are_judged(analyzed):
    alone = SPECIES[0]
    with pytest.warns(fk.SpeciesWarning, match=f"1 species could not be judged: '{alone}' .8 photos."):
        study = analyzed(lambda species, i: "one" if species == alone else f"{species} {i}", "one")
    known = study["species"]["recall"].to_series().notna()
    assert known.to_dict() == {name: name != alone for name in SPECIES}
    said = study["predictions"]["predicted"].to_series()
    assert (said == "").sum() == PHOTOS
    pair = fk.compare(study, alone, progress=False)
    assert fk.evidence_table(pair)["margin_cross_validated"].isna().all()  # of photos of the target
    confusion = fk.similar_species(study, alone, by="confusion")
    assert confusion.notnull().all()  # by how the others' photos are taken for it
    assert confusion["confused"].sum() == (said == alone).sum()


def test_where_each_species_is_two_individuals_all_are_judged(analyzed):
    study = analyzed(lambda species, i: f"{species} {i % 2}", "two")  # without a warning
    assert study["species"]["recall"].notnull().all()
    assert study["species"].attrs["chance_level"] == pytest.approx(1 / 3)
    fold = study["predictions"]["fold"].to_series()
    individual = study["images"]["individual"].to_series()
    assert (fold.groupby(individual).nunique() == 1).all()
