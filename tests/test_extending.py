"""What a user adds from outside the package: each is found by its name, checked, used and told, without a fork."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from lorasweep import registry
from lorasweep.app.reference import markdown
from lorasweep.compose.composition import CONF, composing, load_config
from lorasweep.errors import UserError
from lorasweep.export.recipe import recipe_from_file
from lorasweep.export.weights import read_weights
from lorasweep.tracking.group import mark_best
from lorasweep.tracking.jsonl import read_rows

from .training_on import run

OWN = Path(__file__).parent / "own"
NO_CONSTANTS = ["optimizer.beta1=null", "optimizer.beta2=null", "optimizer.eps=null"]
QUICK = ["dataset.repeats=1", "training.max_steps=2", "sampling.every_epochs=0", "features=none"]
SHORT = [*QUICK, "evaluation.timesteps=1", "evaluation.bins=1", "evaluation.max_images=1", "tracker=none"]


@pytest.fixture
def own_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """`own/own_parts.py`, a module of a user's own on Python's path."""
    monkeypatch.syspath_prepend(OWN)


@pytest.fixture
def installed(own_parts: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same as an installed package that declares entry points."""
    entries = [
        EntryPoint("sign", "own_parts:SIGN", "lorasweep.optimizers"),
        EntryPoint("tiny", "own_parts:TINY", "lorasweep.adapters"),
        EntryPoint("halving", "own_parts:HALVING", "lorasweep.schedules"),
        EntryPoint("notes", "own_parts:NOTES", "lorasweep.trackers"),
        EntryPoint("val/steadiness", "own_parts:STEADINESS", "lorasweep.metrics"),
    ]
    registry._entries.cache_clear()
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry for entry in entries if entry.group == group])
    yield
    registry._entries.cache_clear()


def trained(folder: Path, *line: str) -> dict[str, Any]:
    """Train two steps on the toy base; return the record."""
    root = folder / "outputs"
    with composing():
        run(load_config(["lora=fuzzybear", f"output_root={root}", *SHORT, *line]), overrides=line)
    record: dict[str, Any] = json.loads((root / "fuzzybear" / "v6" / "record.json").read_text())
    return record


def test_code_runs_only_where_its_user_allows_it(own_parts: None) -> None:
    line = ["lora=fuzzybear", "optimizer.name=own_parts:SIGN", *NO_CONSTANTS]
    with composing():
        with pytest.raises(UserError, match=r"would run code of own_parts: .* add allow_code=\[own_parts\]"):
            load_config(line)
        assert load_config([*line, "allow_code=[own_parts]"]).optimizer.name == "own_parts:SIGN"
        with pytest.raises(UserError, match=r"own_parts:SING cannot be imported from own_parts:SING"):
            load_config(["lora=fuzzybear", "optimizer.name=own_parts:SING", "allow_code=[own_parts]"])


def test_an_own_optimizer_is_told_of_in_help_and_errors(installed: None) -> None:
    with composing(), pytest.raises(UserError, match=r"expected one of adamw, .*sign; did you mean sign\?"):
        load_config(["lora=fuzzybear", "optimizer.name=sing"])
    assert "`sign`" in markdown(CONF)


def test_an_own_optimizer_trains(installed: None, tmp_path: Path) -> None:
    record = trained(tmp_path, "optimizer.name=sign", *NO_CONSTANTS)
    assert record["status"] == "complete" and record["config"]["optimizer"]["name"] == "sign"
    file = tmp_path / "outputs" / "fuzzybear" / "v6" / "FuzzyBear_v6.safetensors"
    assert read_weights(file)[1]["ss_optimizer"] == "own_parts.Sign()"


def test_neither_a_record_nor_a_weights_file_allows_code(own_parts: None, tmp_path: Path) -> None:
    allowed = ["optimizer.name=own_parts:SIGN", *NO_CONSTANTS, "allow_code=[own_parts]"]
    record = trained(tmp_path, *allowed)
    assert "allow_code" not in record["config"] and "allow_code" not in str(record["overrides"])
    root = tmp_path / "outputs"
    file = root / "fuzzybear" / "v6" / "FuzzyBear_v6.safetensors"
    assert "allow_code" not in (file.parent / ".hydra" / "overrides.yaml").read_text()
    about = read_weights(file)[1]
    assert "allow_code" not in about["lorasweep.config"] + about["lorasweep.overrides"]
    recipe = recipe_from_file(file)
    assert "allow_code" in recipe and "allow_code:" not in recipe, "a remark on what is missing, no setting"
    again = ["lora=fuzzybear", f"output_root={root}", "resume=v6", "training.max_steps=3"]
    with composing():
        with pytest.raises(UserError, match=r"would run code of own_parts"):
            load_config(again)
        assert load_config([*again, "allow_code=[own_parts]"]).optimizer.name == "own_parts:SIGN"


def test_an_own_metric_is_an_objective(installed: None, tmp_path: Path) -> None:
    record = trained(tmp_path, "objective=val/steadiness")
    assert record["objective"]["direction"] == "maximize" and record["objective"]["value"] == 0.25
    assert record["metrics"]["base"]["val/steadiness"] == 1.0
    with composing():
        with pytest.raises(
            UserError, match=r"expected one of val/loss, .*val/steadiness; did you mean val/steadiness\?"
        ):
            load_config(["lora=fuzzybear", "objective=val/steadines"])
        never = r"objective=val/steadiness would never be measured: set evaluation\.heldout_loss=true"
        with pytest.raises(UserError, match=never):
            load_config(["lora=fuzzybear", "objective=val/steadiness", "evaluation.heldout_loss=false"])


def test_a_metric_of_a_dotted_name_is_measured_where_it_is_named(
    own_parts: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = trained(tmp_path, "evaluation.select_by=own_parts:DOTTED", "allow_code=[own_parts]")
    assert record["epochs"][0]["metrics"]["own_parts:DOTTED"] == 0.25
    printed = capsys.readouterr().out
    assert "steadiness 0.25" in printed, "in the line of the epoch"
    row = next(line for line in printed.splitlines() if line.strip().startswith("steadiness "))
    assert "1.0000" in row and "0.2500" in row and "how little it moves" in printed


def test_an_own_tracker_hears_of_everything(installed: None, tmp_path: Path) -> None:
    trained(tmp_path, "tracker.others=[notes]")
    folder = tmp_path / "outputs" / "fuzzybear" / "v6"
    lines = (folder / "notes.txt").read_text().splitlines()
    assert "FuzzyBear_v6.safetensors" in lines and lines[-1] == "complete" and len(lines) > 3
    mark_best(folder, ["notes"], print)
    assert (folder / "notes.txt").read_text() == "the best"


def test_an_own_adapter_trains(installed: None, tmp_path: Path) -> None:
    trained(tmp_path, "network.type=tiny")
    tensors, told = read_weights(tmp_path / "outputs" / "fuzzybear" / "v6" / "FuzzyBear_v6.safetensors")
    downs = [tensor.abs().max().item() for name, tensor in tensors.items() if name.endswith(".lora_down.weight")]
    assert downs and max(downs) < 0.02, "it started small"
    assert json.loads(told["lorasweep.config"])["network"]["type"] == "tiny"


def test_an_own_schedule_sets_the_rate(installed: None, tmp_path: Path) -> None:
    trained(tmp_path, "scheduler.name=halving", "tracker.every_steps=1", "optimizer.lr=0.004")
    rows = read_rows(tmp_path / "outputs" / "fuzzybear" / "v6" / "metrics.jsonl")
    rates = [row["train/lr_unet"] for row in rows if "train/lr_unet" in row]
    assert rates == [0.004, 0.002]


def test_an_own_feature_model_sees_the_samples(own_parts: None, tmp_path: Path) -> None:
    seen = ["sampling.every_epochs=1", "sampling.steps=1", "features.models=[own_features:EFFICIENTNET]"]
    with composing(), pytest.raises(UserError, match=r"would run code of own_features: .* add allow_code"):
        load_config(["lora=fuzzybear", *seen])
    record = trained(tmp_path, *seen, "allow_code=[own_features]", "objective=image/fidelity")
    measured = record["epochs"][0]["metrics"]
    assert {"image/fidelity", "image/drift", "image/diversity"} <= measured.keys()
    assert "image/adherence" not in measured, "it reads no texts"
    assert record["objective"]["value"] == measured["image/fidelity"]
    assert record["metrics"]["base"].keys() < measured.keys(), "the differences to the base come with the version"
