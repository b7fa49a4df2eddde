"""The prompts of a trigger analysis: one prompt with its trigger at several positions, misspelt, and without it."""

from __future__ import annotations

import re
from dataclasses import dataclass

START, ALONE, ABSENT, MIDDLE, END = "start", "alone", "absent", "middle", "end"
MISSPELT, WORDS, CLASS = "misspelt", "words", "class"

TITLES = {
    START: "at the start",
    ALONE: "alone",
    ABSENT: "absent",
    MIDDLE: "in the middle",
    END: "at the end",
    MISSPELT: "misspelt",
    WORDS: "as plain words",
    CLASS: "its class instead",
}
"""What people read for each position, in the order of the table."""

_BEFORE = re.compile(r"(?:^|\s)(?:(?:of|with|by|as|like|for)(?:\s+(?:an?|the))?|an?|the)$", re.IGNORECASE)
_ENDS = " \t,.;:!?"


@dataclass(frozen=True)
class Template:
    """A prompt that was taken apart.

    Attributes:
        call: the trigger as it stood, with a weight that it had for itself: `(sage:1.2)`.
        rest: the prompt without it.
    """

    call: str
    rest: str

    @classmethod
    def of(cls, prompt: str, trigger: str) -> Template:
        """Take a prompt apart; one that does not name the trigger is all rest.

        Commas that are left without a word between them go with the trigger, and so does a joining word before it:
        `a photo of sage, smiling` without `sage` is `a photo, smiling`.

        Args:
            prompt: with the trigger filled in.
            trigger: as the prompt has it, in any case.
        """
        word = re.escape(trigger)
        found = re.compile(rf"\(\s*{word}\s*(?::\s*[\d.]+\s*)?\)|(?<!\w){word}(?!\w)", re.IGNORECASE)
        first = found.search(prompt)
        if first is None:
            return cls(trigger, _tidied(prompt))
        before, *others = found.split(prompt)
        if not before.rstrip().endswith(tuple(_ENDS[2:])):
            before = _BEFORE.sub("", before.rstrip())
        return cls(first[0], _tidied(" ".join([before, *others])))

    def texts(self, trigger: str, class_word: str = "") -> dict[str, str]:
        """Return the prompt of each position, in the order of the table.

        Args:
            trigger: without a weight.
            class_word: what the trigger is a case of; "" where nobody said.
        """
        others = {MISSPELT: misspelt(trigger), WORDS: plain_words(trigger), CLASS: class_word}
        return {
            START: _joined(self.call, self.rest),
            ALONE: self.call,
            ABSENT: self.rest,
            MIDDLE: _joined(*_inserted(self.rest, self.call)),
            END: _joined(self.rest, self.call),
        } | {position: _joined(self._call(word), self.rest) for position, word in others.items() if word}

    def _call(self, word: str) -> str:
        """Return another word as the trigger stood: with its weight."""
        match = re.fullmatch(r"\(\s*.*?\s*(:\s*[\d.]+\s*)?\)", self.call)
        return word if match is None else f"({word}{match[1] or ''})"


def misspelt(trigger: str) -> str:
    """Return a trigger with a slip: the middle letter of its longest word left out, of a single letter doubled.

    Args:
        trigger: not empty.
    """
    words = [(match.start(), match[0]) for match in re.finditer(r"[^\W_]+", trigger)] or [(0, trigger)]
    start, longest = max(words, key=lambda found: len(found[1]))
    middle = start + len(longest) // 2
    if len(longest) == 1:
        return trigger[:start] + 2 * longest + trigger[start + 1 :]
    return trigger[:middle] + trigger[middle + 1 :]


def plain_words(trigger: str) -> str:
    """Return the words of a trigger that underscores join, with spaces between; "" where there are no underscores."""
    words = " ".join(trigger.replace("_", " ").split())
    return words if "_" in trigger.strip("_") else ""


def _inserted(rest: str, call: str) -> list[str]:
    """Return the tags of a prompt with the trigger among them; between the words of one that has no commas."""
    tags = _tags(rest)
    if len(tags) > 1:
        middle = (len(tags) + 1) // 2
        return [*tags[:middle], call, *tags[middle:]]
    words = rest.split()
    if len(words) < 2:
        return [*words, call]  # as at the end
    middle = (len(words) + 1) // 2
    return [" ".join([*words[:middle], call, *words[middle:]])]


def _tags(text: str) -> list[str]:
    """Return what commas outside of brackets part."""
    found, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth <= 0:
            found.append("")
        else:
            found[-1] += letter
    return [tag.strip() for tag in found if tag.strip()]


def _joined(*parts: str) -> str:
    kept = [part.rstrip(_ENDS) if index < len(parts) - 1 else part for index, part in enumerate(parts)]
    return ", ".join(part for part in kept if part)


def _tidied(text: str) -> str:
    """Return a text without the commas, brackets and spaces that surrounded what was taken out."""
    text = re.sub(r"\(\s*,\s*", "(", text)
    text = re.sub(r",\s*(?=[:)])", "", text)
    text = re.sub(r"\(\s*(?::\s*[\d.]+\s*)?\)", "", text)
    text = re.sub(r"\s+(?=[,.;:!?)])", "", text)
    text = re.sub(r",(?:\s*,)+", ",", text)
    return " ".join(text.split()).strip(" ,")
