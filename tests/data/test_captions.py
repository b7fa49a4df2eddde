from __future__ import annotations

import random

import pytest

from lorasweep.config import DatasetConfig
from lorasweep.data.captions import affixed, drawn, one_line, tags_of
from lorasweep.data.plan import Row

TAGS = "bear, red hat,blue scarf ,  , snow, night"


def rows(count: int) -> list[Row]:
    return [Row(index % 5, index % 7, index) for index in range(count)]


def test_text_on_one_line():
    assert one_line(" a bear,\r\n\tin  snow \n") == "a bear, in snow"


@pytest.mark.parametrize(
    ("prefix", "suffix", "expected"),
    [
        ("", "", "a bear"),
        ("photo of", "", "photo of a bear"),
        ("fzb, ", "", "fzb, a bear"),
        ("", ", 4k", "a bear, 4k"),
        ("", "in 4k", "a bear in 4k"),
        ("fzb,", ", 4k", "fzb, a bear, 4k"),
    ],
)
def test_prefix_and_suffix(prefix, suffix, expected):
    assert affixed("a bear", prefix, suffix) == expected


def test_tags():
    assert tags_of(TAGS, ",") == ["bear", "red hat", "blue scarf", "snow", "night"]
    assert tags_of("a; b,c", ";") == ["a", "b,c"]


def test_untouched_without_rules():
    assert drawn(TAGS, DatasetConfig(), 0, Row(0, 0, 0)) == TAGS


def test_shuffle_keeps_the_first_tags_and_loses_none():
    rules = DatasetConfig(shuffle_tags=True, keep_tokens=2)
    texts = {drawn(TAGS, rules, 0, row) for row in rows(60)}
    assert len(texts) == 6  # all orders of three free tags
    for text in texts:
        tags = text.split(", ")
        assert tags[:2] == ["bear", "red hat"]
        assert sorted(tags[2:]) == ["blue scarf", "night", "snow"]


def test_another_separator_is_joined_with_commas():
    rules = DatasetConfig(shuffle_tags=True, keep_tokens=9, caption_separator="|")
    assert drawn("a | b, c|d", rules, 0, Row(0, 0, 0)) == "a, b, c, d"


def test_tag_dropout_drops_its_share_and_never_a_kept_tag():
    rules = DatasetConfig(tag_dropout=0.3, keep_tokens=1)
    texts = [drawn(TAGS, rules, 0, row).split(", ") for row in rows(2000)]
    assert all(tags[0] == "bear" for tags in texts)
    for tag in ("red hat", "blue scarf", "snow", "night"):
        assert sum(tag in tags for tags in texts) / 2000 == pytest.approx(0.7, abs=0.04)
    both = sum("snow" in tags and "night" in tags for tags in texts) / 2000
    assert both == pytest.approx(0.49, abs=0.04), "tags are dropped independently"
    assert drawn(TAGS, DatasetConfig(tag_dropout=1.0, keep_tokens=2), 0, Row(0, 0, 0)) == "bear, red hat"


def test_caption_dropout_empties_its_share_whole():
    rules = DatasetConfig(caption_dropout=0.25, keep_tokens=5)
    texts = [drawn(TAGS, rules, 0, row) for row in rows(2000)]
    assert set(texts) == {"", TAGS}
    assert texts.count("") / 2000 == pytest.approx(0.25, abs=0.03)
    assert drawn(TAGS, DatasetConfig(caption_dropout=1.0), 0, Row(0, 0, 0)) == ""


def test_every_part_of_the_row_and_the_seed_counts_and_nothing_else_does():
    rules = DatasetConfig(shuffle_tags=True)
    text = ", ".join("abcdefghijklmnop")
    here = drawn(text, rules, 0, Row(1, 2, 3))
    random.seed(5)
    assert drawn(text, rules, 0, Row(1, 2, 3)) == here
    others = [(1, Row(1, 2, 3)), (0, Row(0, 2, 3)), (0, Row(1, 0, 3)), (0, Row(1, 2, 0))]
    assert len({here, *(drawn(text, rules, seed, row) for seed, row in others)}) == 5


def test_rules_draw_apart():
    """Dropout neither changes how a surviving caption is shuffled (runs stay paired) nor favours any order."""
    shuffled = DatasetConfig(shuffle_tags=True, keep_tokens=2)
    both = DatasetConfig(shuffle_tags=True, keep_tokens=2, caption_dropout=0.5)
    pairs = [(drawn(TAGS, shuffled, 0, row), drawn(TAGS, both, 0, row)) for row in rows(1200)]
    assert all(after in ("", before) for before, after in pairs)
    survivors = [after for _, after in pairs if after]
    for last in ("blue scarf", "snow", "night"):
        assert sum(text.endswith(last) for text in survivors) / len(survivors) == pytest.approx(1 / 3, abs=0.08)
