"""What text a draw of an image is trained with: pure functions of the caption, the rules and the row.

The order is kohya's: prefix and suffix, then caption dropout, then the tags (kept, dropped, shuffled).
"""

from __future__ import annotations

import re

from lorasweep.config import DatasetConfig
from lorasweep.data.plan import Row
from lorasweep.randomness import random_for


def one_line(text: str) -> str:
    """Return the text with every run of white space, line ends included, as one space."""
    return " ".join(text.split())


def affixed(caption: str, prefix: str, suffix: str) -> str:
    """Return the caption between prefix and suffix, a space between them unless the suffix begins with punctuation."""
    start = " ".join(part for part in (prefix.strip(), caption) if part)
    suffix = suffix.strip()
    return start + suffix if suffix.startswith((",", ".", ";", ":")) else f"{start} {suffix}".strip()


def tags_of(caption: str, separator: str) -> list[str]:
    """Return the tags of a caption, stripped, without empty ones."""
    return [tag for tag in (part.strip() for part in caption.split(separator)) if tag]


def has_trigger(caption: str, trigger: str) -> bool:
    """Return whether the trigger stands in a caption, as whole words in any case."""
    return bool(trigger) and _whole(trigger).search(caption) is not None


def of_class(caption: str, trigger: str, word: str) -> str:
    """Return the caption with `word` wherever the trigger stands: what says the class and not the one learned."""
    return _whole(trigger).sub(lambda _: word, caption)


def _whole(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(words)}(?!\w)", re.IGNORECASE)


def drawn(caption: str, rules: DatasetConfig, seed: int, row: Row) -> str:
    """Return the caption that this draw is trained with.

    Args:
        caption: the full caption, prefix and suffix included (they count among the kept tags).
        rules: `caption_dropout` (the whole caption becomes ""), `tag_dropout` (each tag by itself),
            `shuffle_tags`, `keep_tokens` (leading tags that neither touches) and `caption_separator`.
        seed: the run's seed.
        row: which draw of which image; the same row always gives the same text.

    Returns:
        The caption unchanged when no rule touches it; tags are joined with ", " once any does.
    """
    index = (row.item, row.repeat, row.epoch)
    if rules.caption_dropout and random_for(seed, "caption dropout", *index).random() < rules.caption_dropout:
        return ""
    if not (rules.tag_dropout or rules.shuffle_tags):
        return caption
    tags = tags_of(caption, rules.caption_separator)
    kept, free = tags[: rules.keep_tokens], tags[rules.keep_tokens :]
    if rules.tag_dropout:
        chance = random_for(seed, "tag dropout", *index)
        free = [tag for tag in free if chance.random() >= rules.tag_dropout]
    if rules.shuffle_tags:
        random_for(seed, "tag shuffle", *index).shuffle(free)
    return ", ".join(kept + free)
