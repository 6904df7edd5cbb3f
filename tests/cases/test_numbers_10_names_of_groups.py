"""Different names never share a group or a file."""

import itertools

import pytest

from finerkit.base.names import file_stem, slug

NAMES = [
    "Vanessa atalanta", "Vanessa_atalanta", "Vanessa  atalanta", "Vanessa _atalanta", "Vanessa_ atalanta",
    "Vanessa__atalanta", " Vanessa atalanta", "Vanessa atalanta ", "Vanessa-atalanta", "Vanessa/atalanta",
    "Vanessa:atalanta", "Vanessa\tatalanta", "Vanessa.atalanta", "Vanessa..atalanta", "_", "__", " ", ".", "..",
    "x" * 61, "x" * 62, "_Vanessa atalanta",
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), list(itertools.combinations(NAMES, 2)))
def test_two_names_are_two_groups(a, b):
    assert slug(a) != slug(b)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_groups_are_safe(name):
    assert "/" not in slug(name)
    assert ".." not in slug(name)
    assert not slug(name).startswith(("__", "."))
    assert len(slug(name)) <= 60


def test_names_as_people_write_them_stay_legible():
    assert slug("Vanessa atalanta") == "Vanessa_atalanta"
    assert slug("Setophaga coronata auduboni") == "Setophaga_coronata_auduboni"


def test_other_references_are_another_group():
    stems = [file_stem("A", r) for r in (["B-C"], ["B", "C"], ["C", "B"], ["B C"], ["B_C"], ["B"])]
    assert len(set(stems)) == len(stems)
