"""The command line: the verbs work on small photos, and wrong input gets one line, not a traceback."""

import pandas as pd
import pytest
import xarray as xr
from samples import SPECIES, write_photos

import finerkit as fk
from finerkit.cli.commands import main
from finerkit.cli.report import accuracy_words


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    write_photos(folder / "photos", per_species=6)
    path = folder / "study.zarr"
    assert main(["analyze", str(folder / "photos"), "--store", str(path), "--image-size", "64", "--device", "cpu"]) == 0
    return path


def test_analyze_writes_a_study_and_says_what_it_found(store, capsys):
    photos = store.parent / "photos"
    again = ["analyze", str(photos), "--store", str(store), "--image-size", "64", "--device", "cpu"]
    assert main(again) == 0
    said = capsys.readouterr().out
    assert "18 of 18 photos analysed, 3 species." in said
    assert "Cross-validated accuracy: " in said
    assert "(guessing the commonest species: 0.333)" in said
    assert fk.open_study(store).attrs["image_size"] == 64


def test_compare_writes_figure_and_table(store, tmp_path, capsys):
    arguments = ["compare", str(store), "rubra quadrata", "--references", "Rubra rotunda"]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--strength", "0", "1", "--photos", "2"]) == 0
    said = capsys.readouterr().out
    assert "Rubra quadrata against Rubra rotunda: by heads that had not seen the photo, the target wins in" in said
    for ending in (".png", ".html", ".csv"):
        assert (tmp_path / "out" / f"Rubra_quadrata-vs-Rubra_rotunda{ending}").stat().st_size > 200
    table = pd.read_csv(tmp_path / "out" / "Rubra_quadrata-vs-Rubra_rotunda.csv", index_col="image")
    pair = fk.compare(fk.open_study(store), SPECIES[0], ["Rubra rotunda"], progress=False)
    expected = fk.evidence_table(pair)
    pd.testing.assert_frame_equal(table, expected, check_dtype=False, rtol=1e-4)


def test_traits_writes_sheet_tables_and_regions(store, tmp_path, capsys):
    assert main(["traits", str(store), "Rubra quadrata", "-k", "1", "--traits", "2", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "share_of_margin" in said
    phenotypes = pd.read_csv(tmp_path / "Rubra_quadrata-phenotypes.csv", index_col="image")
    assert "fingerprint" not in phenotypes
    total = phenotypes["trait 1"] + phenotypes["trait 2"] + phenotypes["remainder"]
    pd.testing.assert_series_equal(total, phenotypes["margin"], check_names=False, atol=1e-3)
    assert list(pd.read_csv(tmp_path / "Rubra_quadrata-traits.csv", index_col="trait").index) == ["trait 1", "trait 2"]
    for ending in ("-traits.png", "-regions.json"):
        assert (tmp_path / f"Rubra_quadrata{ending}").stat().st_size > 200
    study = fk.open_study(store)
    traits = study.finerkit.trait(study.finerkit.traits()[0])
    assert fk.match_trait(traits, "trait 1").image.iloc[0].startswith("Rubra")


def test_wrong_input_is_one_line(store, capsys):
    assert main(["compare", str(store), "Rubra quadrate"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("finerkit: No species named 'Rubra quadrate'. Did you mean 'Rubra quadrata'?")
    assert "Traceback" not in error
    with pytest.raises(ValueError, match="Rubra quadrate"):
        main(["--debug", "compare", str(store), "Rubra quadrate"])
    assert main(["demo", "--photos", "2"]) == 2
    assert "--photos must be an int in the range [5, inf). Got 2 instead." in capsys.readouterr().err


def test_an_interruption_says_how_to_go_on(monkeypatch, capsys):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("finerkit.photos.read.read_images", interrupt)
    monkeypatch.setitem(fk.__dict__, "read_images", interrupt)
    assert main(["analyze", "photos", "--store", "s.zarr"]) == 130
    assert "run the same command again to go on" in capsys.readouterr().err


def test_version_and_help(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert fk.__version__ in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--help"])
    help_text = capsys.readouterr().out
    for verb in ("demo", "analyze", "compare", "traits", "guide"):
        assert verb in help_text


@pytest.mark.parametrize(
    ("attrs", "words"),
    [
        ({}, ""),
        ({"accuracy": float("nan"), "chance_level": 0.5}, "could not be judged"),
        ({"accuracy": 0.9584, "chance_level": 0.25}, "0.958 (guessing the commonest species: 0.250)"),
    ],
)
def test_accuracy_stands_beside_guessing(attrs, words):
    study = xr.DataTree.from_dict({"species": xr.Dataset(attrs=attrs)})
    assert accuracy_words(study) == words
