"""Configs, records and command lines of earlier releases are read; who types an old key is told the new one."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from lorasweep import files
from lorasweep.compose.overrides import judge_overrides
from lorasweep.runs.record import Record
from lorasweep.schema import Config
from lorasweep.schema.measures import METRICS, RENAMED
from lorasweep.schema.retired import RETIRED, config_of_today, line_of_today


@pytest.mark.parametrize(
    ("evaluation", "path", "models"),
    [
        ({"clip": True, "clip_path": None}, None, ["toy"]),
        ({"clip": True, "clip_path": None}, "org/sdxl", []),
        ({"clip": True, "clip_path": "/models/clip"}, "org/sdxl", ["/models/clip"]),
        ({"clip": False, "clip_path": "/models/clip"}, None, []),
    ],
)
def test_a_saved_config_comes_to_its_feature_models(
    evaluation: dict[str, Any], path: str | None, models: list[str]
) -> None:
    saved = {"base_model": {"path": path}, "evaluation": {"bins": 2, **evaluation}, "objective": "image/clip_text"}
    before = OmegaConf.to_container(OmegaConf.create(saved))
    found = config_of_today(saved)
    assert found["features"]["models"] == models and found["evaluation"] == {"bins": 2}
    assert found["objective"] == "image/adherence" and saved == before
    OmegaConf.merge(OmegaConf.structured(Config), found)
    assert config_of_today(found) == found


def test_a_command_line_of_then() -> None:
    line = ["lora=food", "evaluation.clip=false", "evaluation.clip_path=/c", "objective=image/clip_image"]
    assert line_of_today(line) == ["lora=food", "features=none", "features.models=[/c]", "objective=image/fidelity"]
    assert line_of_today(["evaluation.clip=true", "seed=3"]) == ["seed=3"]


def test_a_record_of_then_keeps_its_figures_and_can_be_typed_again(tmp_path: Path) -> None:
    epoch = {"epoch": 1, "step": 5, "metrics": {"image/clip_image": 0.5}}
    values = {"name": "A", "version": 1, "overrides": ["evaluation.clip=false"], "epochs": [epoch]}
    files.write_json(tmp_path / "record.json", {**values, "config": {"evaluation": {"clip": False}}})
    record = Record.read(tmp_path)
    assert record.epochs[0].metrics == {"image/clip_image": 0.5} and record.overrides == ["features=none"]
    assert record.config == {"evaluation": {}, "features": {"models": []}}


@pytest.mark.usefixtures("composed_configs")
def test_who_types_an_old_key_is_told_the_new_one() -> None:
    problems = judge_overrides([f"{key}=x" for key in RETIRED]).problems
    assert [f"{key}=x: there is no key {key}; in its place: {what}" for key, what in RETIRED.items()] == problems
    assert not judge_overrides(["features=none", "features.models=[/models/clip]"]).problems
    assert set(RENAMED.values()) <= set(METRICS) and not set(RENAMED) & set(METRICS)
