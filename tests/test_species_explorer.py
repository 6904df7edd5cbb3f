"""The species explorer as Python sees it: its state, what travels, and what it hands on to compare."""

import io

import numpy as np
import pytest
import traitlets
import xarray as xr
from PIL import Image
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform
from species_study import HOSTILE, PAIRS, confusion_counts, species_study

import finerkit as fk
from finerkit.output.widgets.exemplars import _spread, exemplars
from finerkit.output.widgets.page import embedded


@pytest.fixture
def study(tmp_path):
    return species_study(tmp_path / "photos")


@pytest.fixture
def explorer(study):
    return fk.SpeciesExplorer(study)


def test_it_opens_on_one_of_the_most_similar_pair(explorer, study):
    scores = fk.similar_species(study).values.copy()
    np.fill_diagonal(scores, -1)
    best = np.unravel_index(np.nanargmax(scores), scores.shape)
    names = study["species"].species.values
    assert explorer.species in names[list(best)]
    assert explorer.by == "embedding"
    assert explorer.references == []


def test_the_map_is_in_the_order_of_scipy(explorer, study):
    seen = fk.similar_species(study).values[:8, :8]
    distance = squareform(seen.max() - seen, checks=False)
    expected = leaves_list(optimal_leaf_ordering(linkage(distance, "average"), distance))
    assert explorer._map["order"] == list(expected)  # Nemo visus, without photos, is not on it
    sent = np.frombuffer(explorer._map["matrix"], "<f4").reshape(8, 8)
    apart = ~np.eye(8, dtype=bool)
    assert sent[apart] == pytest.approx(seen[np.ix_(expected, expected)][apart], abs=1e-6)
    assert list(explorer.matrix.species.values) == list(study["species"].species.values[expected])
    order = [str(s).split()[0] for s in explorer.matrix.species.values]
    assert all(order[i] == order[i + 1] for i in range(0, 8, 2))  # look-alikes stand side by side


def test_look_alikes_are_those_of_similar_species(explorer, study):
    explorer.species, explorer.by, explorer.k = "Rubra una", "logits", 4
    xr.testing.assert_identical(explorer.look_alikes(), fk.similar_species(study, "Rubra una", "logits", 4))
    assert explorer.listed() == pytest.approx(
        dict(zip(explorer.look_alikes().species.values, explorer.look_alikes().values, strict=True))
    )
    assert next(iter(explorer.listed())) == "Rubra duo"


def test_only_measures_that_the_study_answers_are_offered(explorer, study):
    assert [m[0] for m in explorer._about["measures"]] == ["embedding", "weights", "logits", "confusion"]
    with pytest.raises(traitlets.TraitError, match=r"by must be one of 'embedding'.*Got 'taxonomy' instead.*misses"):
        explorer.by = "taxonomy"
    images = study["images"].to_dataset()
    genus = [str(s).split()[0] for s in images["species"].values]
    study["images"] = xr.DataTree(images.assign(genus=("image", np.array(genus, object))))
    assert fk.SpeciesExplorer(study, by="taxonomy").listed()[f"{PAIRS[0]} duo"] == 1
    study["species"] = xr.DataTree(study["species"].to_dataset().drop_vars("weight"))
    assert "weights" not in [m[0] for m in fk.SpeciesExplorer(study)._about["measures"]]


def test_names_are_forgiving_and_errors_say_what_to_do(explorer):
    explorer.species = "nigra_una"
    assert explorer.species == "Nigra una"
    explorer.references = ["nigra duo", "Alba una", "Alba una"]
    assert explorer.references == ["Nigra duo", "Alba una"]
    with pytest.raises(traitlets.TraitError, match=r"No species named 'Nigra dou'. Did you mean 'Nigra duo'"):
        explorer.species = "Nigra dou"
    with pytest.raises(traitlets.TraitError, match=r"'Nigra una' is chosen as the target"):
        explorer.references = ["Nigra una"]
    with pytest.raises(TypeError, match="no attribute 'speices'"):
        fk.SpeciesExplorer(explorer.study, speices="Nigra una")
    explorer.k = 99
    assert explorer.k == 8


def test_choosing_another_species_clears_the_references(explorer):
    explorer.species = "Alba una"
    explorer.references = ["Rubra una"]
    explorer.species = "Nigra una"
    assert explorer.references == []


def test_only_photos_of_what_is_listed_travel(explorer):
    explorer.k = 2
    explorer.species = "Rubra duo"
    explorer.species = "Alba una"
    near = list(explorer.look_alikes().species.values)
    assert {n: len(p) for n, p in explorer._photos.items()} == {"Alba una": 4, near[0]: 3, near[1]: 3}
    explorer.references = ["Viridis una"]
    assert len(explorer._photos["Viridis una"]) == 3
    assert set(explorer._photos) == {"Alba una", *near, "Viridis una"}
    assert Image.open(io.BytesIO(explorer._photos["Alba una"][0]["jpeg"])).size in {(60, 40), (40, 60)}
    explorer.species = "Nemo visus"
    explorer.by = "weights"
    assert explorer._photos["Nemo visus"] == []


def test_typical_photos_are_nearest_to_the_prototype(study):
    chosen = exemplars(study, "Alba duo", 2)
    mine = study["images"].species.values == "Alba duo"
    distance = np.linalg.norm(study["features"].embedding - study["species"].prototype[1], axis=1)
    expected = study["images"].image.values[mine][np.argsort(distance[mine])[:2]]
    assert [e.image for e in chosen] == list(expected)
    study = xr.DataTree.from_dict({"images": study["images"].to_dataset()})
    assert [e.image for e in exemplars(study, "Alba duo", 2)] == list(study["images"].image.values[mine][:2])


def test_of_very_many_photos_some_from_all_over_are_looked_at():
    few, many = np.arange(5, 300), np.arange(100, 10_000, 3)
    assert (_spread(few) == few).all()
    spread = _spread(many)
    assert len(spread) == len(set(spread)) == 512
    assert set(spread) <= set(many)
    assert spread[0] == many[0]
    assert spread[-1] == many[-1]


def test_mistakes_are_counted_both_ways(explorer, study):
    counts = confusion_counts(study)
    assert int(counts.sel(target="Alba una", species="Alba duo")) == 1
    assert int(counts.sel(target="Alba duo", species="Alba una")) == 0
    assert explorer._about["mistakes"] == [[i, i + 1, 1] for i in (0, 2, 4, 6)]
    assert explorer._about["right"] == [4, 5] * 4 + [0]
    assert explorer._about["judged"] == [5] * 8 + [0]


def test_compare_takes_what_is_ticked(explorer, monkeypatch):
    asked = []
    monkeypatch.setattr("finerkit.output.widgets.species.compare", lambda *a, **k: asked.append((a[1:], k)))
    explorer.species, explorer.by = "Alba una", "weights"
    explorer.compare(objective="softmax")
    explorer.references = ["Alba duo", "Rubra una"]
    explorer.compare(detail="fine")
    assert asked == [
        (("Alba una", "auto"), {"by": "weights", "objective": "softmax"}),
        (("Alba una", ["Alba duo", "Rubra una"]), {"detail": "fine"}),
    ]


def test_callbacks_hear_of_changes_and_their_errors_are_kept(explorer):
    def fail(change):
        raise RuntimeError(f"not {change.new}")

    explorer.species = "Alba una"
    explorer.observe(fail, "species")
    explorer.set_state({"species": "Viridis una", "references": []})
    assert explorer.species == "Viridis una"
    assert explorer.error == "RuntimeError: not Viridis una"
    explorer.set_state({"species": "nobody"})
    assert "No species named 'nobody'" in explorer.error


def test_two_species_are_enough(tmp_path):
    explorer = fk.SpeciesExplorer(species_study(tmp_path, ["Alba"]))
    assert (explorer.k, list(explorer.listed())) == (2, ["Alba duo"])  # Nemo visus has no number
    assert picture_of(explorer).width > 400


def picture_of(explorer):
    return Image.open(io.BytesIO(explorer.snapshot()))


def test_a_picture_stands_in_where_it_cannot_run(explorer):
    before = picture_of(explorer)
    assert before.format == "PNG"
    assert before.width > 400
    explorer.by = "confusion"
    assert picture_of(explorer).tobytes() != before.tobytes()


def test_hostile_names_stay_text_on_a_page(tmp_path):
    explorer = fk.SpeciesExplorer(species_study(tmp_path, hostile=True), species=HOSTILE)
    body = embedded(explorer, "a").body
    assert "<img" not in body
    assert body.count("</script>") == 1
    assert picture_of(explorer).width > 400


def test_a_study_without_two_species_to_compare_is_refused(study):
    alone = study["species"].to_dataset().isel(species=[0])
    logit = study["predictions"].to_dataset().isel(species=[0])
    study["species"], study["predictions"] = xr.DataTree(alone), xr.DataTree(logit)
    with pytest.raises(ValueError, match="no two species to compare: analyze photos of at least two"):
        fk.SpeciesExplorer(study)


def test_of_very_many_species_look_alikes_are_listed_and_no_map_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr("finerkit.output.widgets.species.WHOLE", 10)
    study = species_study(tmp_path / "photos", [f"Genus{i}" for i in range(8)], photos=3)
    explorer = fk.SpeciesExplorer(study)
    for species in (explorer.species, "Genus5 duo"):
        explorer.species = species
        near = fk.similar_species(study, species, k=None).dropna("species")
        assert list(explorer.listed()) == list(near.species.values[:5])
        assert explorer._map["order"] == [explorer._names.index(s) for s in (species, *near.species.values)]
        row = np.frombuffer(explorer._map["matrix"], "<f4")[1:]
        assert row == pytest.approx(near.values, abs=1e-6)
        assert (explorer._map["low"], explorer._map["high"]) == (near.values.min(), near.values.max())
    far = str(near.species.values[-1])
    explorer.k, explorer.references = 2, [far]
    assert list(explorer.listed()) == [*near.species.values[:2], far]
    with pytest.raises(ValueError, match="17 species, and a tree is made of at most 10: fk.figures.similarity_map"):
        _ = explorer.matrix
    assert picture_of(explorer).width > 400
    explorer.species = "Nemo visus"  # has no number by any row
    assert explorer.listed() == {}
