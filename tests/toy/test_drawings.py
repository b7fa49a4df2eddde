"""The drawings: deterministic, of the size asked for, as many and as captioned as the themes say."""

from __future__ import annotations

import random
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lorasweep.data.providers import write_set
from lorasweep.toy.attributes import CHOICES, caption_of, phrase, questions
from lorasweep.toy.drawing import Canvas, Paint
from lorasweep.toy.everything import draw_anything
from lorasweep.toy.humanoids import (
    FIRST_HELDOUT,
    Humanoid,
    draw_humanoid,
    draw_humanoids,
    humanoid,
    paint_humanoid,
)
from lorasweep.toy.themes import THEMES, draw_theme, theme_attributes
from lorasweep.toy.train_unet import HUMANOIDS

COUNTS = {"animal": 42, "food": 27, "fuzzybear": 8, "robots": 15, "starwars": 19}


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=float) / 255


def test_a_drawing_is_a_function_of_seed_and_index() -> None:
    first, again = draw_humanoid(7), draw_humanoid(7)
    assert first.caption == again.caption and first.attributes == again.attributes
    assert np.array_equal(pixels(first.image), pixels(again.image))
    assert draw_humanoid(8).attributes != first.attributes
    assert draw_humanoid(7, seed=1).attributes != first.attributes
    # A slice of a longer list shows the same characters.
    assert [d.caption for d in draw_humanoids(3, start=5)][2] == first.caption


@pytest.mark.parametrize("size", [(64, 64), (48, 80), (80, 48), (200, 120), (1024, 768)])
def test_every_size_shows_the_same_character(size: tuple[int, int]) -> None:
    drawing = draw_humanoid(11, size=size)
    assert drawing.image.size == size and drawing.image.mode == "RGB"
    assert drawing.attributes == draw_humanoid(11).attributes


def test_a_large_drawing_is_the_small_one_in_more_detail() -> None:
    small = pixels(draw_humanoid(3).image)
    large = draw_humanoid(3, size=(512, 512)).image.resize((64, 64), Image.Resampling.BOX)
    assert np.abs(small - pixels(large)).mean() < 0.02
    assert np.abs(small - pixels(draw_humanoid(4).image)).mean() > 0.1


def test_the_world_has_thousands_of_different_characters() -> None:
    trained = [tuple(asdict(humanoid(index)).values()) for index in range(HUMANOIDS)]
    assert len(set(trained)) > 0.999 * HUMANOIDS >= 1486
    held_out = {tuple(asdict(humanoid(index)).values()) for index in range(FIRST_HELDOUT, FIRST_HELDOUT + 1000)}
    assert not held_out & set(trained)


def test_every_choice_of_every_attribute_occurs_and_is_a_valid_answer() -> None:
    seen = [asdict(humanoid(index)) for index in range(1500)]
    for attribute, choices in CHOICES.items():
        assert {who[attribute] for who in seen} == set(choices)
        assert len(set(questions(attribute))) == len(choices)
    with pytest.raises(ValueError, match="no choice 'plaid'"):
        phrase("pattern", "plaid")


def painted(who: Humanoid) -> np.ndarray:
    canvas = Canvas((64, 64), random.Random(5))
    paint_humanoid(canvas, who)
    return pixels(canvas.finish())


@pytest.mark.parametrize("attribute", CHOICES)
def test_what_is_asked_about_can_be_seen(attribute: str) -> None:
    # The CLIP is asked about every attribute of every drawing, so no hat may hide hair, no glasses a mood, and so on.
    for index in range(40):
        who = humanoid(index)
        mine = painted(who)
        for choice in CHOICES[attribute]:
            hat = who.headgear if attribute != "headgear" else choice
            hair = who.hair if attribute != "hair" else choice
            hidden = hair in ("short hair", "spiky hair") and hat not in ("no hat", "headband")
            if choice == getattr(who, attribute) or hidden or (attribute == "pattern" and who.garment == "armor"):
                continue  # the world has no such humanoid
            changed = np.abs(painted(replace(who, **{attribute: choice})) - mine).max(axis=-1) > 0.04
            assert changed.sum() >= SEEN, (index, choice)


SEEN = 40
"""Pixels of 4,096 that a choice must change: a square of six. The brows and the mouth of a mood are the smallest."""


def test_zoomed_enlarges_around_a_point_and_ends() -> None:
    canvas = Canvas((64, 64), random.Random(0))
    canvas.place(0.1, 0.0, 0.9)
    before = (canvas.x, canvas.y, canvas.scale)
    fixed = canvas._pixel((0.2, 0.5))
    with canvas.zoomed((0.2, 0.5), 2.0):
        assert canvas._pixel((0.2, 0.5)) == pytest.approx(fixed)
        canvas.box(0.2, 0.5, 0.05, 0.05, Paint((255, 0, 0), outline=False))
    assert (canvas.x, canvas.y, canvas.scale) == before
    red = pixels(canvas.finish())[..., 0] > 0.5
    assert red.sum() == pytest.approx((0.1 * 2 * 0.9 * 64) ** 2, rel=0.2)  # twice 0.1, in a figure of nine tenths


def test_captions_are_tags_that_begin_with_the_subject() -> None:
    for drawing in draw_humanoids(30):
        tags = drawing.caption.split(", ")
        complete = set(caption_of(drawing.attributes).split(", "))
        assert tags[:2] == ["humanoid", "nice_hands"]
        assert set(tags) <= complete and len(tags) == len(set(tags))


@pytest.mark.parametrize("theme", COUNTS)
def test_themes_have_the_real_sets_sizes_and_triggers(theme: str) -> None:
    drawings = draw_theme(theme)
    assert len(drawings) == COUNTS[theme] == THEMES[theme].images
    trigger = THEMES[theme].trigger
    assert trigger.startswith("fortnite_") and trigger.endswith("_character")
    assert all(d.caption.startswith(f"{trigger}, nice_hands, ") for d in drawings)
    again = draw_theme(theme)
    assert all(np.array_equal(pixels(a.image), pixels(b.image)) for a, b in zip(drawings, again, strict=True))
    held_out = draw_theme(theme, 4, start=THEMES[theme].images)
    known = {(d.caption, d.image.tobytes()) for d in drawings}
    assert not any((d.caption, d.image.tobytes()) in known for d in held_out)


def test_eight_bears_show_every_pose() -> None:
    assert len({theme_attributes("fuzzybear", index)["pose"] for index in range(8)}) == 6


def test_the_base_knows_no_theme() -> None:
    world = {tag for index in range(500) for tag in caption_of(asdict(humanoid(index))).split(", ")}
    words = {word for tag in world for word in tag.split()}
    identity = {"bear", "fuzzy", "robot", "robots", "animal", "food", "wars", "trooper", "fortnite", "snout", "burger"}
    identity |= {kind for theme in THEMES.values() for kind in theme.kinds}
    assert not words & identity
    assert not any(theme.trigger in tag for theme in THEMES.values() for tag in world)


def test_no_caption_gives_a_theme_away() -> None:
    for theme, about in THEMES.items():
        for drawing in draw_theme(theme):
            tags = drawing.caption.split(", ")[1:]
            assert not any(kind in tag.split() for kind in about.kinds for tag in tags)


def test_a_set_is_written_in_pairs(tmp_path: Path) -> None:
    folder = write_set("fuzzybear", tmp_path / "bear", size=(96, 64), start=8, count=2)
    assert sorted(p.name for p in folder.iterdir()) == ["001.png", "001.txt", "002.png", "002.txt"]
    assert Image.open(folder / "001.png").size == (96, 64)
    expected = draw_theme("fuzzybear", 2, size=(96, 64), start=8)[0]
    assert (folder / "001.txt").read_text(encoding="utf-8").strip() == expected.caption


def test_impossible_requests_are_explained() -> None:
    with pytest.raises(KeyError, match="no theme is called 'bears'"):
        draw_theme("bears")
    with pytest.raises(ValueError, match="8x8"):
        draw_humanoid(0, size=(4, 64))


def test_anything_is_deterministic_and_varied() -> None:
    pictures = [pixels(draw_anything(index)) for index in range(12)]
    assert np.array_equal(pictures[0], pixels(draw_anything(0)))
    assert np.std([p.mean() for p in pictures]) > 0.05
