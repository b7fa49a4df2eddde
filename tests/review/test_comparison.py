"""Versions beside each other: which compare, in what they differ, which is best; as a table, as JSON, as a picture."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from PIL import Image
from rich.console import Console

from lorasweep import files
from lorasweep.commands.cli import main
from lorasweep.review.comparison.groups import Comparison, compare, order
from lorasweep.review.comparison.table import lines, show
from lorasweep.runs import ledger
from lorasweep.schema import Config

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that writes the record of a version."""

    def record(number: int, value: float | None = None, *, name: str = "FuzzyBear", **more: Any) -> Path:
        config = Config(name=name)
        for key, changed in more.pop("config", {}).items():
            OmegaConf.update(node := OmegaConf.structured(config), key, changed)
            config = OmegaConf.to_object(node)  # type: ignore[assignment]
        values = {
            "name": name,
            "version": number,
            "recipe": "fuzzybear",
            "status": "complete",
            "config": OmegaConf.to_container(OmegaConf.structured(config)),
            "overrides": [],
            "objective": {"name": "val/loss_ratio", "value": value, "direction": "minimize"},
            "selected_epoch": 2,
            "epochs": [{"epoch": 2, "step": 100 * number, "file": None, "metrics": {}}],
            "base": {"path": "toy", "sha256": "b1"},
            "dataset": {"path": "theme:fuzzybear", "images": 8, "heldout": 8, "sha256": "d1", "heldout_sha256": "h1"},
            "seconds": {"total": 60.0 - number},
            "started": "2026-11-25T03:16:00+00:00",
        } | more
        path = tmp_path / name.lower() / f"v{number}" / "record.json"
        files.write_json(path, values)
        return path.parent

    return record


def only(tmp_path: Path) -> Comparison:
    (found,) = compare(ledger.versions(tmp_path))
    return found


def text(tmp_path: Path, width: int = 120, sort: str = "number") -> str:
    console = Console(file=io.StringIO(), width=width)
    show(compare(ledger.versions(tmp_path)), sort=sort, console=console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_columns_are_what_differs_and_what_command_lines_set_comes_first(tmp_path: Path, make: Make) -> None:
    make(6, 0.9, config={"network.rank": 4, "network.alpha": 2.0, "optimizer.lr": 3e-3}, overrides=["network.rank=4"])
    make(7, 0.5, config={"network.rank": 8, "network.alpha": 4.0, "optimizer.lr": 3e-3}, overrides=["network.rank=8"])
    found = only(tmp_path)
    assert found.differing == ["network.rank", "network.alpha"]
    assert found.telling == ["network.rank"], "alpha tells the same versions apart, and nobody typed it"
    head, row, other = (line.split() for line in text(tmp_path).splitlines()[1:4])
    assert head == ["status", "value", "epoch", "steps", "rank", "time", "started"]
    assert row[:8] == ["v6", "complete", "0.9000", "2", "600", "4", "54", "s"]
    assert other[:7] == ["*", "v7", "complete", "0.5000", "2", "700", "8"]
    assert "they differ in alpha too" in text(tmp_path)


@pytest.mark.parametrize("given", ["preset=fast", "+preset=fast"])
def test_a_preset_is_a_column_and_what_changes_no_training_is_none(tmp_path: Path, make: Make, given: str) -> None:
    make(6, 0.9, overrides=["sampling.steps=4", "tracker=none"], config={"sampling.steps": 4})
    make(7, 0.5, overrides=[given], config={"optimizer.lr": 0.1})
    assert only(tmp_path).differing == ["preset", "optimizer.lr"]


def test_a_record_of_an_older_program_has_the_defaults_of_keys_that_it_lacks(tmp_path: Path, make: Make) -> None:
    make(6, 0.9, config={"network.rank": 4})
    old = make(7, 0.5, config={"network.rank": 8})
    record = json.loads((old / "record.json").read_text())
    del record["config"]["compat"], record["config"]["loss"]["debiased"], record["dataset"]["heldout_sha256"]
    files.write_json(old / "record.json", record | {"overrides": None})
    assert [one.differing for one in compare(ledger.versions(tmp_path))] == [[], []], "held out may be another set"
    record["dataset"]["heldout_sha256"] = "h1"
    files.write_json(old / "record.json", record)
    assert only(tmp_path).differing == ["network.rank"]


@pytest.mark.parametrize(
    "changes",
    [
        {"base": {"path": "sdxl", "sha256": "b2"}},
        {"dataset": {"path": "photos", "images": 18, "heldout": 2, "sha256": "d2", "heldout_sha256": "h2"}},
        {"objective": {"name": "image/fidelity", "value": 0.1, "direction": "maximize"}},
        {"config": {"evaluation.timesteps": 4}},
        {"config": {"evaluation.seed": 1}},
        {"config": {"dataset.resolution": 512}},
        {"name": "Food"},
    ],
    ids=lambda changes: next(iter(changes)) if "config" not in changes else next(iter(changes["config"])),
)
def test_what_is_measured_otherwise_is_in_no_ranking_with_the_rest(
    tmp_path: Path, make: Make, changes: dict[str, Any]
) -> None:
    make(6, 0.9)
    make(7, 0.5)
    make(8, 0.1, **changes)
    mine, other = compare(ledger.versions(tmp_path))
    if "name" in changes:
        mine, other = other, mine
    assert mine.standing == {7: "best"} and other.standing == {}
    assert mine.title != other.title, "what tells the groups apart is said"


def test_other_training_images_compare_where_the_same_are_held_out(tmp_path: Path, make: Make) -> None:
    make(6, 0.9)
    make(7, 0.5, dataset={"path": "photos", "images": 4, "heldout": 8, "sha256": "d2", "heldout_sha256": "h1"})
    found = only(tmp_path)
    assert found.standing == {7: "best"} and found.differing == ["data"]


@pytest.mark.parametrize(
    ("values", "standing"),
    [
        ([0.5, 0.9], {6: "best"}),
        ([0.5, 0.505], {6: "best", 7: "same"}),
        ([0.5, 0.5], {6: "best", 7: "same"}),
        ([0.5, None], {}),
        ([0.5, float("nan")], {}),
        ([0.9, 0.5, 0.51, None], {7: "best", 8: "same"}),
    ],
)
def test_best_is_said_of_measured_versions_only_and_what_is_within_the_noise_is_as_good(
    tmp_path: Path, make: Make, values: list[float | None], standing: dict[int, str]
) -> None:
    for number, value in enumerate(values, 6):
        make(number, value)
    assert only(tmp_path).standing == standing
    printed = text(tmp_path)
    assert ("as good: no further apart" in printed) == ("same" in standing.values())
    assert ("* best" in printed) == bool(standing)


def test_the_highest_is_best_where_that_is_better(tmp_path: Path, make: Make) -> None:
    for number, value in ((6, 0.3), (7, 0.6)):
        make(number, objective={"name": "image/adherence", "value": value, "direction": "maximize"})
    found = only(tmp_path)
    assert found.standing == {7: "best"} and [entry.name for entry in order(found, "value")] == ["v7", "v6"]


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("number", ["v6", "v7", "v8"]),
        ("value", ["v7", "v6", "v8"]),
        ("steps", ["v6", "v7", "v8"]),
        ("time", ["v8", "v7", "v6"]),
        ("started", ["v6", "v7", "v8"]),
        ("rank", ["v8", "v6", "v7"]),
        ("network.rank", ["v8", "v6", "v7"]),
        ("preset", ["v6", "v8", "v7"]),
    ],
)
def test_versions_can_be_sorted_by_any_column(tmp_path: Path, make: Make, by: str, names: list[str]) -> None:
    make(6, 0.6, config={"network.rank": 8})
    make(7, 0.5, config={"network.rank": 16}, overrides=["preset=fast"])
    make(8, None, config={"network.rank": 4})
    assert [entry.name for entry in order(only(tmp_path), by)] == names


def test_a_narrow_terminal_gets_fewer_columns_and_is_told_of_the_others(tmp_path: Path, make: Make) -> None:
    keys = {"network.rank": 4, "optimizer.lr": 1e-3, "network.dropout": 0.1}
    make(6, 0.9, overrides=[f"{key}={value}" for key, value in keys.items()], config=keys)
    make(7, 0.5)
    found = only(tmp_path)
    for width in (70, 80, 100, 200):
        drawn = lines(found, found.entries, width)
        assert all(len(line) <= width for line in drawn[1:4])
        printed = "\n".join(line.plain for line in drawn)
        assert all(name in printed for name in ("rank", "lr", "dropout")), width
    assert "differ in" not in printed


def test_the_verb_lists_sorts_chooses_and_says_what_there_is(
    tmp_path: Path, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    make(6, 0.9, trial={"study": "bear", "number": 0}, config={"network.rank": 4})
    make(7, 0.5, trial={"study": "bear", "number": 1}, status="running")
    make(1, 0.3, name="Food")
    root = ["--output-root", str(tmp_path)]
    assert main(["versions", *root]) == 0
    printed = capsys.readouterr().out
    assert "FuzzyBear on toy" in printed and "Food on toy" in printed
    assert "v7  interrupted" in printed, "nobody holds its lock"
    assert main(["versions", "fuzzybear", "--json", "--sort", "value", *root]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(entry["version"], entry["standing"]) for entry in found] == [(7, "best"), (6, None)]
    assert found[0]["differs"] == {"network.rank": Config(name="x").network.rank} and found[0]["group"] == 0
    assert main(["versions", "fuzzybear", "v6", "--json", *root]) == 0
    assert [entry["version"] for entry in json.loads(capsys.readouterr().out)] == [6]
    assert main(["versions", "--study", "bear", "--json", *root]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert main(["versions", "fuzzybear", "--sort", "rnk", *root]) == 2
    assert "did you mean rank?" in capsys.readouterr().err
    assert main(["versions", "bear", *root]) == 2
    assert "holds no version of bear: it has versions of Food, FuzzyBear" in capsys.readouterr().err
    assert main(["versions", "--output-root", str(tmp_path / "none")]) == 2
    assert "holds no version: train one first" in capsys.readouterr().err


def test_a_record_that_cannot_be_read_is_told_and_hides_no_other(
    tmp_path: Path, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    make(6, 0.9)
    for number, content in enumerate((b"", b"{", b"[]", b"{}", b"\xff\xfe"), 7):
        folder = make(number)
        (folder / "record.json").write_bytes(content)
    files.write_json(tmp_path / "fuzzybear" / "v20" / "record.json", {"name": "FuzzyBear", "version": 20})
    assert main(["versions", "--output-root", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "v6" in printed.out and "v20" in printed.out and printed.err.count("cannot be read") == 5


def sampled(folder: Path, epochs: tuple[int, ...] = (0, 2), colour: str = "#ff0000", prompts: int = 1) -> None:
    for epoch in epochs:
        for index in range(prompts):
            path = folder / "samples" / f"{epoch:06d}_{index:02d}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (64, 64), colour if epoch else "#0000ff").save(path)


def test_versions_stand_side_by_side_in_a_picture(
    tmp_path: Path, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = {"sampling.prompts": ["a bear"], "sampling.seeds": [0]}
    sampled(make(6, 0.9, config=prompts | {"network.rank": 4}), colour="#00ff00")
    sampled(make(7, 0.5, config=prompts), colour="#ff00ff")
    sampled(make(8, 0.4, config=prompts), epochs=(0, 1), colour="#ffff00")  # not at the selected epoch
    make(9, 0.1, config=prompts)
    sampled(make(10, 0.2, config=prompts | {"sampling.steps": 3}))
    out, line = tmp_path / "side.png", ["versions", "fuzzybear", "--output-root", str(tmp_path)]
    assert main([*line, "--picture", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "left out v9: it has no samples" in printed and "left out v10: it was sampled with other" in printed
    with Image.open(out) as image:
        colours = {pixel for _, pixel in image.convert("RGB").getcolors(1 << 20) or []}
    assert {(0, 0, 255), (0, 255, 0), (255, 0, 255), (255, 255, 0)} <= colours and (255, 0, 0) not in colours
    assert main([*line[:2], "v6", *line[2:], "--picture", str(out)]) == 2
    assert "two versions or more" in capsys.readouterr().err
    make(11, 0.1, base={"path": "sdxl", "sha256": "b2"})
    assert main([*line, "--picture", str(out)]) == 2
    assert "they are of 2 kinds" in capsys.readouterr().err
    assert main([*line[:2], "v6", "v7", *line[2:], "--picture", str(out)]) == 0, "the cure that was offered"
    assert main([*line[:2], "v6", "v7", *line[2:], "--picture", str(tmp_path / "fuzzybear")]) == 2


def test_of_many_the_best_ten_are_drawn(tmp_path: Path, make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(1, 13):
        sampled(make(number, 1 - 0.05 * number, config={"sampling.prompts": ["a bear"], "sampling.seeds": [0]}))
    out = tmp_path / "side.png"
    assert main(["versions", "fuzzybear", "--output-root", str(tmp_path), "--picture", str(out)]) == 0
    assert "left out v1, v2: the 10 best are drawn" in capsys.readouterr().out
