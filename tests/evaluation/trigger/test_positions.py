"""A prompt with its trigger at every position, whatever the prompt looks like."""

from __future__ import annotations

import pytest

from lorasweep.evaluation.cell_keys import Request
from lorasweep.evaluation.trigger import asking
from lorasweep.evaluation.trigger.positions import TITLES, Template, misspelt, plain_words
from lorasweep.pictures.prompts import Prompt


def test_tags() -> None:
    found = Template.of("sage_bear, red scarf, standing, snow", "sage_bear").texts("sage_bear", "person")
    assert found == {
        "start": "sage_bear, red scarf, standing, snow",
        "alone": "sage_bear",
        "absent": "red scarf, standing, snow",
        "middle": "red scarf, standing, sage_bear, snow",
        "end": "red scarf, standing, snow, sage_bear",
        "misspelt": "sae_bear, red scarf, standing, snow",
        "words": "sage bear, red scarf, standing, snow",
        "class": "person, red scarf, standing, snow",
    }
    assert list(found) == list(TITLES)


def test_a_sentence() -> None:
    found = Template.of("A photo of sage on a bench.", "sage").texts("sage")
    assert found == {
        "start": "sage, A photo on a bench.",
        "alone": "sage",
        "absent": "A photo on a bench.",
        "middle": "A photo on sage a bench.",
        "end": "A photo on a bench, sage",
        "misspelt": "sae, A photo on a bench.",
    }


def test_a_weight_goes_with_the_trigger() -> None:
    found = Template.of("portrait, (sage:1.2), (hat, scarf:1.1), snow", "sage").texts("sage", "person")
    assert found["absent"] == "portrait, (hat, scarf:1.1), snow"
    assert found["middle"] == "portrait, (hat, scarf:1.1), (sage:1.2), snow", "no comma inside of brackets parts tags"
    assert (found["alone"], found["class"][:12], found["misspelt"][:9]) == ("(sage:1.2)", "(person:1.2)", "(sae:1.2)")


@pytest.mark.parametrize(
    ("prompt", "rest"),
    [
        ("(sage, smiling:1.2), snow", "(smiling:1.2), snow"),
        ("(smiling, sage:1.2), snow", "(smiling:1.2), snow"),
        ("snow, SAGE, hat, sage", "snow, hat"),
        ("snow, sage", "snow"),
        ("sage", ""),
        ("a portrait of the sage, smiling", "a portrait, smiling"),
        ("sage's hat", "'s hat"),
        ("sages in snow", "sages in snow"),
        ("snow, , hat", "snow, hat"),
    ],
)
def test_without_the_trigger(prompt: str, rest: str) -> None:
    assert Template.of(prompt, "sage").texts("sage")["absent"] == rest


def test_a_slip_is_of_the_longest_word_and_never_none() -> None:
    assert misspelt("fortnite_fuzzy_bear_character") == "fortnite_fuzzy_bear_charcter"
    assert [misspelt(each) for each in ("sks", "x", "sks dog", "zz", "熊")] == ["ss", "xx", "ss dog", "z", "熊熊"]
    assert [plain_words(each) for each in ("a_big__dog", "_sks", "sks", "a dog")] == ["a big dog", "", "", ""]


def test_places_of_the_same_prompts_are_one() -> None:
    def positions(text: str) -> list[str]:
        request = Request(Prompt(text, 0, True), "", 64, 64, 30, 5.0)
        return list(asking.requests_by_position([request], "sage", ""))

    assert positions("sage") == ["start", "absent", "misspelt"]
    assert positions("sage, snow") == ["start", "alone", "absent", "end", "misspelt"]
    assert positions("sage, snow, hat") == ["start", "alone", "absent", "middle", "end", "misspelt"]


def test_at_least_four_seeds_are_drawn_unless_they_are_given() -> None:
    assert asking.enough([7]) == [7, 0, 1, 2] and asking.enough([1, 0]) == [1, 0, 2, 3]
    assert asking.enough([5, 6, 7, 8, 9]) == [5, 6, 7, 8, 9]
