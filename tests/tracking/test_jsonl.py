"""metrics.jsonl after clean runs, kills in the middle of a line, resumes and full disks."""

import errno
import json
import os
from pathlib import Path

import pytest

from lorasweep.tracking.jsonl import JsonLines, read_rows, truncate_after


def test_rows_are_plain_json_in_a_stable_order(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = JsonLines(path)
    rows.metrics({"train/loss": 0.5, "epoch": 1}, 3)
    rows.metrics({"train/loss": float("nan"), "train/grad_norm": float("inf")}, 4)
    # On disk before the file is closed: a killed process loses no row.
    assert path.read_text() == (
        '{"step": 3, "epoch": 1, "train/loss": 0.5}\n{"step": 4, "train/loss": null, "train/grad_norm": null}\n'
    )
    rows.close()
    assert read_rows(path)[0] == {"step": 3, "epoch": 1, "train/loss": 0.5}


def test_numbers_of_torch_and_numpy_are_taken(tmp_path):
    numpy, torch = pytest.importorskip("numpy"), pytest.importorskip("torch")
    rows = JsonLines(tmp_path / "metrics.jsonl")
    rows.metrics({"a": numpy.float32(0.5), "b": torch.tensor(0.25)}, 1)
    rows.close()
    assert read_rows(tmp_path / "metrics.jsonl") == [{"step": 1, "a": 0.5, "b": 0.25}]


def test_a_missing_file_has_no_rows(tmp_path):
    assert read_rows(tmp_path / "no.jsonl") == []
    truncate_after(tmp_path / "no.jsonl", 3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("torn", ["", '{"step": 6, "tra', '{"step": 2, "train/loss": 0.1}', "\x00\x00\n", "[1]\n"])
def test_resume_drops_rows_beyond_the_step_and_what_was_torn(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in range(1, 6)) + torn)
    rows = JsonLines(path, resumed_step=3)
    rows.metrics({"train/loss": 1.0}, 4)
    rows.close()
    assert path.read_text().splitlines() == [
        '{"step": 1}',
        '{"step": 2}',
        '{"step": 3}',
        '{"step": 4, "train/loss": 1.0}',
    ]
    assert [other.name for other in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_file_that_needs_no_change_is_not_rewritten(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n')
    before = path.stat().st_ino
    truncate_after(path, 2)
    truncate_after(path, None)
    assert path.stat().st_ino == before
    truncate_after(path, 1)
    assert read_rows(path) == [{"step": 1}]


def test_a_disk_that_fills_up_in_the_middle_of_a_row_surfaces_and_keeps_the_earlier_rows(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    rows = JsonLines(path)
    rows.metrics({"train/loss": 1.0}, 1)
    write, room = os.write, [10]

    def nearly_full(file: int, data: bytes) -> int:
        taken = min(room[0], len(data))
        if not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room[0] -= taken
        return write(file, data[:taken])

    with monkeypatch.context() as patch, pytest.raises(OSError) as raised:
        patch.setattr(os, "write", nearly_full)
        rows.metrics({"train/loss": 2.0}, 2)
    assert raised.value.errno == errno.ENOSPC
    assert path.read_text() == '{"step": 1, "train/loss": 1.0}\n'
    rows.metrics({"train/loss": 3.0}, 3)
    rows.close()
    assert [row["step"] for row in read_rows(path)] == [1, 3]


def test_an_unwritable_place_surfaces(tmp_path: Path):
    with pytest.raises(OSError):
        JsonLines(tmp_path / "no folder" / "metrics.jsonl")
