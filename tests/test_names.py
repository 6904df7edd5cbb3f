"""Names as people type them."""

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finerkit.base.names import choice, fold, resolve, slug, suggestion

BUTTERFLIES = ["Heliconius erato", "Heliconius charithonia", "Danaus plexippus", "Limenitis archippus"]
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=30)


@pytest.mark.parametrize(
    "typed", ["Heliconius erato", "heliconius erato", " HELICONIUS  ERATO ", "Heliconius_erato", "heliconius\terato"]
)
def test_case_and_spaces_are_forgiven(typed):
    assert resolve(typed, BUTTERFLIES) == "Heliconius erato"


def test_accents_match_however_they_are_composed():
    assert resolve("e\u0301toile", ["\u00e9toile", "etoile"]) == "\u00e9toile"
    assert resolve("\u00e9toile", ["e\u0301toile", "etoile"]) == "e\u0301toile"


def test_an_exact_name_wins_over_its_look_alikes():
    assert resolve("a b", ["A_B", "a b", "A B"]) == "a b"


def test_ambiguous_names_are_listed():
    with pytest.raises(ValueError, match="'a b' could be any of 'A_B', 'A B': type one of them exactly"):
        resolve("a b", ["A_B", "A B", "c"])


@pytest.mark.parametrize(
    ("typed", "known", "message"),
    [
        ("H. erata", ["H. erato", "H. melpomene"], "No species named 'H. erata'. Did you mean 'H. erato'?"),
        ("H. erato", BUTTERFLIES, "No species named 'H. erato'. Did you mean 'Heliconius erato'?"),
        ("H. erata", BUTTERFLIES, "No species named 'H. erata'. Did you mean 'Heliconius erato'?"),
        ("plexippus", BUTTERFLIES, "No species named 'plexippus'. Did you mean 'Danaus plexippus'?"),
        ("danaus plexipus", BUTTERFLIES, "No species named 'danaus plexipus'. Did you mean 'Danaus plexippus'?"),
        ("zzz", ["a", "b"], "No species named 'zzz'. Known: 'a', 'b'."),
        ("zzz", [], "No species named 'zzz'. There are none."),
        ("", ["a"], "No species named ''. Known: 'a'."),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(typed, known, message):
    with pytest.raises(ValueError) as error:
        resolve(typed, known)
    assert str(error.value) == message


def test_all_species_of_one_abbreviation_are_suggested():
    message = suggestion("H. erato", ["Heliconius erato", "Hemaris erato", "Danaus plexippus"])
    assert "'Heliconius erato'" in message
    assert "'Hemaris erato'" in message
    assert "Danaus" not in message


def test_at_most_three_are_suggested_and_at_most_twelve_listed():
    assert suggestion("genus", [f"genus {i}" for i in range(9)]).count("'genus ") == 3
    listed = suggestion("q", [f"name {i:02}" for i in range(20)])
    assert listed.endswith("'name 11' and 8 more.")
    assert suggestion("q", [f"name {i:02}" for i in range(12)]).endswith("'name 11'.")


def test_kind_of_thing_and_next_call_are_named():
    with pytest.raises(ValueError, match=r"^No photo named 'x'. Known: 'a'. fk.similar_species\(study\) lists all.$"):
        resolve("x", ["a"], "photo", "fk.similar_species(study) lists all.")


@pytest.mark.parametrize("typed", [None, 3, b"a", ["a"]])
def test_names_are_text(typed):
    with pytest.raises(TypeError, match="A species is given by its name, a str. Got "):
        resolve(typed, ["a"])


@given(st.lists(WORDS, max_size=6), WORDS)
@settings(max_examples=50, deadline=None)
def test_resolve_finds_a_known_name_or_says_why_not(known, typed):
    same = {k for k in known if fold(k) == fold(typed)}
    if typed in known:
        assert resolve(typed, known) == typed
    elif len([k for k in known if fold(k) == fold(typed)]) == 1:
        assert {resolve(typed, known)} == same
    else:
        with pytest.raises(ValueError):
            resolve(typed, known)


@given(st.lists(WORDS.filter(fold), min_size=1, max_size=6, unique_by=fold), st.data())
@settings(max_examples=50, deadline=None)
def test_known_names_are_found_in_any_dress(known, data):
    name = data.draw(st.sampled_from(known))
    dress = data.draw(st.sampled_from([lambda n: f" {n}\t", lambda n: unicodedata.normalize("NFD", n)]))
    assert resolve(dress(name), known) == name


@pytest.mark.parametrize("text", ["Heliconius erato", "H. erato", "x", "a-b.c"])
def test_a_plain_name_only_loses_its_spaces(text):
    assert slug(text) == text.replace(" ", "_")


@pytest.mark.parametrize(
    ("text", "readable"),
    [
        ("../../etc/passwd", "etc_passwd"),
        ("a/b\\c:d", "a_b_c_d"),
        ("a..b...c", "a.b.c"),
        ("e\u0301toile 🦋", "\u00e9toile"),
        ("", "unnamed"),
        ("..", "unnamed"),
        ("🦋", "unnamed"),
        ("<b>x</b>", "b_x_b"),
    ],
)
def test_other_names_get_a_hash(text, readable):
    assert re.fullmatch(re.escape(readable) + "-[0-9a-f]{6}", slug(text))


def test_different_names_have_different_slugs():
    names = ["A/B", "A_B", "A:B", "A__B", "🦋", "🐞", "", "x" * 100, "x" * 101]
    assert len({slug(n) for n in names}) == len(names)
    assert slug("A_B") == "A__B"
    assert slug("A B") == "A_B"


def test_a_slug_cut_short_does_not_end_in_a_dot():
    assert re.fullmatch("ab-[0-9a-f]{6}", slug("ab. cd ef gh", 10))


@given(st.text(max_size=200), st.integers(1, 80))
@settings(max_examples=100, deadline=None)
def test_slugs_are_safe_as_file_and_group_names(text, limit):
    name = slug(text, limit)
    assert name
    assert len(name) <= max(limit, len("unnamed-123456"))
    assert ".." not in name
    assert name[0] not in "._-"
    assert name[-1] not in "._-"
    assert all(c.isalnum() or c in "_.-" for c in name)


def test_choice():
    assert choice("pad", ("squash", "pad"), "fit") == "pad"
    with pytest.raises(ValueError) as error:
        choice("pda", ("squash", "pad"), "fit")
    assert str(error.value) == "fit must be one of 'squash', 'pad'. Got 'pda' instead. Did you mean 'pad'?"
    with pytest.raises(ValueError, match="^fit must be one of 'squash', 'pad'. Got None instead.$"):
        choice(None, ("squash", "pad"), "fit")
