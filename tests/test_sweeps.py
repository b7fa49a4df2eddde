"""The spaces in sweeps/: each composes, is typed, and every end and choice of it is a config fit to run."""

from __future__ import annotations

import re
from typing import Any

import hydra
import pytest
from omegaconf import DictConfig, OmegaConf

from lorasweep.compose.composition import CONF, load_config
from lorasweep.search.distributions import ends
from lorasweep.search.settings import read_settings
from lorasweep.search.space import Space, check_space, parse_space
from lorasweep.studies import adaptive

pytestmark = pytest.mark.usefixtures("composed_configs")

NAMES = sorted(path.stem for path in (CONF / "sweeps").glob("*.yaml"))
EXPECTED = {
    "adaptive",
    "default",
    "fine_tune",
    "food_history",
    "rank_lr",
    "regularisation",
    "schedule",
    "text_encoder_ratio",
}


def composed(*line: str) -> DictConfig:
    return hydra.compose("config", list(line), return_hydra_config=True)


def space_of(config: DictConfig) -> Space:
    sweeper = config.hydra.sweeper
    if sweeper.params_from:
        return parse_space(adaptive.params(config), [])
    return parse_space(OmegaConf.to_container(sweeper.params, resolve=False), [])  # type: ignore[arg-type]


def test_the_folder_is_reached_through_the_configs() -> None:
    assert (CONF / "sweeps").is_symlink()
    assert set(NAMES) >= EXPECTED


@pytest.mark.parametrize("name", NAMES)
def test_a_file_opens_with_its_command_and_its_reason(name: str) -> None:
    lines = (CONF / "sweeps" / f"{name}.yaml").read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert re.match(r"# python train\.py -m ", lines[1])
    assert sum(line.startswith("#") for line in lines) >= 5


@pytest.mark.parametrize("name", NAMES)
def test_it_brings_the_sweeper_with_it(name: str) -> None:
    """With `hydra/sweeper=optuna` beside it or without, before it or after."""
    alone = composed(f"sweeps={name}")
    assert alone.hydra.sweeper._target_ == "hydra_plugins.lorasweep.optuna.OptunaSweeper"
    for line in (["hydra/sweeper=optuna", f"sweeps={name}"], [f"sweeps={name}", "hydra/sweeper=optuna"]):
        assert composed(*line).hydra.sweeper == alone.hydra.sweeper


@pytest.mark.parametrize("name", NAMES)
def test_its_settings_are_sound(name: str) -> None:
    sweeper = composed(f"sweeps={name}").hydra.sweeper
    assert read_settings(sweeper)[1] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_end_is_fit_to_run(name: str) -> None:
    """Against schema and limits: all first ends together, all second ones, and so on through all choices."""
    space = space_of(composed(f"sweeps={name}"))
    tried = {key: ends(distribution) for key, distribution in space.distributions.items()}
    for turn in range(max(map(len, tried.values()))):
        load_config(
            [f"sweeps={name}", *space.overrides({key: found[turn % len(found)] for key, found in tried.items()})]
        )


def test_a_whole_space_passes_the_check_before_a_study() -> None:
    space = space_of(composed("sweeps=regularisation"))
    check_space(space, lambda overrides: OmegaConf.structured(load_config(["sweeps=regularisation", *overrides])))


@pytest.mark.parametrize("name", ["default", "rank_lr", "adaptive"])
def test_alpha_follows_the_rank(name: str) -> None:
    for rank in (4, 16):
        assert load_config([f"sweeps={name}", f"network.rank={rank}"]).network.alpha == rank / 2
    assert load_config([f"sweeps={name}", "network.alpha=3"]).network.alpha == 3


def test_the_text_encoders_follow_the_rate() -> None:
    for name in ("rank_lr", "schedule", "adaptive"):
        assert load_config([f"sweeps={name}", "optimizer.lr=2e-4"]).optimizer.text_encoder_lr == pytest.approx(1e-4)


def test_the_default_is_a_short_schedule() -> None:
    """It promises minutes on two cores: 144 steps and six evaluations of FuzzyBear, samples at the end only."""
    config = load_config(["sweeps=default"])
    assert config.training.max_steps == 144
    assert 8 * config.dataset.repeats * config.training.epochs / config.training.batch_size == 144
    assert config.training.epochs == 6
    assert config.sampling.every_epochs > config.training.epochs
    assert config.scheduler.name == "constant"
    assert composed("sweeps=default").hydra.sweeper.n_trials == 12


@pytest.mark.parametrize("name", sorted(EXPECTED - {"default"}))
def test_the_others_keep_the_recipes_schedule(name: str) -> None:
    line = ["lora=humanoid" if name == "fine_tune" else "lora=food", "base_model=sdxl"]
    ours, recipe = load_config([*line, f"sweeps={name}"]), load_config(line)
    ours.training.save_every_epochs = recipe.training.save_every_epochs  # which files are written, not what is trained
    for part in ("training", "scheduler", "dataset", "loss", "base_model"):
        assert getattr(ours, part) == getattr(recipe, part)


@pytest.mark.parametrize(
    ("line", "space"),
    [
        ([], "default"),
        (["lora=food", "base_model=sdxl"], "rank_lr"),
        (["lora=humanoid"], "fine_tune"),
        (["lora=food", "base_model=sdxl", "network=full"], "fine_tune"),
    ],
)
def test_a_search_that_names_no_space_has_one_that_suits(line: list[str], space: str) -> None:
    assert composed("hydra/sweeper=optuna", *line).hydra.sweeper.when_empty == [f"sweeps={space}"]


def test_food_history_is_of_food_unless_told_otherwise() -> None:
    assert load_config(["sweeps=food_history"]).recipe == "food"
    assert load_config(["sweeps=food_history", "lora=robots"]).recipe == "robots"


def test_shapes_and_lengths_that_do_not_compare_are_not_pruned() -> None:
    pruners: dict[str, Any] = {name: composed(f"sweeps={name}").hydra.sweeper.pruner._target_ for name in NAMES}
    assert {name for name, target in pruners.items() if target.endswith("NopPruner")} == {"schedule", "food_history"}
