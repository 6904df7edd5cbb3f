"""Traits that a person named are never replaced without a word."""

import numpy as np
import pytest
from samples import SPECIES, write_photos

import finerkit as fk
from finerkit.cli.commands import main
from finerkit.traits import mark_background, merge, rename, save
from finerkit.traits.edit import history, names_of


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edited")
    photos = write_photos(folder / "photos", 12)
    model = fk.load_model("test_resnet", 64, "cpu", pretrained=False)
    return fk.analyze(fk.read_images(photos, progress=False), model, folder / "s.zarr", progress=False), folder


@pytest.fixture
def traits(finished):
    study, _ = finished
    return fk.find_traits(fk.compare(study, SPECIES[0], [SPECIES[1]], progress=False), n_traits=3, overwrite=True)


def stored(finished):
    return finished[0].finerkit.trait("Rubra_quadrata-vs-Rubra_rotunda")


def test_finding_again_is_refused_until_that_is_said(finished, traits):
    study, _ = finished
    pair = fk.compare(study, SPECIES[0], [SPECIES[1]], progress=False)
    fk.find_traits(pair, n_traits=2)  # nobody worked on these: replaced
    named = save(rename(fk.find_traits(pair, n_traits=3), "trait 1", "white eye ring"))
    assert named.attrs["edited"] == 1
    with pytest.raises(ValueError, match=r"changed by hand \(1 edits\).*study.finerkit.trait\(.*overwrite=True"):
        fk.find_traits(pair, n_traits=2)
    assert names_of(stored(finished)) == ["white eye ring", "trait 2", "trait 3"]
    other = fk.find_traits(fk.compare(study, SPECIES[0], [SPECIES[2]], progress=False), n_traits=2)
    assert names_of(other) == ["trait 1", "trait 2"]
    assert names_of(stored(finished)) == ["white eye ring", "trait 2", "trait 3"]
    assert names_of(fk.find_traits(pair, n_traits=2, overwrite=True)) == ["trait 1", "trait 2"]


def test_the_command_line_uses_them(finished, traits, capsys):
    _, folder = finished
    save(rename(traits, "trait 1", "white eye ring"))
    out = str(folder / "g.html")
    asked = ["guide", str(folder / "s.zarr"), SPECIES[0], "--references", SPECIES[1], "--traits", "2", "--out", out]
    assert main(asked) == 0
    assert "as they were edited by hand (1 edits)" in capsys.readouterr().out
    assert "White eye ring" in (folder / "g.html").read_text()
    assert names_of(stored(finished)) == ["white eye ring", "trait 2", "trait 3"]


def test_two_people_edit_the_same_traits(finished, traits):
    mine = theirs = stored(finished)
    save(rename(theirs, "trait 1", "eye ring"))
    both = save(rename(mine, "trait 3", "wing bar"))
    assert names_of(both) == names_of(stored(finished)) == ["eye ring", "trait 2", "wing bar"]
    assert [e["name"] for e in history(both)] == ["eye ring", "wing bar"]
    np.testing.assert_array_equal(both.trait_evidence, traits.trait_evidence)


def test_edits_that_do_not_go_together_are_refused(finished, traits):
    mine = theirs = stored(finished)
    save(merge(theirs, ["trait 1", "trait 2"], "both"))
    with pytest.raises(ValueError, match=r"Somebody else saved .* both of you changed 'trait 1'. Nothing was written"):
        save(rename(mine, "trait 1", "eye ring"))
    assert names_of(stored(finished)) == ["both", "trait 3"]
    assert names_of(save(mark_background(mine, "trait 3"))) == ["both", "trait 3"]


def test_an_edit_that_was_taken_back_does_not_take_back_theirs(finished, traits):
    named = save(rename(stored(finished), "trait 1", "eye ring"))
    save(rename(stored(finished), "trait 2", "wing bar"))  # somebody else's
    undone = rename(named, "eye ring", "trait 1").drop_vars("edit").assign_attrs(edited=0)
    with pytest.raises(ValueError, match="an edit was taken back"):
        save(undone)
    assert names_of(stored(finished)) == ["eye ring", "wing bar", "trait 3"]


def test_two_explorers_never_erase_each_others_edits(finished, traits):
    first, second = (fk.TraitExplorer(stored(finished)) for _ in range(2))
    first.rename("trait 1", "eye ring")
    second.rename("trait 2", "wing bar")
    assert names_of(second.traits) == ["eye ring", "wing bar", "trait 3"]
    second.undo() if second._before else None
    first.rename("trait 3", "tail")
    assert names_of(stored(finished)) == ["eye ring", "wing bar", "tail"]
    first.close(), second.close()


def test_an_explorer_takes_back_its_own_edits(finished, traits):
    explorer = fk.TraitExplorer(stored(finished))
    explorer.rename("trait 1", "eye ring")
    explorer.undo()
    assert names_of(stored(finished)) == ["trait 1", "trait 2", "trait 3"]
    explorer.close()
