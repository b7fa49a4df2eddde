"""The dry run, and what a run tells first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lorasweep.app import preview
from lorasweep.compose.composition import load_config
from lorasweep.data.providers import write_set
from lorasweep.errors import UserError
from lorasweep.schema import Config

TRAIN = Path(__file__).resolve().parents[2] / "train.py"


def train(*line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, TRAIN, *line], capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize("theme", ["fuzzybear", "robots"])
def test_a_dry_run_of_a_theme_writes_nothing(short_config: Config, tmp_path: Path, capsys, theme: str) -> None:
    short_config.dataset.theme = theme
    preview.dry_run(short_config)
    images = {"fuzzybear": 8, "robots": 15}[theme]
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"learns from the drawn theme {theme}"
    assert f"  images    {images} images, 1 repeat" in told
    assert f"  {images} images x 1 repeat = {images} draws an epoch" in told
    assert told[-1] == "nothing was trained or written (dry_run=true)"
    assert not Path(short_config.output_root).exists()


def test_a_dry_run_of_a_folder_takes_no_version_and_writes_nothing(tmp_path: Path) -> None:
    write_set("robots", tmp_path / "photos" / "10_robot", count=4)
    before = sorted(path for path in tmp_path.rglob("*"))
    line = ["lora=custom", "name=Robot", "dataset.path=photos", "dataset.trigger=tin_man", "training.epochs=3"]
    done = train(*line, "dry_run=true", cwd=tmp_path)
    assert done.returncode == 0 and not done.stderr
    assert "learns from photos" in done.stdout
    assert "  images    4 images, 10 repeats, from its name" in done.stdout
    assert 'warning: 4 of 4 captions lack the trigger "tin_man": 10_robot/001.txt' in done.stdout
    assert "/ batch 2 = 15 steps; x 3 epochs = 45 steps" in done.stdout  # one of four is held out
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_what_is_wrong_with_the_data_is_told_without_loading_anything(tmp_path: Path) -> None:
    """Every problem at once, by a real run too: in the very process, so that what is loaded can be seen."""
    write_set("robots", tmp_path / "photos", count=2)
    (tmp_path / "photos" / "001.txt").unlink()
    (tmp_path / "photos" / "002.png").write_bytes(b"no picture")
    code = (
        "import runpy, sys\n"
        "try:\n    runpy.run_path(sys.argv.pop(1), run_name='__main__')\n"
        "except SystemExit as end:\n    print('exit', end.code, 'torch' in sys.modules)\n"
    )
    line = ["lora=custom", "name=Robot", "dataset.path=photos", "dataset.trigger=tin_man"]
    command = [sys.executable, "-c", code, str(TRAIN), *line]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert "(2 problems)" in done.stderr
    assert "001.png: has no caption" in done.stderr and "002.png: is not an image" in done.stderr
    assert done.stdout.splitlines()[-1] == "exit 2 False"
    assert not (tmp_path / "outputs" / "robot").exists()


def test_a_dry_run_looks_at_one_version(tmp_path: Path) -> None:
    done = train("-m", "dry_run=true", "network.rank=4,8", cwd=tmp_path)
    assert done.returncode == 2
    assert "dry_run=true looks at one version: leave -m out, and give each key one value" in done.stderr
    assert not (tmp_path / "outputs").exists()


@pytest.mark.usefixtures("composed_configs")
def test_nothing_is_a_dry_run_by_default() -> None:
    assert load_config([]).dry_run is False


def test_a_run_tells_what_it_learns_from_before_it_loads_the_base(short_config: Config, tmp_path, monkeypatch, capsys):
    def stop(*_: object, **__: object) -> None:
        raise UserError("the base would be loaded now")

    monkeypatch.setattr("lorasweep.training.run", stop)
    from lorasweep.app.train import _run
    from lorasweep.families.opened import OpenedBase

    with pytest.raises(UserError, match="the base would be loaded now"):
        _run(short_config, [], {}, OpenedBase(), quiet=False)
    assert "learns from the drawn theme fuzzybear" in capsys.readouterr().out


@pytest.mark.usefixtures("composed_configs", "elsewhere")
def test_a_schedule_that_cannot_be_meant_for_the_epochs_is_refused_before_anything_is_loaded() -> None:
    """What steps were always refused for; how many epochs come to is known once the images are."""
    line = ["training.epochs=1", "scheduler.warmup_steps=500"]
    said = r"scheduler\.warmup_steps=500: expected less than the 200 steps of training\.epochs=1, such as 20"
    for look in (preview.show_data, preview.dry_run):
        with pytest.raises(UserError, match=said):
            look(load_config(line))
    preview.show_data(load_config([*line, "scheduler.warmup_steps=20"]))  # the cure


@pytest.mark.usefixtures("composed_configs", "elsewhere")
def test_of_several_runs_on_the_same_images_each_is_held_to_its_own_steps() -> None:
    of_batch = [
        load_config([f"training.batch_size={size}", "training.epochs=1", "scheduler.warmup_steps=150"])
        for size in (2, 4)
    ]
    of_epochs = [load_config([f"training.epochs={epochs}", "scheduler.warmup_steps=300"]) for epochs in (2, 1)]
    with pytest.raises(UserError) as caught:
        preview.show_all_data([*of_batch, *of_epochs])
    assert [text.partition(",")[0] for text in caught.value.problems] == [
        "scheduler.warmup_steps=300: expected less than the 200 steps of training.epochs=1",
        "scheduler.warmup_steps=150: expected less than the 100 steps of training.epochs=1",
    ]
