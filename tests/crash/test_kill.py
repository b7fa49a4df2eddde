"""Runs that are killed, at any point, go on as if nothing had been.

Children are forked from the test process, which has the base loaded: each is a real process that dies a real death.
"""

from __future__ import annotations

import copy
import errno
import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors import torch as safetensors_torch
from safetensors.torch import load_file

from lorasweep import files
from lorasweep.errors import UserError
from lorasweep.families.sdxl.model import SDXL
from lorasweep.randomness import random_for
from lorasweep.runs.state import latest
from lorasweep.schema import Config
from lorasweep.training import loop
from lorasweep.training.member import Member
from lorasweep.training.train_state import StepReport
from lorasweep.training.version import Version

from ..training_on import run


def forked(action: Callable[[], object]) -> int:
    """Run `action` in a forked child; return its process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)
        os.dup2(devnull, 2)
        action()
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """Wait for a child; return its exit code, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_step(number: int) -> None:
    """Arrange that this process dies as soon as step `number` has been taken."""
    step = loop.advance

    def dying(self: Member) -> None:
        step(self)
        if self.version.step == number:
            die()

    loop.advance = dying  # type: ignore[method-assign]  # in the child only


def die_in_save(number: int) -> None:
    """Arrange that this process dies when half of its `number`-th safetensors file is written."""
    save, seen = safetensors_torch.save_file, [0]

    def dying(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
        save(tensors, path, metadata)
        seen[0] += 1
        if seen[0] == number:
            os.truncate(path, path.stat().st_size // 2)
            die()

    safetensors_torch.save_file = dying


def die_before_rename(number: int) -> None:
    """Arrange that this process dies just before its `number`-th file gets its name."""
    rename, seen = os.replace, [0]

    def dying(source: Path, target: Path) -> None:
        seen[0] += 1
        if seen[0] == number:
            die()
        rename(source, target)

    files.os.replace = dying  # type: ignore[attr-defined]


def weights(config: Config, epoch: int) -> dict[str, torch.Tensor]:
    return load_file(Path(config.output_root) / "fuzzybear" / "v6" / f"FuzzyBear_v6-{epoch:06d}.safetensors")


def record(config: Config) -> dict[str, object]:
    found: dict[str, object] = json.loads((Path(config.output_root) / "fuzzybear" / "v6" / "record.json").read_text())
    return found


@pytest.fixture
def straight(short_config: Config, toy_base: SDXL, tmp_path: Path) -> Iterator[Config]:
    """An uninterrupted run to compare with."""
    config = copy.deepcopy(short_config)
    config.output_root = str(tmp_path / "straight")
    run(config, base=toy_base)
    yield config


def test_killed_again_and_again_it_ends_with_the_same_bits(
    straight: Config, short_config: Config, toy_base: SDXL
) -> None:
    short_config.training.state_every_steps = 1
    draw = random_for(int(time.time()), "kill")  # new places at every run of this test
    steps = sorted(draw.sample(range(1, 12), 3))
    deaths: list[Callable[[], None]] = [partial(die_at_step, number) for number in steps]
    deaths += [partial(die_in_save, draw.randint(1, 3)), partial(die_before_rename, draw.randint(2, 6))]
    draw.shuffle(deaths)
    config = short_config
    for death in deaths:

        def child(death: Callable[[], None] = death, config: Config = config) -> None:
            death()
            run(config, base=toy_base)

        code = ended(forked(child))
        assert code in (-signal.SIGKILL, 0), f"died of something else: {code}"
        started = (Path(config.output_root) / "fuzzybear" / "v6" / "record.json").exists()
        if code == 0:
            break
        assert not started or record(config)["status"] == "running"
        config = replace(short_config, resume="v6") if started else short_config
    if record(config)["status"] != "complete":
        assert ended(forked(lambda: run(replace(short_config, resume="v6"), base=toy_base))) == 0
    for epoch in (1, 2, 3):
        expected, found = weights(straight, epoch), weights(short_config, epoch)
        assert all(torch.equal(expected[name], found[name]) for name in expected), (steps, epoch)
    folder = Path(short_config.output_root) / "fuzzybear" / "v6"
    assert not list(folder.rglob(".*.tmp")), "leftovers are removed on resume"
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    measured = [row["step"] for row in rows if "val/loss_ratio" in row]
    assert measured == sorted(set(measured)), "no epoch is logged twice"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_finishes_the_step_and_saves_the_state(
    number: signal.Signals, code: int, straight: Config, short_config: Config, toy_base: SDXL
) -> None:
    child = forked(lambda: run(short_config, base=toy_base))
    progress = Path(short_config.output_root) / "fuzzybear" / "v6" / "FuzzyBear_v6-000001.safetensors"
    deadline = time.time() + 60
    while not progress.exists() and time.time() < deadline:
        time.sleep(0.01)
    os.kill(child, number)
    assert ended(child) == code
    assert record(short_config)["status"] == "interrupted"
    assert ended(forked(lambda: run(replace(short_config, resume="latest"), base=toy_base))) == 0
    assert record(short_config)["status"] == "complete"
    expected, found = weights(straight, 3), weights(short_config, 3)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_a_lost_connection_and_a_batch_systems_warning_save_the_state_too(
    number: signal.Signals, short_config: Config, toy_base: SDXL, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        run(short_config, base=toy_base, report=lambda step, metrics: os.kill(os.getpid(), number))
    assert left.value.code == 128 + number
    assert record(short_config)["status"] == "interrupted"
    found = latest(Path(short_config.output_root) / "fuzzybear" / "v6")
    assert found is not None and found[1] == 4  # the epoch's last step, in which the signal came
    assert "resume=v6" in capsys.readouterr().out


def test_a_second_ctrl_c_does_not_wait_for_the_step(
    short_config: Config, toy_base: SDXL, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = loop.train_step

    def interrupted(version: Version) -> StepReport:
        if version.step == 5:  # an epoch has 4 steps
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return step(version)

    with monkeypatch.context() as patched, pytest.raises(SystemExit) as left:
        patched.setattr(loop, "train_step", interrupted)
        run(short_config, base=toy_base)
    assert left.value.code == 130
    found = record(short_config)
    assert found["status"] == "interrupted" and "in step 6" in str(found["reason"])
    assert "resume=v6" in capsys.readouterr().out
    run(replace(short_config, resume="v6"), base=toy_base)
    assert record(short_config)["status"] == "complete"


def test_a_size_limit_stops_cleanly_with_the_earlier_files_whole(short_config: Config, toy_base: SDXL) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def no_more_room(step: int, metrics: dict[str, float]) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))

    try:
        with pytest.raises(UserError, match=r"every earlier file is whole") as caught:
            run(short_config, base=toy_base, report=no_more_room)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.strerror(errno.EFBIG) in str(caught.value)
    assert "resume=v6" in str(caught.value)
    assert record(short_config)["status"] == "failed"
    assert all(torch.isfinite(tensor).all() for tensor in weights(short_config, 1).values())
    folder = Path(short_config.output_root) / "fuzzybear" / "v6"
    assert not (folder / "FuzzyBear_v6-000002.safetensors").exists()
    assert not list(folder.rglob(".*.tmp"))
    run(replace(short_config, resume="v6"), base=toy_base)
    assert record(short_config)["status"] == "complete"


def test_a_full_disk_stops_cleanly(
    short_config: Config, toy_base: SDXL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    step = loop.advance

    def beside_a_hungry_program(self: Member) -> None:
        """Take a step; in the second epoch something else fills the disk, which the forecast cannot know."""
        step(self)
        if self.version.step == 6:
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                (disk / "other").write_bytes(bytes(16 << 20))

    monkeypatch.setattr(loop, "advance", beside_a_hungry_program)
    try:
        short_config.output_root = str(disk)
        short_config.dataset.cache = str(tmp_path / "cache")
        with pytest.raises(UserError, match=os.strerror(errno.ENOSPC)):
            run(short_config, base=toy_base)
        saved = sorted(disk.rglob("FuzzyBear_v6-*.safetensors"))
        assert saved, "the disk was full before the first epoch: the test proves nothing"
        for path in [*saved, *disk.rglob("state/step-*.safetensors")]:
            assert load_file(path)
        assert json.loads((disk / "fuzzybear" / "v6" / "record.json").read_text())["epochs"]
    finally:
        # Lazily: a file that the training's traceback holds open keeps the disk busy.
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
