"""What tests of image metrics look at: drawings of the toy world, recorded samples of versions, two real models."""

import sys
from pathlib import Path

import pytest
from PIL import Image

from lorasweep.data.providers import provider
from lorasweep.features.lazy_image import LazyImage
from lorasweep.features.model import FeatureModel
from lorasweep.features.opening import open_models
from lorasweep.metrics.evidence import Evidence, RealImage, References, SampleImage
from lorasweep.pictures.prompts import Prompt, prompts_of

TRIGGER = "fortnite_fuzzy_bear_character"
PROMPTS = [  # conf/dataset/fuzzybear.yaml
    "{trigger}, nice_hands, red scarf, standing, smiling, green background",
    "{trigger}, nice_hands, holding balloon, waving, surprised, snow",
    "humanoid, nice_hands, red skin, blue outfit, standing, smiling, white background",
]
SEEDS = [0, 1, 2, 3]
SIDE = 64


def drawings(theme: str, start: int, count: int) -> list[RealImage]:
    """Return pictures of a theme of the toy world."""
    found = provider(theme).draw(count, start=start)
    return [
        RealImage(LazyImage.of(each.image), f"{theme}-{start + number}.png", each.caption)
        for number, each in enumerate(found)
    ]


def recorded(name: str) -> list[SampleImage]:
    """Return the samples on a sheet that `record_samples.py` wrote."""
    sheet = Image.open(Path(__file__).parent / "samples" / f"{name}.png").convert("RGB")
    tiles = [
        sheet.crop((x, y, x + SIDE, y + SIDE))
        for y in range(0, sheet.height, SIDE)
        for x in range(0, sheet.width, SIDE)
    ]
    prompts: list[Prompt] = prompts_of(PROMPTS, SEEDS, TRIGGER)
    return [SampleImage.of(tile, prompt) for tile, prompt in zip(tiles, prompts, strict=True)]


@pytest.fixture(scope="session")
def toy() -> FeatureModel:
    """The toy's CLIP."""
    (model,) = open_models(["toy"])
    return model


@pytest.fixture(scope="session")
def efficientnet() -> FeatureModel:
    """A network that saw photographs."""
    sys.path.append(str(Path(__file__).parents[1] / "own"))
    (model,) = open_models(["own_features:EFFICIENTNET"])
    return model


@pytest.fixture(scope="session")
def bears() -> References:
    """The data of `lora=fuzzybear`, and the other themes."""
    others = {theme: drawings(theme, 0, 8) for theme in ("animal", "food", "robots", "starwars")}
    training, heldout = drawings("fuzzybear", 0, 8), drawings("fuzzybear", 8, 8)
    return References(heldout=heldout, training=training, trigger=TRIGGER, others=others)


@pytest.fixture(scope="session")
def versions(bears: References) -> dict[str, Evidence]:
    """The recorded versions, each with the base beside it."""
    base = recorded("base")
    names = ("seed_1", "seed_2", "seed_3", "short")
    return {name: Evidence(recorded(name), base, bears) for name in names}
