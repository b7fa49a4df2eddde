"""train.py itself: what it hands to the training, how it ends, and that a mistake starts nothing."""

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from lorasweep.app import launch
from lorasweep.compose import composition as compose
from lorasweep.errors import UserError
from lorasweep.schema import Config

ROOT = compose.CONF.parent


def train_py(folder: Path, *line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run train.py as a user does, with the training replaced by one line on stdout per version."""
    (folder / "sitecustomize.py").write_text(STAND_IN)
    path = f"{folder}:{ROOT / 'src'}"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": path, "HOME": str(folder), **environment}
    command = [sys.executable, str(ROOT / "train.py"), *line]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)


STAND_IN = """
import os, sys, types
stand_in = types.ModuleType("lorasweep.training")
def Job(config, overrides, choices, *, seen, began):
    return types.SimpleNamespace(**locals())
bases = set()
def run(job, opened):
    bases.add(opened)
    assert len(bases) == 1, "the base that one version loads is there for the next one of its process"
    config, overrides, choices, began = job.config, job.overrides, job.choices, job.began
    if config.seed != 7:  # those lanes run in processes of their own
        assert (began is None) == ("-m" in sys.argv), "several versions share a start"
    print(config.name, config.network.rank, overrides, choices["lora"], choices.get("preset"), sorted(choices)[0])
    if config.network.rank == 13:
        from lorasweep.errors import UserError
        raise UserError("rank 13 brings bad luck: choose another")
    if config.seed == 7:  # leave a record, as a training does
        from dataclasses import asdict
        from lorasweep import files
        from lorasweep.runs import ledger
        number, folder = ledger.open_version(config.output_root, config.name)
        objective = {"name": config.objective, "value": config.network.rank / 10, "direction": "minimize"}
        files.write_json(folder / "record.json", {
            "name": config.name, "version": number, "status": "complete", "config": asdict(config),
            "overrides": list(overrides), "objective": objective, "multirun": os.environ.get(ledger.MULTIRUN),
        })
    return 0.5
stand_in.run, stand_in.Job = run, Job
sys.modules["lorasweep.training"] = stand_in
import lorasweep
lorasweep.training = stand_in
import lorasweep.app
lorasweep.app.preview = sys.modules["lorasweep.app.preview"] = types.ModuleType("lorasweep.app.preview")
lorasweep.app.preview.show_data = lambda config: None
lorasweep.app.preview.show_all_data = lambda configs: None
"""


def test_a_run_gets_config_overrides_and_choices_and_leaves_no_files_of_hydra(tmp_path):
    done = train_py(tmp_path, "lora=food/v8", "network.rank=4")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Food (lora=food/v8) on the toy base",
        "optimizer.lr=8e-05 is the recipe's; this base learns well at about optimizer.lr=0.003",
        "Food 4 ['lora=food/v8', 'network.rank=4'] food/v8 None base_model",
    ]
    assert {path.name for path in tmp_path.iterdir()} <= {"sitecustomize.py", "__pycache__"}


def test_a_multirun_trains_each(tmp_path):
    done = train_py(tmp_path, "-m", "network.rank=4,13,8", "lora=food,animal")
    told, *versions = done.stdout.splitlines()
    assert told.startswith("optimizer.lr=8e-05 is the recipe's")
    assert [line.split()[:2] for line in versions] == [
        [name, rank] for rank in ("4", "13", "8") for name in ("Food", "Animal")
    ]
    assert done.returncode != 0  # the others were trained all the same
    assert "rank 13 brings bad luck" in done.stderr and "Traceback" not in done.stderr
    assert {path.name for path in (tmp_path / "outputs" / ".multirun").iterdir()} == {"multirun.yaml"}


@pytest.mark.parametrize("launcher", [["basic"], ["lanes", "hydra.launcher.n_jobs=1"]], ids=["basic", "lanes"])
def test_a_multirun_ends_with_its_versions_beside_each_other(tmp_path, launcher):
    line = ["seed=7", "output_root=made", f"hydra/launcher={launcher[0]}", *launcher[1:]]
    alone = train_py(tmp_path, *line[:2], "network.rank=2")  # no version of the multirun
    assert alone.stdout.count("FuzzyBear 2") == 1
    done = train_py(tmp_path, "-m", *line, "network.rank=4,13,8")
    rows = [row.split() for row in done.stdout.splitlines()]
    assert [row for row in rows if {"v6", "v7", "v8"} & set(row[:2])] == [
        ["*", "v7", "complete", "0.4000", "4"],
        ["v8", "complete", "0.8000", "8"],
    ], done.stdout + done.stderr
    assert done.returncode != 0 and "rank 13 brings bad luck" in done.stderr, "one that failed hides nothing"


def test_a_multirun_with_a_mistake_starts_nothing(tmp_path):
    done = train_py(tmp_path, "-m", "network.rank=4,0", "lora=food,animl", "optimzer.lr=1,2")
    assert (done.returncode, done.stdout) == (2, "")
    for expected in ("network.rank=0: expected at least 1", "did you mean animal?", "did you mean optimizer.lr="):
        assert done.stderr.count(expected) == (2 if "optimizer" in expected else 1), done.stderr
    assert not (tmp_path / "outputs").exists()


def test_a_mistake_ends_in_one_message_soon(tmp_path):
    started = time.monotonic()
    done = train_py(tmp_path, "lora=fod", "network.rank=0")
    assert time.monotonic() - started < 10  # 0.6 s on an idle machine; the rest is for a busy one
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == "This run cannot start (2 problems):"
    assert "did you mean food?" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "outputs").exists()


def test_hydra_full_error_shows_where(tmp_path):
    done = train_py(tmp_path, "network.rank=0", HYDRA_FULL_ERROR="1")
    assert done.returncode != 0 and "Traceback" in done.stderr and "network.rank=0: expected at least 1" in done.stderr


def test_code_of_others_is_refused_before_hydra_runs_it(tmp_path):
    callback = "+hydra.callbacks.x={_target_: pathlib.Path.touch, self: {_target_: pathlib.Path, _args_: [ran]}}"
    done = train_py(tmp_path, callback)
    assert done.returncode == 2 and "hydra.callbacks.x._target_=pathlib.Path.touch" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_showing_the_config_needs_no_sound_one_but_one_that_composes(tmp_path):
    done = train_py(tmp_path, "lora=custom", "--cfg", "job")
    assert done.returncode == 0 and "name: ???" in done.stdout
    done = train_py(tmp_path, "lora=costum", "--cfg", "job")
    assert done.returncode == 2 and "did you mean custom?" in done.stderr


def test_options_of_hydra_that_exclude_each_other(tmp_path):
    done = train_py(tmp_path, "-m", "network.rank=4,8", "--cfg", "job")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "-m and --cfg: expected one of them; a single version's line goes without -m" in done.stderr
    assert train_py(tmp_path, "network.rank=4", "--cfg", "job").returncode == 0


def test_own_config_folders(tmp_path):
    (tmp_path / "mine" / "lora").mkdir(parents=True)
    (tmp_path / "mine" / "lora" / "sage.yaml").write_text(
        "# @package _global_\ndefaults: [custom, _self_]\nname: Sage\n"
        f"dataset: {{path: '{tmp_path}', trigger: sage_character}}\nnetwork: {{rank: 3}}\n"
    )
    done = train_py(tmp_path, "--config-dir", "mine", "lora=sage")
    assert (done.stderr, done.stdout.splitlines()[-1].split()[:2]) == ("", ["Sage", "3"])
    done = train_py(tmp_path, "--config-dir", "yours", "lora=sage")
    assert done.returncode == 2 and "there is no such folder of configs" in done.stderr


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job as Hydra starts it, with a training that cannot go on."""

    def start(mode: RunMode) -> None:
        config = OmegaConf.structured(Config(name="Sage", output_root=str(tmp_path)))
        state = SimpleNamespace(
            overrides=SimpleNamespace(task=[], hydra=[]),
            runtime=SimpleNamespace(choices={}),
            job=SimpleNamespace(config_name="config"),
            mode=mode,
        )
        monkeypatch.setattr(HydraConfig, "get", staticmethod(lambda: state))
        monkeypatch.setattr(compose, "settle", settle)
        launch.TrainVersion()(config)

    def settle(*_: object) -> Config:
        raise UserError("the disk is full: free some space")

    return start


def test_a_users_error_in_a_run_exits_and_in_a_multirun_lets_the_others_go_on(job, capsys):
    with pytest.raises(SystemExit) as caught:
        job(RunMode.RUN)
    assert caught.value.code == 2
    assert capsys.readouterr().err == "This run cannot start (1 problem):\n  - the disk is full: free some space\n"
    with pytest.raises(CompactHydraException, match="the disk is full"):
        job(RunMode.MULTIRUN)
