"""Traits of an earlier head are kept, but never matched against the new one."""

import pytest
from samples import SPECIES, draw, write_photos

import finerkit as fk
from finerkit.traits import rename, save


def test_traits_of_an_earlier_head_are_refused_in_words(tmp_path):
    model = fk.load_model("test_resnet", 64, "cpu", pretrained=False)
    photos, store = write_photos(tmp_path / "photos", 12), tmp_path / "s.zarr"
    old = fk.analyze(fk.read_images(photos, progress=False), model, store, progress=False)
    traits = fk.find_traits(fk.compare(old, SPECIES[0], [SPECIES[1]], progress=False), n_traits=3)
    named = save(rename(traits, "trait 1", "white bar"))
    assert len(fk.match_trait(named, "white bar"))
    for species in SPECIES[:2]:
        for i in range(12):
            draw(species, 200 + i).save(photos / species / f"n{i}.png")
    for i in range(6):  # labels are corrected: two photos change places
        first, second = (photos / species / f"{i:02}.png" for species in SPECIES[:2])
        first.rename(tmp_path / "away.png")
        second.rename(first)
        (tmp_path / "away.png").rename(second)
    new = fk.analyze(fk.read_images(photos, progress=False), model, store, progress=False)
    kept = new.finerkit.trait("Rubra_quadrata-vs-Rubra_rotunda")
    assert list(kept.trait.values) == ["white bar", "trait 2", "trait 3"]
    for data in (kept, named):
        with pytest.raises(ValueError, match="These traits were made with another species head than the study has now"):
            fk.match_trait(data, "white bar")
    pair = fk.compare(new, SPECIES[0], [SPECIES[1]], progress=False)
    with pytest.raises(ValueError, match="traits were made with another species head than the comparison"):
        fk.write_guide(tmp_path / "g.html", pair, kept)
    assert {old.attrs["head_id"], kept.attrs["head_id"]} == {named.attrs["head_id"]} != {new.attrs["head_id"]}
    assert new.attrs["study_id"] == kept.attrs["study_id"]
    labels = new["images"].species.to_series()
    assert (labels == [i.partition("/")[0] for i in labels.index]).all()
    assert labels.index.is_unique
