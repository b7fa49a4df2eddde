"""compat=kohya: a bundle of ways, each of which can be chosen by itself; off by default, refused where it is idle."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

import pytest

from lorasweep.compose.composition import CONF, load_config
from lorasweep.errors import UserError
from lorasweep.schema import CompatConfig, Config

from .data.steps import steps_of

pytestmark = pytest.mark.usefixtures("composed_configs", "elsewhere")

WAYS = [way.name for way in fields(CompatConfig)]


def test_nothing_of_it_is_on_by_default() -> None:
    assert not any(asdict(load_config([]).compat).values())
    assert not any(asdict(Config().compat).values())


def test_the_bundle_chooses_every_way_and_nothing_else(tmp_path: Path) -> None:
    plain, bundled = load_config(["lora=food"]), load_config(["lora=food", "compat=kohya"])
    assert asdict(bundled.compat) == dict.fromkeys(WAYS, True)
    assert asdict(bundled) | {"compat": None} == asdict(plain) | {"compat": None}


def test_the_bundle_gives_both_text_encoders_one_rate(tmp_path: Path) -> None:
    folder = tmp_path / "conf" / "lora"
    folder.mkdir(parents=True)
    recipe = "# @package _global_\nname: Sage\noptimizer:\n  text_encoder_lr: 5e-5\n  text_encoder_2_lr: 1e-5\n"
    (folder / "sage.yaml").write_text(recipe + "dataset:\n  theme: food\n  trigger: sage\n")
    line = ["lora=sage", f"hydra.searchpath=['file://{tmp_path / 'conf'}']"]
    assert load_config(line).optimizer.text_encoder_2_lr == 1e-5
    assert load_config([*line, "compat=kohya"]).optimizer.text_encoder_2_lr is None
    assert load_config([*line, "compat=kohya", "optimizer.text_encoder_2_lr=2e-5"]).optimizer.text_encoder_2_lr == 2e-5


@pytest.mark.parametrize("way", WAYS)
def test_a_way_can_be_left_out_of_the_bundle_and_chosen_by_itself(way: str) -> None:
    # what every way needs to act, so that it may be alone
    busy = ["lora=food", "training.gradient_accumulation=2", "loss.noise_offset_random=true", "dataset.max_tokens=225",
            "dataset.path=.", "dataset.alpha_mask=true"]  # fmt: skip
    assert asdict(load_config(["lora=food", "compat=kohya", f"compat.{way}=false"]).compat) == {
        other: other != way for other in WAYS
    }
    assert asdict(load_config([*busy, f"compat.{way}=true"]).compat) == {other: other == way for other in WAYS}


@pytest.mark.parametrize(
    ("way", "settings", "because"),
    [
        ("round_each_epoch", ["training.batch_size=1"], "without training.batch_size above 1 or"),
        ("mean_of_batches", [], "while training.gradient_accumulation is 1"),
        ("bucket_by_ratio", ["dataset.buckets=false"], "without dataset.buckets=true"),
        ("bucket_by_ratio", ["dataset.bucket_no_upscale=true"], "with dataset.bucket_no_upscale=true"),
        ("pad_captions", ["dataset.max_tokens=75"], "while dataset.max_tokens is 75"),
        ("noise_by_batch", [], "without loss.noise_offset_random"),
        (
            "noise_by_batch",
            ["training.batch_size=1", "loss.noise_offset_random=true"],
            "while training.batch_size is",
        ),
        ("undivided_masks", [], "without dataset.mask_path=FOLDER or dataset.alpha_mask=true"),
    ],
)
def test_a_way_that_cannot_act_is_refused_by_itself_but_may_idle_in_the_bundle(
    way: str, settings: list[str], because: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_config(["lora=food", *settings, f"compat.{way}=true"])
    (problem,) = caught.value.problems
    assert problem.startswith(f"compat.{way}=true changes nothing {because}")
    load_config(["lora=food", *settings, "compat=kohya"])


def test_the_recipes_steps_under_both_rules() -> None:
    """Of all that the seeds document, only Food v2 and v3 have an epoch that does not come out even."""
    images = {"animal": 42, "food": 27, "fuzzybear": 8, "robots": 15, "starwars": 19}
    recipes = [f"{theme}/{file.stem}" for theme in images for file in (CONF / "lora" / theme).glob("v*.yaml")]
    assert len(recipes) == 20
    differing = {}
    for recipe in recipes:
        config = load_config([f"lora={recipe}", "base_model=sdxl"])
        repeats, training = config.dataset.repeats, config.training
        assert repeats is not None
        plan = (images[recipe.partition("/")[0]], repeats, training.batch_size, training.epochs)
        ours, theirs = steps_of(*plan), steps_of(*plan, round_each_epoch=True)
        if ours != theirs:
            differing[recipe] = (ours, theirs)
    assert differing == {"food/v2": (4050, 4060), "food/v3": (4050, 4060)}


def test_the_page_on_kohya_gives_a_reason_for_each_way() -> None:
    page = (CONF.parent / "docs" / "coming-from-kohya.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `compat.")]
    assert [row[1].strip(" `") for row in rows] == [f"compat.{way}" for way in WAYS]
    assert all(len(row) == 5 and len(cell) > 20 for row in rows for cell in row[2:4])


def test_a_run_without_held_out_images_is_chosen_as_kohya_does(tmp_path: Path) -> None:
    line = ["lora=food", "compat=kohya", f"dataset.path={tmp_path}", "dataset.holdout=0"]
    assert load_config([*line, "objective=train/loss", "evaluation.select_by=last"]).dataset.holdout == 0
