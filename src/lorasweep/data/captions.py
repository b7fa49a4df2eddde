"""What text an image is trained with: read from its file, framed, and drawn anew each time that the image is seen.

Pure functions of the file's text, the rules and the row. The order is kohya's: prefix and suffix, then caption dropout,
then the tags (kept, dropped, shuffled). With `compat.literal_captions` files are read and framed as kohya does it too.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from lorasweep.randomness import Row, random_for
from lorasweep.schema import DatasetConfig
from lorasweep.text.encoding import readable
from lorasweep.text.shell import shell_quoted
from lorasweep.text.triggers import names_trigger, with_trigger

_SPECIAL = re.compile(r"<\|(?:endoftext|startoftext)\|>")
_COMMAS = re.compile(r"\s*[，、﹐﹑､،]\s*")
_ESCAPED = re.compile(r"\\([()\[\]])")
_SYNTAX = re.compile(
    r"<\w+:[^<>]*>"  # <lora:sage:1>
    r"|\bembedding:\w+"
    r"|(?<!\S)--[a-z]\w*"  # --ar 3:2
    r"|\([^()]*:\s*\d*\.?\d+\s*\)"  # (fluffy:1.2)
    r"|\(\([^()]*\)\)"
    r"|\([^()]*\)(?:\d*\.\d+|[+-]+)"  # (fluffy)1.2
    r"|\{[^{}]*\}"  # {red|blue}
    r"|\[[^\[\]]*[|:][^\[\]]*\]"  # [red:blue:0.5]
    r"|\[\[[^\[\]]*\]|\[(?:name|filewords)\]"
    r"|&(?:amp|lt|gt|quot|nbsp|#\d+);"
    r"|\\[()\[\]]"
    r"|\b(?:BREAK|ADDCOMM|ADDROW)\b"
    r"|__\w+__"  # __colours__
)
_PUNCTUATION = tuple(",.;:!?，、。；：！？")


SPECIAL = "with which the text encoders mark where a text begins or ends"
"""What a special token is, for messages."""


class BadCaption(Exception):
    """This text cannot be trained; the message says why and what to do, to be put after the file's name."""


class Change(StrEnum):
    """What reading makes of a file's text beyond taking it as it stands."""

    LINES = "several lines"
    COMMAS = "full-width commas"
    BRACKETS = "escaped brackets"
    TRIGGER = "the trigger's place"


@dataclass(frozen=True)
class Caption:
    """A caption as it is read, before prefix, suffix and any draw.

    Args:
        text: on one line.
        changes: what was made of the file's text.
    """

    text: str
    changes: frozenset[Change] = frozenset()


def read_caption(text: str, rules: DatasetConfig, *, literal: bool = False) -> Caption:
    r"""Return the caption that a file's text means.

    Lines are joined by the separator of tags, unless one ends in punctuation; full-width commas are commas, where that
    separator is one; `\(` and `\)` are brackets, as prompts have them in ComfyUI and A1111; the trigger stands where
    `{trigger}` or `[trigger]` does.

    Args:
        text: the file's.
        rules: its `caption_separator` and `trigger` count.
        literal: take the first line as it is, as sd-scripts does.

    Raises:
        BadCaption: there is nothing in it, it names the trigger where there is none, or it has a token in it that ends
            or begins every text.
    """
    if readable(text) != text:
        raise BadCaption("is to be a caption and is not UTF-8: rename it, or write a caption for each image in it")
    text = unicodedata.normalize("NFC", text)  # as the tokenizers do
    caption = Caption(text.split("\n")[0].strip()) if literal else _understood(text, rules)
    if _is_blank(caption.text):
        if not _is_blank(text):
            raise BadCaption("has an empty first line, and compat.literal_captions=true reads no other: write it there")
        raise BadCaption("is an empty caption: describe the image in it, or delete both")
    if token := special_token(caption.text):
        raise BadCaption(f"has {token} in it, {SPECIAL}: take it out")
    return caption


def _is_blank(text: str) -> bool:
    """Return whether nothing in a text can be seen: spaces, controls, and what formats text, of any width."""
    return all(unicodedata.category(letter)[0] in "CZ" for letter in text)


def _understood(text: str, rules: DatasetConfig) -> Caption:
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    changes = {Change.LINES} if len(lines) > 1 else set()
    text = " ".join([*(_ended(line, rules.caption_separator) for line in lines[:-1]), *lines[-1:]])
    if rules.caption_separator == "," and _COMMAS.search(text):
        text = _COMMAS.sub(", ", text).strip()
        changes.add(Change.COMMAS)
    if _ESCAPED.search(text):
        text = _ESCAPED.sub(r"\1", text)
        changes.add(Change.BRACKETS)
    if names_trigger(text):
        if not rules.trigger:
            raise BadCaption("names the trigger, and there is none: set dataset.trigger=WORD, or write the word itself")
        text = with_trigger(text, rules.trigger)
        changes.add(Change.TRIGGER)
    return Caption(text, frozenset(changes))


def _ended(line: str, separator: str) -> str:
    """Return a line that another one follows: a tag, or some of them, unless it ends in punctuation of its own."""
    return line if line.endswith((separator, *_PUNCTUATION)) else line + separator


def special_token(text: str) -> str | None:
    """Return the first token in a text that ends or begins every text, such as `<|endoftext|>`."""
    found = _SPECIAL.search(text)
    return found[0] if found else None


def prompt_syntax(caption: str) -> str | None:
    """Return the first piece of a caption that image generators read as an instruction, such as `(fluffy:1.2)`."""
    found = _SYNTAX.search(caption)
    return found[0] if found else None


def affixed(caption: str, rules: DatasetConfig, *, literal: bool = False) -> str:
    """Return a caption between `caption_prefix` and `caption_suffix`, with nothing of them a second time.

    Both may leave a place for the trigger, which in a prefix is for captions that have none; no space stands before a
    suffix that begins with punctuation.

    Args:
        caption: one line.
        rules: prefix, suffix and trigger.
        literal: put both there as they are, each with a space, as sd-scripts does.
    """
    prefix, suffix = rules.caption_prefix, rules.caption_suffix
    if literal:
        return " ".join(part for part in (prefix, caption, suffix) if part)
    prefix, suffix = with_trigger(prefix, rules.trigger), with_trigger(suffix, rules.trigger)
    if has_trigger(caption, rules.trigger):
        prefix = re.sub(_whole(rules.trigger).pattern + r"[,.;:]?\s*", "", prefix, flags=re.IGNORECASE)
    prefix, suffix = prefix.strip(), suffix.strip()
    if prefix and not begins_with(caption, prefix):
        caption = f"{prefix} {caption}"
    if suffix and not ends_with(caption, suffix):
        caption += suffix if suffix.startswith(_PUNCTUATION) else f" {suffix}"
    return caption


def trigger_setting(prefix: str, trigger: str) -> str:
    """Return the setting, as it is typed, with which every caption has the trigger.

    Args:
        prefix: the present `dataset.caption_prefix`.
    """
    trigger = trigger.rstrip(",; ")
    words = f"{trigger}, {prefix}".strip(" ") if prefix else f"{trigger},"
    return shell_quoted(f'dataset.caption_prefix="{words}"')


def tags_of(caption: str, separator: str) -> list[str]:
    """Return the tags of a caption, stripped, without empty ones."""
    return [tag for tag in (part.strip() for part in caption.split(separator)) if tag]


def has_trigger(caption: str, trigger: str) -> bool:
    """Return whether the trigger stands in a caption, as whole words in any case."""
    return bool(trigger) and _whole(trigger).search(caption) is not None


def begins_with(caption: str, words: str) -> bool:
    """Return whether a caption begins with these words, whole and in any case, whatever punctuation follows them."""
    words = words.rstrip("".join(_PUNCTUATION))
    return bool(words) and _whole(words).match(caption) is not None


def ends_with(caption: str, words: str) -> bool:
    """Return whether a caption ends with these words, whole and in any case, whatever punctuation precedes them."""
    words = words.lstrip("".join(_PUNCTUATION) + " ")
    return bool(words) and any(found.end() == len(caption) for found in _whole(words).finditer(caption))


def of_class(caption: str, trigger: str, word: str) -> str:
    """Return the caption with `word` wherever the trigger stands: what says the class and not the one learned."""
    return _whole(trigger).sub(lambda _: word, caption)


def _whole(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(unicodedata.normalize('NFC', words))}(?!\w)", re.IGNORECASE)


def augmented(caption: str, rules: DatasetConfig, seed: int, row: Row) -> str:
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
