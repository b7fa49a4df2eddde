"""What can be said about a humanoid: each attribute, its choices, and the words for each choice.

These are the questions that the toy CLIP answers (`lorasweep.toy.judge`), and the tags that captions are made of.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from lorasweep.toy.backgrounds import BACKGROUNDS
from lorasweep.toy.figure import ACCESSORIES, BUILDS, EXPRESSIONS, GARMENTS, POSES, WEAR
from lorasweep.toy.headgear import HAIR, HEADGEAR
from lorasweep.toy.palette import COLORS

SUBJECT = "humanoid"
QUALITY = "nice_hands"
"""First tags of every caption, as in the captions that the real base was tuned on."""

CHOICES: dict[str, tuple[str, ...]] = {
    "skin": tuple(COLORS),
    "outfit": tuple(COLORS),
    "pattern": ("plain", "striped", "dotted", "checkered", "fluffy"),
    "garment": GARMENTS,
    "build": BUILDS,
    "headgear": HEADGEAR,
    "hair": HAIR,
    "pose": tuple(POSES),
    "expression": EXPRESSIONS,
    "accessory": ACCESSORIES,
    "wear": WEAR,
    "background": BACKGROUNDS,
}
"""Every attribute that is judged, with its choices in a fixed order."""


def phrase(attribute: str, choice: str) -> str:
    """Return the words for one choice, such as `holding sword` for ("accessory", "sword").

    Raises:
        KeyError: when there is no such attribute.
        ValueError: when the attribute has no such choice.
    """
    if choice not in CHOICES[attribute]:
        raise ValueError(f"{attribute} has no choice {choice!r}; there are {', '.join(CHOICES[attribute])}")
    if attribute == "skin":
        return f"{choice} skin"
    if attribute == "outfit":
        return f"{choice} outfit"
    if attribute == "pattern":
        return f"{choice} pattern"
    if attribute == "accessory":
        return f"holding {choice}"
    if attribute == "wear":
        return "no accessories" if choice == "nothing" else choice
    if attribute == "build":
        return f"{choice} build"
    if attribute == "garment":
        return "plain clothes" if choice == "outfit" else choice
    return choice


def questions(attribute: str) -> list[str]:
    """Return one caption per choice of `attribute`, in the order of `CHOICES`: the toy CLIP picks one of them."""
    return [f"{SUBJECT}, {phrase(attribute, choice)}" for choice in CHOICES[attribute]]


def attribute_tags(attributes: Mapping[str, str]) -> list[str]:
    """Return every tag that is true of a humanoid with these attributes (those of `humanoids.Humanoid`)."""
    pattern = "" if attributes["pattern"] == "plain" else attributes["pattern"] + " "
    tags = [f"{attributes['skin']} skin", f"{attributes['outfit']} {pattern}{attributes['garment']}"]
    if attributes["build"] != "average":
        tags.append(phrase("build", attributes["build"]))
    if attributes["headgear"] != "no hat":
        tags.append(f"{attributes['hat_color']} {attributes['headgear']}")
    if attributes["hair"] != "bald":
        tags.append(f"{attributes['hair_color']} {attributes['hair']}")
    if attributes["accessory"] != "nothing":
        tags.append(phrase("accessory", attributes["accessory"]))
    if attributes["wear"] != "nothing":
        tags.append(attributes["wear"])
    return [*tags, attributes["pose"], attributes["expression"], attributes["background"]]


def caption_of(attributes: Mapping[str, str], draw: random.Random | None = None) -> str:
    """Return a caption in tag style: every true tag in order, or as `draw` orders and omits them.

    Half of the drawn captions are complete and in order; the others are shuffled and lack up to a third of the tags,
    so that a model trained on them neither relies on an order nor on completeness.
    """
    tags = attribute_tags(attributes)
    if draw is not None and draw.random() < 0.5:
        draw.shuffle(tags)
        keep = draw.choice((1.0, 1.0, 0.85, 0.67))
        tags = tags[: max(1, round(len(tags) * keep))]
    return ", ".join([SUBJECT, QUALITY, *tags])
