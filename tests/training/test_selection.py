"""The selected epoch's weights have the version's own name, whichever way is better."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorasweep.runs.record import Record
from lorasweep.schema import Config
from lorasweep.training.selection import select


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """A version of three epochs, each with a file; the loss rises as the similarity does."""
    epochs = []
    for epoch, value in ((1, 0.2), (2, 0.9), (3, 0.5)):
        file = f"Bear_v6-{epoch:06d}.safetensors"
        (tmp_path / file).write_text(f"epoch {epoch}")
        metrics = {"val/loss_ratio": value, "image/fidelity": value}
        epochs.append({"epoch": epoch, "step": epoch, "file": file, "metrics": metrics})
    return Record.parse({"name": "Bear", "version": 6, "status": "running", "epochs": epochs}, folder=tmp_path)


@pytest.mark.parametrize(
    ("by", "epoch"), [("val/loss_ratio", 1), ("image/fidelity", 2), ("last", 3)], ids=["less", "more", "last"]
)
def test_the_best_so_far_gets_the_versions_name(record: Record, by: str, epoch: int) -> None:
    config = Config()
    config.evaluation.select_by = by
    select(record, config)
    assert record.selected_epoch == epoch
    assert (record.folder / "Bear_v6.safetensors").read_text() == f"epoch {epoch}"
    assert Record.read(record.folder).selected_because == record.selected_because


def test_a_resumed_version_writes_the_selected_file_again(record: Record) -> None:
    config = Config()
    config.evaluation.select_by = "val/loss_ratio"
    select(record, config)
    selected = record.folder / "Bear_v6.safetensors"
    selected.unlink()
    selected.write_text("what a killed process left of another epoch")
    select(record, config)
    assert selected.read_text() != "epoch 1", "as long as nothing says that it may be another's"
    select(record, config, again=True)
    assert selected.read_text() == "epoch 1"
