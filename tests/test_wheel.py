"""The built wheel in an environment of its own: it brings the configs, trains from any folder, and finds one's own."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHORT = ["training.max_steps=2", "sampling.every_epochs=0", "evaluation=none", "tracker=none"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built of what git knows of this checkout and without a network."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if name.startswith(("src/", "conf/", "sweeps/")) or "/" not in name:
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target, follow_symlinks=False)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "."]
    subprocess.run([*build, "-w", str(out)], cwd=source, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command `lorasweep` of an environment with the wheel, which sees this one's other packages."""
    home = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    packages = home / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", packages, wheel]
    subprocess.run(install, check=True, capture_output=True)
    # Behind the wheel on the path, and by themselves: an editable install's own .pth would bring the checkout.
    elsewhere = [path for path in (*site.getsitepackages(), *sys.path) if path.endswith("-packages")]
    (packages / "others.pth").write_text("\n".join(dict.fromkeys(elsewhere)) + "\n")
    command = home / "bin" / "lorasweep"
    command.write_text(f"#!{home}/bin/python\nimport sys\nfrom lorasweep.commands.cli import main\nsys.exit(main())\n")
    command.chmod(0o755)
    return command


def run(program: Path, folder: Path, *line: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = {**kept, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    return subprocess.run([program, *line], cwd=folder, env=environment, capture_output=True, text=True)


def test_the_wheel_holds_every_config_the_toy_base_and_the_page(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        inside = set(opened.namelist())
    for source, target in ((ROOT / "conf", "conf"), (ROOT / "sweeps", "conf/sweeps")):
        for file in source.rglob("*.yaml"):
            assert f"lorasweep/{target}/{file.relative_to(source)}" in inside
    source = ROOT / "src"
    for folder in ("toy/weights", "review/page/assets"):
        for file in filter(Path.is_file, (source / "lorasweep" / folder).rglob("*")):
            assert str(file.relative_to(source)) in inside


def test_it_trains_from_an_empty_folder_and_says_how_to_go_on(program: Path, tmp_path: Path) -> None:
    done = run(program, tmp_path, "train", "network.rank=2", *SHORT)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "outputs" / "fuzzybear" / "v6"
    record = json.loads((folder / "record.json").read_text())
    assert record["status"] == "complete" and record["environment"]["git_commit"] is None
    assert "lorasweep train" in done.stdout and "train.py" not in done.stdout
    again = run(program, tmp_path, "train", "lora=fuzzybear", "resume=v6", "network.rank=3")
    assert again.returncode == 2 and "lorasweep train" in again.stderr


OWN = {
    "lora/sage.yaml": "# @package _global_\ndefaults:\n  - custom\n  - override /dataset: mine\n  - _self_\n"
    "name: Sage\nrecipe: sage\ndataset: {repeats: 2}\n",
    "lora/sage/v1.yaml": "# @package _global_\ndefaults: [/lora/sage, _self_]\nnetwork: {rank: 3}\n",
    "dataset/mine.yaml": "defaults: [fuzzybear, _self_]\nrepeats: 1\n",
    "sweeps/narrow.yaml": "# @package _global_\ndefaults:\n  - _self_\n  - override /hydra/sweeper: optuna\n"
    "hydra:\n  sweeper:\n    n_trials: 2\n    plots: false\n    params: {network.rank: 'choice(2, 3)'}\n",
}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with a recipe with one documented version, a dataset and a sweep of somebody's own."""
    for name, text in OWN.items():
        file = tmp_path / "my_conf" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def test_recipes_datasets_and_sweeps_of_ones_own_stand_beside_the_shipped_ones(program: Path, own: Path) -> None:
    line = ["train", "--config-dir", "my_conf", "lora=sage", *SHORT]
    search = [*line, "-m", "sweeps=narrow", "objective=train/loss", "hydra/launcher=lanes", "hydra.launcher.n_jobs=1"]
    done = run(program, own, *search)
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(path.read_text()) for path in sorted((own / "outputs" / "sage").glob("v*/record.json"))]
    assert [(record["version"], record["status"]) for record in records] == [(2, "complete"), (3, "complete")]
    assert all(record["trial"] for record in records) and "again     lorasweep train" in done.stdout


def test_the_help_and_what_was_meant_know_them(program: Path, own: Path) -> None:
    told = run(program, own, "train", "--help", "--config-dir", "my_conf").stdout
    assert "sage" in told and "mine" in told and "narrow" in told and "lorasweep train lora=food" in told
    refused = run(program, own, "train", "--config-dir", "my_conf", "lora=sgae", "dataset=mien", "sweeps=narow")
    assert refused.returncode == 2
    assert "did you mean sage?" in refused.stderr and "did you mean mine?" in refused.stderr
    given_way = run(program, own, "train", "--config-dir", "my_conf", "lora=sage", "dataset=mine", "dry_run=true")
    assert "dataset=mine brings dataset.repeats=1 instead of 2 (lora/sage)" in given_way.stdout
