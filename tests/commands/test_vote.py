"""`lorasweep vote`: what it prints, what it refuses, that it ends with Ctrl-C and keeps what was said."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import uvicorn

from lorasweep.commands import cli
from lorasweep.runs import ledger
from lorasweep.votes import ballots
from lorasweep.votes.ballots import Pair
from lorasweep.votes.contenders import contenders

from ..votes.made_versions import version


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of two versions, the trials of a study."""
    root = tmp_path / "outputs"
    version(root, 1, study="bears", ratio=0.9)
    version(root, 2, study="bears", ratio=0.7)
    return root


def test_results_are_printed_in_words_and_as_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell = next(iter(contenders(ledger.versions(root))[1].pictures))
    ballots.store_vote(root / "studies" / "bears" / "votes.jsonl", Pair("bear/v1@1", "bear/v2@1", cell), "right")
    assert cli.main(["vote", "bears", "--output-root", str(root), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["votes"] == 1 and found["strengths"][0]["label"] == "Bear v2"
    assert {row["label"] for row in found["strengths"]} == {"Bear v1", "Bear v2", "the base"}
    assert cli.main(["vote", "bears", "--output-root", str(root), "--results"]) == 0
    said = capsys.readouterr().out
    assert "bears: 1 votes, 0 skipped" in said and "as good as the first" in said
    assert "held-out loss / base prefers the same in 1 of 1 decided votes" in said
    assert cli.main(["vote", "Bear", "--output-root", str(root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["votes"] == 0  # of the study alone


def test_the_page_ends_with_ctrl_c_and_the_result(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: uvicorn.Server, sockets: list[socket.socket]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(uvicorn.Server, "run", interrupted)
    assert cli.main(["vote", "bear", "--output-root", str(root), "--port", "0"]) == 0
    said = capsys.readouterr().out
    assert "vote at http://127.0.0.1:" in said and "bear: 0 votes" in said


def test_what_cannot_be_voted_on_is_said_with_the_cure(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["vote", "beer", "--output-root", str(root)]) == 2
    assert "there is bears, bear; did you mean bear" in capsys.readouterr().err
    alone = root.parent / "alone"
    record = version(alone, 1)
    for picture in (record.folder / "samples").glob("000000_*.png"):
        picture.unlink()
    assert cli.main(["vote", "bear", "--output-root", str(alone)]) == 2
    assert "train another with the same sampling.prompts" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["vote", "bear", "--output-root", str(root), "--port", str(port)]) == 2
    assert "give another one, or 0 for any that is free" in capsys.readouterr().err
