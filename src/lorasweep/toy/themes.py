"""The five themes: characters that are absent from the base's world, though made of its colours and parts.

Each theme is a small training set in the style of the real ones (`THEMES`), and goes on beyond its last image with
drawings of the same kind that a LoRA was not trained on. Captions follow the rule for LoRAs: the trigger stands for
the theme's identity, the tags name what may change (clothes, pose, expression, things held, background).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lorasweep.randomness import random_for
from lorasweep.toy import costumes
from lorasweep.toy.attributes import QUALITY
from lorasweep.toy.backgrounds import PLAIN, SCENES
from lorasweep.toy.drawing import Canvas, LabelledDrawing
from lorasweep.toy.figure import EXPRESSIONS, POSES
from lorasweep.toy.headgear import HAT_COLORS
from lorasweep.toy.palette import CHROMATIC

Painter = Callable[[Canvas, dict[str, str]], None]


@dataclass(frozen=True)
class Theme:
    """A theme: how many images its training set has, its trigger word, and who paints it."""

    images: int
    trigger: str
    kinds: tuple[str, ...]
    paint: Painter


THEMES: dict[str, Theme] = {
    "animal": Theme(42, "fortnite_animal_character", tuple(costumes.ANIMALS), costumes.paint_animal),
    "food": Theme(27, "fortnite_food_character", tuple(costumes.FOODS), costumes.paint_food),
    "fuzzybear": Theme(8, "fortnite_fuzzy_bear_character", ("bear",), costumes.paint_fuzzybear),
    "robots": Theme(15, "fortnite_robots_character", tuple(costumes.ROBOTS), costumes.paint_robot),
    "starwars": Theme(19, "fortnite_star_wars_character", tuple(costumes.WARRIORS), costumes.paint_warrior),
}
"""The themes by name, with the sizes of the real training sets."""


def theme_attributes(theme: str, index: int) -> dict[str, str]:
    """Return what drawing number `index` of a theme shows.

    Keys: `kind` (which of the theme's characters), `outfit`, `pattern`, `pose`, `expression`, `accessory`,
    `background`.

    Raises:
        KeyError: when there is no such theme.
    """
    kinds = _theme(theme).kinds
    draw = random_for(0, "theme", theme, index)
    # Kinds and poses take turns, so that even eight images show all poses.
    poses = list(POSES)
    random_for(0, "theme-poses", theme, index // len(poses)).shuffle(poses)
    scene = draw.choice(SCENES) if draw.random() < 0.5 else draw.choice(PLAIN) + " background"
    return {
        "kind": kinds[index % len(kinds)],
        "outfit": draw.choice(CHROMATIC if theme in ("robots", "starwars") else HAT_COLORS),
        "pattern": draw.choice(("plain", "striped", "dotted", "checkered")),
        "pose": poses[index % len(poses)],
        "expression": draw.choice(EXPRESSIONS),
        "accessory": draw.choice(("nothing", "nothing", "balloon", "flower", "shield", "lantern")),
        "background": scene,
    }


def theme_caption(theme: str, attributes: dict[str, str]) -> str:
    """Return the caption of a theme's drawing: trigger, `nice_hands`, then the tags of what may change."""
    return ", ".join([_theme(theme).trigger, QUALITY, *_tags(theme, attributes)])


def _tags(theme: str, attributes: dict[str, str]) -> list[str]:
    tags = []
    if theme in ("animal", "food"):
        pattern = "" if attributes["pattern"] == "plain" else attributes["pattern"] + " "
        tags.append(f"{attributes['outfit']} {pattern}outfit")
    elif theme == "fuzzybear":
        tags.append(f"{attributes['outfit']} scarf")
    elif theme == "starwars":
        tags.append(f"{attributes['outfit']} glow")
    if theme != "starwars" and attributes["accessory"] != "nothing":
        tags.append(f"holding {attributes['accessory']}")
    tags.append(attributes["pose"])
    if theme not in ("robots", "starwars"):
        tags.append(attributes["expression"])
    return [*tags, attributes["background"]]


def draw_theme(
    theme: str, count: int | None = None, *, size: tuple[int, int] = (64, 64), start: int = 0
) -> list[LabelledDrawing]:
    """Draw a theme's images.

    Args:
        theme: a key of `THEMES`.
        count: how many; None gives the whole training set.
        size: (width, height) in pixels, each at least 8.
        start: number of the first; those from `THEMES[theme].images` on are held out.

    Raises:
        KeyError: when there is no such theme.
    """
    count = _theme(theme).images if count is None else count
    return [_draw(theme, index, size) for index in range(start, start + count)]


def _draw(theme: str, index: int, size: tuple[int, int]) -> LabelledDrawing:
    attributes = theme_attributes(theme, index)
    canvas = Canvas(size, random_for(0, "theme-details", theme, index))
    _theme(theme).paint(canvas, attributes)
    return LabelledDrawing(canvas.finish(), theme_caption(theme, attributes), attributes)


def _theme(name: str) -> Theme:
    if name not in THEMES:
        raise KeyError(f"no theme is called {name!r}; there are {', '.join(THEMES)}")
    return THEMES[name]
