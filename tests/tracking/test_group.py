"""Trackers fail; trainings do not. Only metrics.jsonl may stop one."""

import errno
import os
from pathlib import Path

import pytest

from lorasweep.schema import Config
from lorasweep.tracking import Trackers, open_trackers, read_rows
from lorasweep.tracking.jsonl import JsonLines
from lorasweep.tracking.tracker import Tracked, split_key


class Fake:
    """Remembers its calls; raises at the one named `bad`."""

    def __init__(self, bad: str = "") -> None:
        self.calls: list[tuple[object, ...]] = []
        self.bad = bad

    def _call(self, name: str, *values: object) -> None:
        self.calls.append((name, *values))
        if name == self.bad:
            raise RuntimeError("the server is gone\nwith a long story")

    def metrics(self, values, step):
        self._call("metrics", values, step)

    def images(self, images, step):
        self._call("images", images, step)

    def weights(self, path, aliases, metadata):
        self._call("weights", path, aliases, metadata)

    def finish(self, status, summary):
        self._call("finish", status, summary)


def use(trackers: Trackers) -> None:
    trackers.metrics({"train/loss": 1.0}, 1)
    trackers.images({"samples/0 bear": Path("a.png")}, 1)
    trackers.weights(Path("a.safetensors"), ["v6"], {})
    trackers.finish("complete", {"val/loss_ratio": 0.5})
    trackers.finish("failed", {})


@pytest.mark.parametrize("bad", ["metrics", "images", "weights", "finish"])
def test_a_tracker_that_raises_is_reported_once_and_dropped(tmp_path, bad):
    lines: list[str] = []
    good, broken = Fake(), Fake(bad)
    trackers = Trackers(JsonLines(tmp_path / "metrics.jsonl"), {"Broken": broken, "Good": good}, lines.append)
    use(trackers)
    assert lines == ["Broken stopped logging, the training goes on: RuntimeError: the server is gone"]
    assert broken.calls[-1][0] == bad
    assert good.calls == [
        ("metrics", {"train/loss": 1.0}, 1),
        ("images", {"samples/0 bear": Path("a.png")}, 1),
        ("weights", Path("a.safetensors"), ["v6"], {}),
        ("finish", "complete", {"val/loss_ratio": 0.5}),
    ]
    assert read_rows(tmp_path / "metrics.jsonl") == [{"step": 1, "train/loss": 1.0}]


def test_ctrl_c_inside_a_tracker_is_not_swallowed(tmp_path):
    class Stopped(Fake):
        def metrics(self, values, step):
            raise KeyboardInterrupt

    trackers = Trackers(JsonLines(tmp_path / "metrics.jsonl"), {"Stopped": Stopped()}, print)
    with pytest.raises(KeyboardInterrupt):
        trackers.metrics({}, 1)


def test_a_full_disk_surfaces_from_metrics_jsonl(tmp_path, monkeypatch):
    def full(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    lines: list[str] = []
    trackers = Trackers(JsonLines(tmp_path / "metrics.jsonl"), {}, lines.append)
    with monkeypatch.context() as patch, pytest.raises(OSError) as raised:
        patch.setattr(os, "write", full)
        trackers.metrics({"train/loss": 1.0}, 1)
    assert raised.value.errno == errno.ENOSPC
    assert lines == []


def test_a_tracker_that_cannot_start_is_left_out(tmp_path):
    lines: list[str] = []
    (tmp_path / "tensorboard").write_text("a file where the folder should be")
    config = Config(name="FuzzyBear")
    config.tracker.wandb.mode = "disabled"
    trackers = open_trackers(Tracked(config, tmp_path, 6, print_line=lines.append, resumed_step=None))
    use(trackers)
    assert len(lines) == 1 and lines[0].startswith("TensorBoard is off, the training goes on without it: FileExists")
    assert len(read_rows(tmp_path / "metrics.jsonl")) == 1


def test_nothing_but_metrics_jsonl_is_written_when_the_others_are_off(tmp_path):
    config = Config(name="FuzzyBear")
    config.tracker.tensorboard = False
    config.tracker.wandb.mode = "disabled"
    use(open_trackers(Tracked(config, tmp_path, 6, print_line=print, resumed_step=None)))
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_keys_and_captions():
    assert split_key("samples/0 sks bear, in the snow") == ("samples/0", "sks bear, in the snow")
    assert split_key("samples/grid") == ("samples/grid", None)
