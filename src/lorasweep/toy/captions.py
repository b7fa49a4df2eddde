"""The texts of the toy world, gathered: what its tokenizers are learnt from."""

from __future__ import annotations

from dataclasses import asdict

from lorasweep.randomness import random_for
from lorasweep.toy.attributes import CHOICES, caption_of, questions
from lorasweep.toy.humanoids import humanoid

COMMON_WORDS = """
a an and the of in on with at for to is from by as one two three four five very no not photo picture image drawing
painting art style quality high low best good bad ugly blurry clear sharp detailed simple big small large tiny tall
short old young new happy sad man woman boy girl person people child character hero outfit dress shirt jacket coat
trousers boots shoes gloves glasses mask hood belt bag hand hands arm arms leg legs face eyes mouth nose hair head body
front back side view close up full portrait standing sitting running jumping walking light dark bright soft glowing
metal wood stone fur fabric leather glass water fire ice sky sun moon star stars night day tree flower house street
room wall floor animal dog cat bear rabbit fox bird fish food cake fruit bread robot machine space ship war wars sword
blade fortnite fuzzy character robots cyan violet beige dusk colour color
"""
"""Words that users' captions and the themes' triggers are likely to have. A token each, so that no caption outgrows
77 tokens; but the base never trains on those that its captions lack."""


def tokenizer_texts(seed: int) -> list[str]:
    """Return the texts that the tokenizers are learnt from, all ASCII."""
    choices = [
        caption_of(asdict(humanoid(index, seed)), random_for(seed, "tokenizer-caption", index)) for index in range(3000)
    ]
    asked = [question for attribute in CHOICES for question in questions(attribute)]
    return [*choices, *asked * 20, *COMMON_WORDS.split()]
