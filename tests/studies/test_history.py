"""The documented versions as first trials: those that are points of the space, and why the others are not."""

from __future__ import annotations

import hydra
import pytest
from omegaconf import DictConfig, OmegaConf

from lorasweep.compose.composition import compose, load_config
from lorasweep.schema import schema_keys, value_at
from lorasweep.search.space import Space, parse_space
from lorasweep.studies.history import documented

pytestmark = pytest.mark.usefixtures("composed_configs")


def study(*line: str) -> tuple[DictConfig, Space]:
    """Return the config and the space of a command line that chooses one of sweeps/."""
    config = hydra.compose("config", list(line), return_hydra_config=True)
    return config, parse_space(OmegaConf.to_container(config.hydra.sweeper.params, resolve=False), [])  # type: ignore[arg-type]


def test_all_nine_of_food_are_points_of_food_history() -> None:
    """Each trial's config is the version's own, whatever key one looks at."""
    config, space = study("sweeps=food_history")
    found, remarks = documented(config, space)
    assert remarks == []
    assert len(found) == 9
    for number, params in enumerate(found, 1):
        trial, version = (
            load_config(["sweeps=food_history", *space.overrides(params)]),
            load_config([f"lora=food/v{number}"]),
        )
        differing = [key for key in schema_keys() if value_at(trial, key) != value_at(version, key)]
        assert differing == ["recipe"]


def test_an_interpolated_choice_is_found_by_what_it_gives() -> None:
    space = parse_space({"optimizer.text_encoder_lr": "choice('${of_lr:0.5}', '${of_lr:1}', 0)"}, [])
    found, remarks = documented(compose(["lora=food"]), space)
    assert found == [{"optimizer.text_encoder_lr": "0.5 x lr"}, {"optimizer.text_encoder_lr": "1 x lr"}]
    told = "food/v4 is left out: optimizer.text_encoder_lr=5e-05 is not in choice(0.5 x lr,1 x lr,0)"
    assert told in remarks


def test_what_does_not_fit_is_left_out_with_the_reason() -> None:
    space = parse_space({"network.rank": "range(4,16,4)", "optimizer.lr": "tag(log,interval(2e-5,2e-4))"}, [])
    found, remarks = documented(compose(["lora=food"]), space)
    assert found == [{"network.rank": 8, "optimizer.lr": 1e-4}, {"network.rank": 8, "optimizer.lr": 5e-5}]
    assert "food/v1 is left out: network.rank=32 is not in range(4,16,4)" in remarks
    assert "food/v7 is left out: optimizer.lr=0.0005 is not in tag(log,interval(2e-05,0.0002))" in remarks


def test_the_same_point_comes_once() -> None:
    space = parse_space({"network.rank": "8,16,32"}, [])
    found, remarks = documented(compose(["lora=fuzzybear"]), space)
    assert found == [{"network.rank": 32}, {"network.rank": 16}, {"network.rank": 8}]
    assert "fuzzybear/v2 is left out: in this space it is fuzzybear/v1 again" in remarks


def test_what_a_version_had_beyond_the_space_is_said() -> None:
    config, space = study("lora=food", "sweeps=rank_lr")
    _, remarks = documented(config, space)
    told = next(line for line in remarks if line.startswith("food/v4 "))
    assert "optimizer.text_encoder_lr=5e-05 (here 7.5e-06)" in told  # half of 1.5e-5, as rank_lr ties it
    assert "training.epochs=40 (here 30)" in told
    assert "network.alpha" not in told
    assert not any(line.startswith("food/v8 ") for line in remarks)


def test_a_group_is_a_parameter_too() -> None:
    space = parse_space({"scheduler": "cosine,linear", "optimizer": "adamw8bit,adamw"}, [])
    found, _ = documented(compose(["lora=robots"]), space)
    assert found == [{"scheduler": "cosine", "optimizer": "adamw8bit"}]


@pytest.mark.parametrize(
    ("key", "sweep", "fits"),
    [
        ("network.rank", "int(interval(4,40))", True),
        ("network.rank", "interval(4,40)", False),
        ("network.alpha", "int(interval(4,40))", True),
        ("optimizer.lr", "int(interval(0,1))", False),
        ("loss.min_snr_gamma", "null,5.0", True),
        ("loss.min_snr_gamma", "interval(1,9)", False),
        ("dataset.flip", "true,false", True),
        ("network.rank", "null,large", False),
        ("+not.there", "1,2", False),
    ],
)
def test_types_are_kept_apart(key: str, sweep: str, fits: bool) -> None:
    found, _ = documented(compose(["lora=starwars"]), parse_space({key: sweep}, []))
    assert bool(found) is fits


@pytest.mark.parametrize("line", [["lora=custom", "name=Sage"], ["lora=custom", "name=Sage", "recipe=''"]])
def test_a_recipe_without_documents(line: list[str]) -> None:
    found, remarks = documented(compose(line), parse_space({"network.rank": "4,8"}, []))
    assert found == []
    assert len(remarks) == 1


def test_a_config_as_dataclasses_will_do() -> None:
    found, _ = documented(load_config(["lora=animal"]), parse_space({"network.rank": "16,32"}, []))
    assert found == [{"network.rank": 16}]
