"""Versions with pictures, without a training."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from lorasweep.runs import paths
from lorasweep.runs.record import BaseRecord, Epoch, MetricsRecord, Record, TrialRecord


def version(root: Path, number: int, *, study: str = "", steps: int = 20, ratio: float = 1.0) -> Record:
    """Write a complete version of two epochs, sampled before and after, with two prompts and one seed."""
    folder = root / "bear" / f"v{number}"
    config = {
        "dataset": {"trigger": "my_bear", "resolution": 64},
        "sampling": {"prompts": ["{trigger}, red hat", "a dog"], "seeds": [0], "steps": steps, "guidance": 3.0},
    }
    record = Record(folder, "Bear", number, status="complete", config=config, selected_epoch=1)
    record.base = BaseRecord("sdxl", "toy", "0123456789abcdef")
    record.metrics = MetricsRecord(base={"val/loss_ratio": 1.0}, selected={"val/loss_ratio": ratio})
    record.epochs = [Epoch(epoch, metrics={"val/loss_ratio": ratio}) for epoch in (1, 2)]
    record.trial = TrialRecord(study, number) if study else None
    for epoch in (0, 1, 2):
        for index in range(2):
            path = paths.sample(folder, epoch, index)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (number, epoch, index)).save(path)
    record.write()
    return record
