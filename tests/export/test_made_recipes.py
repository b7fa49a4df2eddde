"""Whatever a file says of its training, the recipe that is written composes and passes the checks, on any base."""

from __future__ import annotations

import random
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import hydra
import pytest
from omegaconf import DictConfig, OmegaConf

from lorasweep.checks import check
from lorasweep.compose.composition import CONF, composing, load_config
from lorasweep.export.recipe import recipe_from_file
from lorasweep.export.weights import write_weights
from lorasweep.schema import Config
from lorasweep.text.grammar import parsed

from . import made_metadata

MADE = 60


@pytest.fixture(scope="module")
def groups() -> dict[str, DictConfig]:
    """What the groups of conf/ come to, by base."""
    with composing():
        return {base: hydra.compose("config", ["~lora", f"base_model={base}"]) for base in ("sdxl", "toy")}


def recipe_of(seed: int, folder: Path) -> str:
    choices = random.Random(seed)
    path = folder / f"made-{seed}.safetensors"
    tensors = made_metadata.tensors(choices)
    write_weights(path, tensors, made_metadata.metadata(choices))
    return recipe_from_file(path)


def commands(recipe: str) -> list[list[str]]:
    """The overrides of the commands among a recipe's comments, with places in the place of what the user gives."""
    found = re.findall(r"^# (?:On any base.*|As it was trained): python train.py (.*)", recipe, re.MULTILINE)
    return [shlex.split(line.replace("FILE", "org/model").replace("FOLDER", ".")) for line in found]


def problems(config: DictConfig) -> list[str]:
    result: Any = OmegaConf.to_object(config)
    assert isinstance(result, Config)
    return [str(problem) for problem in check(result)]


@pytest.mark.parametrize("seed", range(MADE))
def test_a_recipe_of_a_made_file_is_sound(groups: dict[str, DictConfig], tmp_path: Path, seed: int) -> None:
    text = recipe_of(seed, tmp_path)
    recipe = OmegaConf.create(text)
    for base, config in groups.items():
        assert problems(OmegaConf.merge(config, recipe, {"dataset": {"path": "."}})) == [], (base, text)
    whole = OmegaConf.merge(groups["sdxl"], recipe)
    for override in commands(text)[1]:
        given = parsed(override)
        assert given is not None
        if "." in given.key_or_group:
            OmegaConf.update(whole, given.key_or_group, given.value())
    assert problems(whole) == [], text


@pytest.mark.parametrize("seed", range(0, MADE, 30))
def test_the_commands_among_its_comments_run_it(tmp_path: Path, seed: int) -> None:
    text = recipe_of(seed, tmp_path)
    shutil.copytree(CONF, tmp_path / "conf")
    name = commands(text)[0][0].removeprefix("lora=")
    (tmp_path / "conf" / "lora" / f"{name}.yaml").write_text(text)
    with composing(tmp_path / "conf"):
        for line in commands(text):
            assert load_config(line).recipe == name
