"""What no held-out head could judge is unknown, not wrong."""

import warnings

import numpy as np
import pandas as pd
import pytest
from samples import SPECIES, write_photos
from species_study import confusion_counts

import finerkit as fk

ALONE = SPECIES[2]


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A study of three species, of which all photos of the third show one individual; and what it warned of."""
    folder = tmp_path_factory.mktemp("unjudgeable")
    root = write_photos(folder / "photos", 10)
    rows = [(f"{s}/{i:02}.png", s, "only one" if s == ALONE else f"{s} {i}") for s in SPECIES for i in range(10)]
    table = pd.DataFrame(rows, columns=["path", "species", "individual"])
    images = fk.read_images(root, table, progress=False)
    model = fk.load_model("test_resnet", 64, "cpu", pretrained=False)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        study = fk.analyze(images, model, folder / "s.zarr", groups="individual", progress=False)
    said = [w for w in said if issubclass(w.category, fk.SpeciesWarning)]
    assert {w.filename for w in said} == {__file__}  # the line that called it
    return study, [str(w.message) for w in said]


def test_its_recall_is_unknown_and_its_photos_do_not_count(judged):
    study, _ = judged
    predictions, labels = study["predictions"], study["images"]["species"].values
    mine = labels == ALONE
    recall = study["species"]["recall"]
    assert np.isnan(recall.sel(species=ALONE))
    right = predictions["predicted"].values == labels
    for name in SPECIES[:2]:
        assert float(recall.sel(species=name)) == pytest.approx(right[labels == name].mean())
    assert study["species"].attrs["accuracy"] == pytest.approx(right[~mine].mean())
    assert study["species"].attrs["chance_level"] == 0.5
    assert (predictions["predicted"].values[mine] == "").all()


def test_only_logits_of_its_own_species_are_unknown(judged):
    study, _ = judged
    logit, fold = (study["predictions"][v] for v in ("logit", "fold"))
    (unaware,) = set(fold.values[study["images"]["species"].values == ALONE])  # the head that has seen none of it
    assert np.isnan(logit.sel(species=ALONE).values).tolist() == (fold.values == unaware).tolist()
    assert np.isfinite(logit.sel(species=list(SPECIES[:2])).values).all()
    assert (fold >= 0).all()


def test_one_warning_names_it_and_nothing_calls_it_confused(judged):
    study, said = judged
    named = [text for text in said if ALONE in text]
    assert len(named) == 1
    assert named[0].startswith(f"1 species could not be judged: '{ALONE}' (10 photos).")
    assert "add photos of other individuals" in named[0]
    counts = confusion_counts(study)
    assert counts.sel(target=ALONE).sum() == 0
    assert counts.sum() == 20
