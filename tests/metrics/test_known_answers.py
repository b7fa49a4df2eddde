"""Evidence whose figures can be said beforehand: identical, shuffled, mirrored, planted copies, planted drift."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from lorasweep.features.lazy_image import LazyImage
from lorasweep.features.model import FeatureModel
from lorasweep.metrics import adherence, consistency, diversity, drift, fid, fidelity, kid, memorisation, mmd
from lorasweep.metrics.evidence import Evidence, RealImage, References, SampleImage
from lorasweep.pictures.prompts import Prompt

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
WORDS = {"red": [1.0, 0, 0, 1, 0, 0], "green": [0.0, 1, 0, 0, 1, 0], "blue": [0.0, 0, 1, 0, 0, 1]}


class Halves:
    """Sees the mean colours of the left and the right half, of texts the colours in them, and quarters as patches."""

    def images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        halves = [np.asarray(image.resize((2, 1), Image.Resampling.BOX)).reshape(-1) for image in images]
        return normalize(torch.tensor(np.stack(halves), dtype=torch.float32), dim=-1)

    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        seen = [torch.tensor([value for word, value in WORDS.items() if word in text]).sum(dim=0) for text in texts]
        return normalize(torch.stack(seen), dim=-1)

    def patches(self, images: Sequence[Image.Image]) -> torch.Tensor:
        small = [np.asarray(image.resize((2, 2), Image.Resampling.BOX)) for image in images]
        return normalize(torch.tensor(np.stack(small), dtype=torch.float32), dim=-1)

    def to(self, device: object, dtype: object) -> None:
        pass


MODEL = FeatureModel("halves", "halves", Halves())


def picture(left: tuple[int, int, int], right: tuple[int, int, int] | None = None) -> LazyImage:
    image = Image.new("RGB", (8, 8), left)
    image.paste(right or left, (4, 0, 8, 8))
    return LazyImage.of(image)


def real(*images: LazyImage, captions: Sequence[str] = ()) -> list[RealImage]:
    texts = captions or [""] * len(images)
    return [
        RealImage(image, f"{number}.png", text) for number, (image, text) in enumerate(zip(images, texts, strict=True))
    ]


def samples(*images: LazyImage, text: str = "sks, red", seeds: int = 1) -> list[SampleImage]:
    """Return samples: each `seeds` of them share a prompt."""
    return [
        SampleImage(image, Prompt(f"{text} {index // seeds}", index % seeds, "sks" in text))
        for index, image in enumerate(images)
    ]


def evidence(here: list[SampleImage], base: Sequence[SampleImage] = (), **references: object) -> Evidence:
    return Evidence(here, base, References(trigger="sks", **references))  # type: ignore[arg-type]


def value_of(figures: object) -> float:
    assert figures is not None
    return figures.value.value  # type: ignore[attr-defined]


def test_fidelity_is_the_mean_cosine_to_heldout_images_and_never_looks_at_training_images() -> None:
    heldout, here = real(picture(RED), picture(RED, GREEN)), samples(picture(RED), picture(GREEN))
    known = fidelity.measure(evidence(here, heldout=heldout), MODEL)
    # cosines: red to red 1, red to red|green 1/2; green to them 0 and 1/2
    assert value_of(known) == pytest.approx((1 + 0.5 + 0 + 0.5) / 4)
    assert known.scores == pytest.approx({0: 0.75, 1: 0.25}) and known.n == 2
    copies = evidence(here, heldout=heldout, training=real(picture(RED), picture(GREEN)))
    assert value_of(fidelity.measure(copies, MODEL)) == value_of(known)
    assert fidelity.measure(evidence(here), MODEL) is None, "nothing is held out"
    assert fidelity.measure(evidence(samples(picture(RED), text="a red")), MODEL) is None


def test_the_delta_is_paired_with_the_base() -> None:
    heldout = real(picture(RED))
    here, base = samples(picture(RED), picture(RED, GREEN)), samples(picture(RED, GREEN), picture(GREEN))
    known = fidelity.measure(evidence(here, base, heldout=heldout), MODEL)
    assert known.base == pytest.approx(0.25) and known.delta.value == pytest.approx(0.5)
    assert known.base_scores == pytest.approx({0: 0.5, 1: 0})
    assert known.delta.low == known.delta.high == pytest.approx(0.5), "both samples gained a half"
    assert fidelity.measure(evidence(here, here, heldout=heldout), MODEL).delta.high == 0, "identical"
    with pytest.raises(ValueError, match="other prompts"):
        evidence(here, samples(picture(RED), picture(RED), text="sks, blue"), heldout=heldout)


def test_adherence_wants_each_image_to_show_its_own_prompt_and_prompts_that_no_caption_holds() -> None:
    right = [
        SampleImage(picture(RED), Prompt("sks, red", 0, True)),
        SampleImage(picture(BLUE), Prompt("blue", 0, True)),
    ]
    shuffled = [replace(one, image=other.image) for one, other in zip(right, right[::-1], strict=True)]
    assert value_of(adherence.measure(evidence(right), MODEL)) == pytest.approx(1)
    assert value_of(adherence.measure(evidence(shuffled), MODEL)) == pytest.approx(0)
    captioned = real(picture(RED), captions=["sks, a big, RED, thing"])
    left = adherence.measure(evidence(right, training=captioned), MODEL)
    assert list(left.scores) == [1] and left.words == ["1 samples are left out: captions hold their prompts"]
    both = real(picture(RED), picture(RED), captions=["red", "blue sky"])
    assert adherence.measure(evidence(right, training=both), MODEL) is None


def test_tags_are_counted_where_a_tagger_is_given() -> None:
    here = samples(picture(RED), text="sks, red, smiling")
    tagged = adherence.measure(evidence(here, tagger=lambda images: [{"red", "car"} for _ in images]), MODEL)
    assert tagged.more["tags"] == 0.5


def test_copies_are_told_from_likenesses_mirrored_ones_too() -> None:
    training = real(picture(RED, GREEN), picture(BLUE), picture(RED, BLUE))
    usual = 0.5  # each shares a half with its nearest other one
    mirrored = samples(picture(GREEN, RED), picture(GREEN, RED), picture(GREEN, RED))
    copies = memorisation.measure(evidence(mirrored, training=training), MODEL)
    assert value_of(copies) == pytest.approx(1 - usual)
    assert copies.words == ["0.png is the nearest training image of 100% of the samples"]
    honest = memorisation.measure(evidence(samples(picture(GREEN)), training=training), MODEL)
    assert value_of(honest) == pytest.approx(0, abs=1e-6) and not honest.words
    assert "share" not in copies.more, "eight images say nothing"
    many = real(*(picture((value, 255 - value, 40), BLUE) for value in range(0, 255, 9)))
    share = memorisation.measure(evidence([*samples(picture(GREEN)), *mirrored], training=[*training, *many]), MODEL)
    assert share.more["share"] == 0.75, "three copies of four"
    assert memorisation.measure(evidence(mirrored, training=training[:1]), MODEL) is None


def test_diversity_is_the_mean_distance_of_the_seeds_of_a_prompt() -> None:
    here = samples(picture(RED), picture(GREEN), picture(RED), picture(RED), seeds=2)
    base = samples(*[picture(RED), picture(GREEN)] * 2, seeds=2)
    known = diversity.measure(evidence(here, base), MODEL)
    assert value_of(known) == pytest.approx(0.5, abs=1e-6) and known.n == 4
    assert known.base == pytest.approx(1) and known.delta.value == pytest.approx(-0.5)
    assert diversity.measure(evidence(samples(picture(RED), picture(RED))), MODEL) is None, "one seed each"


def test_drift_is_the_distance_to_the_base_and_its_worst_tenth() -> None:
    here = samples(*[picture(RED)] * 18, picture(GREEN), picture(GREEN), text="a", seeds=2)
    base = samples(*[picture(RED)] * 20, text="a", seeds=2)
    known = drift.measure(evidence(here, base), MODEL)
    assert value_of(known) == pytest.approx(0.1) and known.more == pytest.approx({"worst": 1})
    assert known.words == ["a 9: moved most, by 1.000"]
    same = drift.measure(evidence(base, base), MODEL)
    assert value_of(same) == pytest.approx(0, abs=1e-6)
    assert drift.measure(evidence(samples(picture(RED)), samples(picture(RED))), MODEL) is None, "all call it"


def test_consistency_falls_where_a_seed_misses_the_concept() -> None:
    heldout = real(picture(RED))
    steady = samples(picture(RED, GREEN), picture(RED, BLUE), seeds=2)
    noisy = samples(picture(RED), picture(BLUE), seeds=2)
    assert value_of(consistency.measure(evidence(steady, heldout=heldout), MODEL)) == pytest.approx(1)
    # of similarities 1 and 0 the standard deviation is 1 / sqrt 2
    assert value_of(consistency.measure(evidence(noisy, heldout=heldout), MODEL)) == pytest.approx(1 - 0.5**0.5)


def test_mmd_is_about_zero_for_one_distribution_and_its_p_value_finds_another() -> None:
    draws = torch.Generator().manual_seed(0)
    first, second = (normalize(torch.randn(40, 6, generator=draws), dim=-1) for _ in range(2))
    value, p = mmd.mmd_with_p(first, second)
    assert abs(value) < 0.02 and p > 0.05
    moved = normalize(second + torch.tensor([2.0, 0, 0, 0, 0, 0]), dim=-1)
    value, p = mmd.mmd_with_p(first, moved)
    # By the definition, loop by loop: k = exp(cos - 1), no image with itself.
    kernel = [[float(torch.exp(a @ b - 1)) for b in [*first, *moved]] for a in [*first, *moved]]
    within = sum(kernel[i][j] for s in (0, 40) for i in range(s, s + 40) for j in range(s, s + 40) if i != j)
    across = sum(kernel[i][j] for i in range(40) for j in range(40, 80))
    assert value == pytest.approx(within / (40 * 39) - 2 * across / 1600, abs=1e-5) and p == pytest.approx(0.001)
    here, heldout = samples(picture(RED), picture(GREEN)), real(picture(RED), picture(GREEN))
    known = mmd.measure(evidence(here, here, heldout=heldout), MODEL)
    assert known.delta.value == 0 and known.more["p"] > 0.3


def test_distances_of_large_sets_are_not_measured_of_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    here, data = samples(*[picture(RED), picture(GREEN)] * 2), real(*[picture(RED), picture(GREEN)] * 2)
    for module in (fid, kid):
        assert module.measure(evidence(here, training=data), MODEL) is None
        monkeypatch.setattr(module, "ENOUGH", 4)
        known = module.measure(evidence(here, training=data), MODEL)
        assert known.more == {"images": 4} and known.n == 4
    assert value_of(fid.measure(evidence(here, training=data), MODEL)) == pytest.approx(0, abs=1e-6)


def test_the_frechet_distance_of_gaussians_is_as_the_formula_has_it() -> None:
    draws = torch.Generator().manual_seed(0)
    first, second = torch.randn(20000, 3, generator=draws), 2 * torch.randn(20000, 3, generator=draws) + 1
    assert fid.frechet_distance(first, second) == pytest.approx(3 + 3 * (1 + 4 - 2 * 2), rel=0.03)
    assert kid.kernel_distance(normalize(first[:400], dim=-1), normalize(first[400:800], dim=-1)) == pytest.approx(
        0, abs=0.02
    )


def test_masks_part_the_concept_from_its_background() -> None:
    def mask() -> Image.Image:
        covered = Image.new("L", (8, 8))
        covered.paste(255, (0, 0, 4, 8))
        return covered

    masked = [RealImage(picture(RED, GREEN), "0.png", mask=mask)]
    here = samples(picture(RED, BLUE), picture(BLUE), text="sks, blue")
    known = fidelity.measure(evidence(here, heldout=masked), MODEL)
    assert known.more["masked"] == pytest.approx(0.5), "one of two samples shows the red that is inside the mask"
    ground = adherence.measure(evidence(here[:1], training=masked), MODEL)
    assert value_of(ground) == pytest.approx(0.5) and ground.more["background"] == pytest.approx(1)


def test_look_alikes_are_told_from_the_concept() -> None:
    others = {"foxes": real(picture(GREEN, BLUE))}
    here = samples(picture(RED), picture(GREEN, BLUE))
    known = fidelity.measure(evidence(here, heldout=real(picture(RED, BLUE)), others=others), MODEL)
    assert known.more["retrieval"] == 0.5
