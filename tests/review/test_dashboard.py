"""The W&B workspace: what it shows, the model that W&B gets (a recorded one), and the program that says it."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from lorasweep.commands import cli
from lorasweep.errors import UserError
from lorasweep.review.dashboard import INSTALL, Dashboard, as_code, dashboard, workspace
from lorasweep.runs import ledger

from .page.made_up import write_version

pytest.importorskip(
    "wandb_workspaces", reason="the package of workspaces is not installed: pip install lorasweep[review]"
)
RECORDED = Path(__file__).parent / "dashboard.json"
BOARD = Dashboard(
    title="study bears",
    entity="zoo",
    project="lorasweep",
    group="bears",
    objective="val/loss_ratio",
    settings=(("network.rank", False), ("optimizer.lr", True)),
    metrics=("val/loss_ratio", "image/fidelity"),
    pictures=2,
    trials=True,
)


def model(board: Dashboard) -> Any:
    """Return the workspace as W&B gets it, without the ids that are drawn anew each time."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(part) for key, part in value.items() if key != "__id__"}
        return [plain(part) for part in value] if isinstance(value, list) else value

    return plain(json.loads(workspace(board)._to_model().model_dump_json(by_alias=True, exclude_none=True)))


def test_the_workspace_is_the_recorded_one() -> None:
    """After a change that is meant: look at what differs, then write `model(BOARD)` into the file."""
    assert model(BOARD) == json.loads(RECORDED.read_text())


def test_it_shows_search_samples_curves_and_differences() -> None:
    spec = model(BOARD)["spec"]
    sections = {one["name"]: one["panels"] for one in spec["section"]["panelBankConfig"]["sections"]}
    assert list(sections) == ["Search", "Samples", "Curves", "What differs"]
    grids = [panel["config"] for panel in sections["Samples"]]
    assert [grid["mediaKeys"] for grid in grids] == [["samples/0"], ["samples/1"]]
    assert all(grid["gridSettings"] == {"xAxis": "step", "yAxis": "run"} for grid in grids)
    columns = [one["accessor"] for one in sections["Search"][0]["config"]["columns"]]
    assert columns == ["config:network.value.rank", "config:optimizer.value.lr", "summary:val/loss_ratio"]
    assert sections["Search"][0]["config"]["columns"][1]["log"] is True
    (runs,) = spec["section"]["runSets"]
    (only,) = runs["filters"]["filters"]
    assert (only["key"]["name"], only["value"]) == ("group", "bears")
    (order,) = runs["sort"]["keys"]
    assert order["ascending"] is True and order["key"]["name"] == "val/loss_ratio"


def test_no_panel_covers_another() -> None:
    for section in model(BOARD)["spec"]["section"]["panelBankConfig"]["sections"]:
        boxes = [panel["layout"] for panel in section["panels"]]
        taken = [(x, y) for b in boxes for x in range(b["x"], b["x"] + b["w"]) for y in range(b["y"], b["y"] + b["h"])]
        assert len(taken) == len(set(taken)), section["name"]


def test_it_is_about_what_differs_among_the_versions(tmp_path: Path) -> None:
    for number, rank, lr in ((6, 4, 1e-4), (7, 8, 5e-3)):
        settings = {"network.rank": rank, "optimizer.lr": lr}
        write_version(tmp_path, number, settings=settings, trial={"study": "bears", "number": number})
    board = dashboard("study bears", ledger.versions(tmp_path), None, "mine")
    assert (board.group, board.project, board.trials) == ("bears", "mine", True)
    assert dict(board.settings) == {"network.rank": False, "optimizer.lr": True}
    assert board.metrics[0] == board.objective


def test_the_program_builds_the_same_workspace_and_saves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb_workspaces.workspaces as views

    saved: list[Any] = []

    def save(self: views.Workspace) -> Any:
        saved.append(self)
        return type("View", (), {"url": "https://wandb.ai/zoo/lorasweep?nw=1"})

    monkeypatch.setattr(views.Workspace, "save", save)
    file = tmp_path / "dashboard.py"
    file.write_text(as_code(BOARD))
    found = runpy.run_path(str(file), run_name="__main__")
    assert found["BOARD"] == BOARD
    assert [(one.entity, one.project, one.name) for one in saved] == [("zoo", "lorasweep", "study bears")]


def test_without_the_package_the_cure_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces.workspaces", None)
    with pytest.raises(UserError, match=INSTALL.replace("[", r"\[")):
        workspace(BOARD)


def test_the_verb_writes_the_program_and_says_why_it_is_not_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorasweep.tracking.wandb.obstacle", lambda _: "no API key; `wandb login` stores one")
    write_version(tmp_path, 6, settings={"network.rank": 4})
    line = ["dashboard", "fuzzybear", "--output-root", str(tmp_path)]
    assert cli.main(line) == 0
    said = capsys.readouterr().out
    assert "not saved to W&B (no API key" in said and (tmp_path / "fuzzybear" / "dashboard.py").is_file()
    assert cli.main([*line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["displayName"] == "FuzzyBear"
    assert cli.main(["dashboard", "nobody", "--output-root", str(tmp_path)]) == 2
    assert "it has fuzzybear" in capsys.readouterr().err


def test_what_w_and_b_refuses_is_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb_workspaces.workspaces as views

    def refused(self: views.Workspace) -> Any:
        raise RuntimeError("entity not found")

    monkeypatch.setattr("lorasweep.tracking.wandb.obstacle", lambda _: None)
    monkeypatch.setattr(views.Workspace, "save", refused)
    write_version(tmp_path, 6, settings={"network.rank": 4})
    assert cli.main(["dashboard", "fuzzybear", "--output-root", str(tmp_path), "--entity", "zoo"]) == 2
    assert "entity not found): check --entity and --project" in capsys.readouterr().err
