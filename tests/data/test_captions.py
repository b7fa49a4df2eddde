from __future__ import annotations

import random

import pytest

from lorasweep.data.captions import (
    BadCaption,
    Change,
    affixed,
    augmented,
    begins_with,
    has_trigger,
    of_class,
    prompt_syntax,
    read_caption,
    tags_of,
    trigger_setting,
)
from lorasweep.randomness import Row
from lorasweep.schema import DatasetConfig

TAGS = "bear, red hat,blue scarf ,  , snow, night"


def rows(count: int) -> list[Row]:
    return [Row(index % 5, index % 7, index) for index in range(count)]


def test_text_on_one_line():
    caption = read_caption(" a bear,\r\n\tin  snow \n", DatasetConfig())
    assert (caption.text, caption.changes) == ("a bear, in snow", {Change.LINES})
    assert read_caption("a bear\n", DatasetConfig()).changes == set()


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("1girl\nsolo\nred hat\n", ["1girl", "solo", "red hat"]),
        ("1girl,\nsolo,\nred hat", ["1girl", "solo", "red hat"]),
        ("1girl, solo\n\nred hat", ["1girl", "solo", "red hat"]),
        ("1girl，solo、 red hat", ["1girl", "solo", "red hat"]),
        ("1girl，\nsolo", ["1girl", "solo"]),
        ("1girl، solo", ["1girl", "solo"]),
        ("A bear in snow.\nIt waves.", ["A bear in snow. It waves."]),
        ("a bear in snow\na bear in a wood", ["a bear in snow", "a bear in a wood"]),
    ],
)
def test_lines_and_full_width_commas_are_between_tags(text, tags):
    assert tags_of(read_caption(text, DatasetConfig()).text, ",") == tags


def test_lines_are_joined_by_the_separator_that_is_set():
    rules = DatasetConfig(caption_separator="|")
    assert tags_of(read_caption("1girl\nred，hat", rules).text, "|") == ["1girl", "red，hat"]


def test_escaped_brackets_are_what_prompts_make_of_them():
    caption = read_caption(r"sage \(series\), a \[b\]", DatasetConfig())
    assert (caption.text, caption.changes) == ("sage (series), a [b]", {Change.BRACKETS})


@pytest.mark.parametrize("place", ["{trigger}", "[trigger]", "[TRIGGER]"])
def test_the_trigger_stands_in_its_place(place):
    caption = read_caption(f"photo of {place} in snow", DatasetConfig(trigger=r"sage\1"))
    assert (caption.text, caption.changes) == (r"photo of sage\1 in snow", {Change.TRIGGER})
    with pytest.raises(BadCaption, match=r"there is none: set dataset.trigger=WORD"):
        read_caption(f"photo of {place}", DatasetConfig())


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b\ufeff", "a <|endoftext|> b", "<|startoftext|>a"])
@pytest.mark.parametrize("literal", [False, True])
def test_texts_that_cannot_be_trained(text, literal):
    with pytest.raises(BadCaption, match=r"is an empty caption|take it out"):
        read_caption(text, DatasetConfig(), literal=literal)


def test_sd_scripts_takes_the_first_line_letter_by_letter():
    rules = DatasetConfig(trigger="sage", caption_prefix="sage,", caption_suffix=", 4k")
    caption = read_caption("[trigger] \\(a\\)，b\nc", rules, literal=True)
    assert (caption.text, caption.changes) == ("[trigger] \\(a\\)，b", set())
    assert affixed("sage, in snow, 4k", rules, literal=True) == "sage, sage, in snow, 4k , 4k"
    with pytest.raises(BadCaption, match=r"has an empty first line, and compat\.literal_captions=true reads no other"):
        read_caption("\na bear", rules, literal=True)


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
    rules = DatasetConfig(caption_prefix=prefix, caption_suffix=suffix)
    assert affixed("a bear", rules) == expected
    assert affixed(expected, rules) == expected, "none is put there a second time"


@pytest.mark.parametrize(
    ("prefix", "caption", "expected"),
    [
        ("photo of sage_c,", "in snow", "photo of sage_c, in snow"),
        ("photo of sage_c,", "sage_c in snow", "photo of sage_c in snow"),
        ("sage_c, solo,", "a sage_c", "solo, a sage_c"),
        ("Sage_C, solo,", "solo, sage_c", "solo, sage_c"),
        ("sage_cs,", "a sage_c", "sage_cs, a sage_c"),
        ("{trigger},", "in snow", "sage_c, in snow"),
        ("photo of [trigger],", "sage_c in snow", "photo of sage_c in snow"),
    ],
)
def test_the_trigger_in_a_prefix_is_for_captions_that_have_none(prefix, caption, expected):
    assert affixed(caption, DatasetConfig(trigger="sage_c", caption_prefix=prefix)) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("in snow", "sage_c, in snow"),
        ("Sage_C in snow", "Sage_C in snow"),
        ("photo of sage_c", "photo of sage_c"),
        ("sage_characters on a shelf", "sage_c, sage_characters on a shelf"),
    ],
)
def test_a_prefix_that_is_the_trigger_doubles_none(caption, expected):
    assert affixed(caption, DatasetConfig(trigger="sage_c", caption_prefix="sage_c,")) == expected


def test_triggers_are_whole_words_in_any_case_and_any_form_of_unicode():
    assert begins_with("Sage_Character, on a shelf", "sage_character")
    assert not begins_with("sage_characters on a shelf", "sage_character")
    assert not has_trigger("my sage_characters", "sage_character") and not has_trigger("a bear", "")
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    for trigger in (composed, decomposed):
        for text in (composed, decomposed):
            caption = read_caption(f"{text} in snow", DatasetConfig()).text
            assert begins_with(caption, trigger)
            assert of_class(caption, trigger, "place") == "place in snow"


def test_the_setting_that_brings_the_trigger():
    assert trigger_setting("", "sage") == "'dataset.caption_prefix=\"sage,\"'"
    assert trigger_setting("", "sage, ") == "'dataset.caption_prefix=\"sage,\"'"
    assert trigger_setting("photo of", "sage") == "'dataset.caption_prefix=\"sage, photo of\"'"


@pytest.mark.parametrize(
    ("caption", "found"),
    [
        ("a (fluffy:1.2) bear", "(fluffy:1.2)"),
        ("a ((fluffy)) bear", "((fluffy))"),
        ("a {red|blue} hat", "{red|blue}"),
        ("a hat <lora:sage:1>", "<lora:sage:1>"),
        ("a [red:blue:0.5] hat", "[red:blue:0.5]"),
        (r"sage \(series\)", r"\("),
        ("a bear BREAK a hat", "BREAK"),
        ("a __colour__ hat", "__colour__"),
        ("a <random:red,blue> hat", "<random:red,blue>"),
        ("a bear, embedding:easynegative", "embedding:easynegative"),
        ("a bear --ar 3:2", "--ar"),
        ("a {{fluffy}} bear", "{fluffy}"),
        ("a [[fluffy]] bear", "[[fluffy]"),
        ("a (fluffy)1.2 bear", "(fluffy)1.2"),
        ("a (fluffy)++ bear", "(fluffy)++"),
        ("[filewords] bear", "[filewords]"),
        ("a bear &amp; a hat", "&amp;"),
        ("sage (series), at 12:30, a [b], the break of day, snake_case_word, a -- b, t-shirt--red", None),
    ],
)
def test_syntax_of_prompts(caption, found):
    assert prompt_syntax(caption) == found


def test_tags():
    assert tags_of(TAGS, ",") == ["bear", "red hat", "blue scarf", "snow", "night"]
    assert tags_of("a; b,c", ";") == ["a", "b,c"]


def test_untouched_without_rules():
    assert augmented(TAGS, DatasetConfig(), 0, Row(0, 0, 0)) == TAGS


def test_shuffle_keeps_the_first_tags_and_loses_none():
    rules = DatasetConfig(shuffle_tags=True, keep_tokens=2)
    texts = {augmented(TAGS, rules, 0, row) for row in rows(60)}
    assert len(texts) == 6  # all orders of three free tags
    for text in texts:
        tags = text.split(", ")
        assert tags[:2] == ["bear", "red hat"]
        assert sorted(tags[2:]) == ["blue scarf", "night", "snow"]


def test_another_separator_is_joined_with_commas():
    rules = DatasetConfig(shuffle_tags=True, keep_tokens=9, caption_separator="|")
    assert augmented("a | b, c|d", rules, 0, Row(0, 0, 0)) == "a, b, c, d"


def test_tag_dropout_drops_its_share_and_never_a_kept_tag():
    rules = DatasetConfig(tag_dropout=0.3, keep_tokens=1)
    texts = [augmented(TAGS, rules, 0, row).split(", ") for row in rows(2000)]
    assert all(tags[0] == "bear" for tags in texts)
    for tag in ("red hat", "blue scarf", "snow", "night"):
        assert sum(tag in tags for tags in texts) / 2000 == pytest.approx(0.7, abs=0.04)
    both = sum("snow" in tags and "night" in tags for tags in texts) / 2000
    assert both == pytest.approx(0.49, abs=0.04), "tags are dropped independently"
    assert augmented(TAGS, DatasetConfig(tag_dropout=1.0, keep_tokens=2), 0, Row(0, 0, 0)) == "bear, red hat"


def test_caption_dropout_empties_its_share_whole():
    rules = DatasetConfig(caption_dropout=0.25, keep_tokens=5)
    texts = [augmented(TAGS, rules, 0, row) for row in rows(2000)]
    assert set(texts) == {"", TAGS}
    assert texts.count("") / 2000 == pytest.approx(0.25, abs=0.03)
    assert augmented(TAGS, DatasetConfig(caption_dropout=1.0), 0, Row(0, 0, 0)) == ""


def test_every_part_of_the_row_and_the_seed_counts_and_nothing_else_does():
    rules = DatasetConfig(shuffle_tags=True)
    text = ", ".join("abcdefghijklmnop")
    here = augmented(text, rules, 0, Row(1, 2, 3))
    random.seed(5)
    assert augmented(text, rules, 0, Row(1, 2, 3)) == here
    others = [(1, Row(1, 2, 3)), (0, Row(0, 2, 3)), (0, Row(1, 0, 3)), (0, Row(1, 2, 0))]
    assert len({here, *(augmented(text, rules, seed, row) for seed, row in others)}) == 5


def test_rules_draw_apart():
    """Dropout neither changes how a surviving caption is shuffled (runs stay paired) nor favours any order."""
    shuffled = DatasetConfig(shuffle_tags=True, keep_tokens=2)
    both = DatasetConfig(shuffle_tags=True, keep_tokens=2, caption_dropout=0.5)
    pairs = [(augmented(TAGS, shuffled, 0, row), augmented(TAGS, both, 0, row)) for row in rows(1200)]
    assert all(after in ("", before) for before, after in pairs)
    survivors = [after for _, after in pairs if after]
    for last in ("blue scarf", "snow", "night"):
        assert sum(text.endswith(last) for text in survivors) / len(survivors) == pytest.approx(1 / 3, abs=0.08)
