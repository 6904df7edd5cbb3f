"""Look-alike measures on studies whose answer is known."""

import pickle

import numpy as np
import pytest
import xarray as xr
from species_study import confusion_counts

import finerkit as fk
from finerkit.species.similarity import MEASURES

NAMES = ["Alba una", "Alba duo", "Nigra sola", "Nemo visus"]


@pytest.fixture
def study():
    """Four species, the last without photos; una and duo lie near each other."""
    prototype = np.array([[3.0, 1, 0], [3, -1, 0], [-3, 0, 1], [np.nan] * 3])
    labels = np.repeat(NAMES[:3], 4)
    logit = np.zeros((12, 4))
    logit[labels == "Alba una"] = [5, 4, 0, -9]
    logit[labels == "Alba duo"] = [3, 5, 1, -9]
    logit[0] = [1, 3, 0, -9]  # one mistake
    logit[labels == "Nigra sola"] = [0, 1, 6, -9]
    images = xr.Dataset(
        {
            "species": ("image", labels.astype(object)),
            "status": ("image", np.array(["ok"] * 12, object)),
            "family": ("image", np.array(["Albidae"] * 8 + ["Nigridae"] * 4, object)),
            "Order": ("image", np.array(["Ordo"] * 12, object)),
            "genus": ("image", np.array([n.split()[0] for n in labels], object)),
        },
        {"image": [str(i) for i in range(12)]},
    )
    species = xr.Dataset(
        {
            "prototype": (("species", "feature"), prototype),
            "weight": (("species", "feature"), np.array([[1.0, 0, 0], [0, 1, 0], [0, 0.9, 0.1], [-1, -1, -1]])),
            "n_photos": ("species", [4, 4, 4, 0]),
        },
        {"species": NAMES},
    )
    answers = {"logit": (("image", "species"), logit), "predicted": ("image", np.array(NAMES, object)[logit.argmax(1)])}
    predictions = xr.Dataset(answers, {"species": NAMES, "image": images.image})
    root = xr.Dataset(attrs={"study_id": "drawn", "network_id": "drawn", "head_id": "drawn"})
    return xr.DataTree.from_dict({"/": root, "images": images, "species": species, "predictions": predictions})


def test_embedding_is_the_cosine_of_centred_prototypes(study):
    scores = fk.similar_species(study, "Alba una")
    P = study["species"].prototype.values[:3]
    P = P - P.mean(0)
    expected = P[0] @ P[1] / np.linalg.norm(P[0]) / np.linalg.norm(P[1])
    assert scores.dims == ("species",)
    assert list(scores.species.values) == ["Alba duo", "Nigra sola", "Nemo visus"]
    assert float(scores[0]) == pytest.approx(expected)
    assert np.isnan(scores[2])
    assert scores.attrs["by"] == "embedding"


def test_weights_logits_confusion_and_taxonomy(study):
    def nearest(target, by):
        return str(fk.similar_species(study, target, by).species.values[0])

    assert nearest("Alba duo", "weights") == "Nigra sola"
    assert nearest("Alba duo", "logits") == "Alba una"
    logits = fk.similar_species(study, "Alba duo", "logits")
    assert float(logits.sel(species="Alba una")) == pytest.approx(-2)
    confusion = fk.similar_species(study, "Alba una", "confusion")
    assert str(confusion.species.values[0]) == "Alba duo"
    assert int(confusion.confused[0]) == 1
    p = np.exp([1.0, 3, 0, -9]), np.exp([5.0, 4, 0, -9]), np.exp([3.0, 5, 1, -9])
    una_as_duo = (p[0][1] / p[0].sum() + 3 * p[1][1] / p[1].sum()) / 4
    duo_as_una = p[2][0] / p[2].sum()
    assert float(confusion[0]) == pytest.approx((una_as_duo + duo_as_una) / 2)
    taxonomy = fk.similar_species(study, "Alba una", "taxonomy")
    assert float(taxonomy.sel(species="Alba duo")) == 1
    assert float(taxonomy.sel(species="Nigra sola")) == pytest.approx(1 / 3)  # order, but not family and genus
    assert float(fk.similar_species(study, "Alba una", "taxonomy", ranks=["genus"]).sel(species="Nigra sola")) == 0


@pytest.mark.parametrize("by", MEASURES)
def test_all_against_all(study, by):
    matrix = fk.similar_species(study, by=by)
    assert matrix.dims == ("target", "species")
    assert matrix.shape == (4, 4)
    row = matrix.sel(target="Alba una").drop_sel(species="Alba una").sortby(lambda r: -r)
    best = fk.similar_species(study, "Alba una", by, k=1)
    assert best.sizes["species"] == 1
    assert float(best[0]) == float(row[0])


def test_names_are_forgiven_and_errors_help(study):
    assert fk.similar_species(study, "alba_una", k=1).species.item() == "Alba duo"
    with pytest.raises(ValueError, match=r"No species named 'A. dua'. Did you mean 'Alba una' or 'Alba duo'"):
        fk.similar_species(study, "A. dua")
    with pytest.raises(
        ValueError, match="by must be one of 'embedding'.*Got 'embeding' instead. Did you mean 'embedding'"
    ):
        fk.similar_species(study, by="embeding")
    with pytest.raises(ValueError, match=r"k must be an int in the range \[1, inf\). Got 0 instead. Or None"):
        fk.similar_species(study, "Alba una", k=0)
    with pytest.raises(ValueError, match="no photo of 'Nemo visus'.*by='weights'"):
        fk.similar_species(study, "Nemo visus")


def test_taxonomy_needs_columns(study):
    study["images"].dataset = study["images"].to_dataset().drop_vars(["family", "Order", "genus"])
    with pytest.raises(ValueError, match="needs columns such as 'family' and 'genus'"):
        fk.similar_species(study, by="taxonomy")


def test_a_study_is_expected(tmp_path):
    with pytest.raises(TypeError, match="Got the path .*fk.open_study"):
        fk.similar_species(str(tmp_path / "none.zarr"))
    with pytest.raises(TypeError, match="Expected a study, .* Got a Dataset"):
        fk.similar_species(xr.Dataset())
    with pytest.raises(ValueError, match="no group 'images'"):
        fk.similar_species(xr.DataTree())


# --- photos that no head could judge ---


@pytest.fixture
def unjudged(study):
    """The same, but every head that knew Nigra had seen its photos; nor did that of the second una know it."""
    logit = study["predictions"].logit.values.copy()
    logit[8:, 2] = np.nan
    logit[1, 2] = np.nan
    said = np.where(np.arange(12) < 8, study["predictions"].predicted.values, "")
    changed = {"logit": (("image", "species"), logit), "predicted": ("image", said)}
    study["predictions"].dataset = study["predictions"].to_dataset().assign(changed)
    return study


def test_photos_that_no_head_could_judge_are_not_confused(unjudged):
    confusion = fk.similar_species(unjudged, by="confusion")
    assert np.isnan(confusion.sel(target="Nigra sola", species="Nigra sola"))
    e = np.exp
    first = 1 / (e([1.0, 3, 0, -9]).sum())
    others = 1 / e([5.0, 4, 0, -9]).sum()
    # The second una's head does not know Nigra: it cannot say how alike they are.
    assert float(confusion.sel(target="Alba una", species="Nigra sola")) == pytest.approx((first + 2 * others) / 3)
    assert float(confusion.sel(target="Nigra sola", species="Alba una")) == pytest.approx((first + 2 * others) / 3)
    counts = confusion_counts(unjudged)
    assert counts.sel(target="Nigra sola").sum() == 0
    assert int(counts.sum()) == 8
    assert int(confusion.confused.sum()) == 2  # una and duo, seen from both


# --- what leaves is plain xarray ---


@pytest.mark.parametrize("engine", ["netcdf4", "h5netcdf"])
@pytest.mark.parametrize("by", MEASURES)
def test_results_can_be_written_pickled_and_made_a_table(study, by, engine, tmp_path):
    for i, data in enumerate((fk.similar_species(study, by=by), fk.similar_species(study, "Alba una", by))):
        assert all(isinstance(value, int | float | str) for value in data.attrs.values())
        assert data["species"].dtype == object
        data.to_netcdf(tmp_path / f"{i}.nc", engine=engine)
        with xr.open_dataarray(tmp_path / f"{i}.nc", engine=engine) as found:
            xr.testing.assert_identical(found.load(), data)
        xr.testing.assert_identical(pickle.loads(pickle.dumps(data)), data)
        assert data.to_dataframe()["similarity"].tolist() == pytest.approx(data.values.ravel().tolist(), nan_ok=True)


def test_counts_of_answers_can_be_written_and_made_a_table(study, tmp_path):
    counts = confusion_counts(study)
    counts.to_netcdf(tmp_path / "c.nc")
    with xr.open_dataarray(tmp_path / "c.nc") as found:
        xr.testing.assert_identical(found.load(), counts)
    assert counts.to_dataframe()["photos"].sum() == 12
