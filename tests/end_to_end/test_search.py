"""`python train.py -m hydra/sweeper=optuna` as its user runs it, what it leaves to review, and how it is resumed."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from omegaconf import OmegaConf
from optuna.trial import TrialState

from lorasweep.checks.measures import measured
from lorasweep.schema import Config
from lorasweep.schema.measures import METRICS
from lorasweep.search.storage import open_storage

from ..warm import Child, Warm

ROOT = Path(__file__).resolve().parents[2]
BINARIES = Path(sys.executable).parent
SHORT = [
    "dataset.repeats=1",
    "training.epochs=3",
    "training.max_steps=9",
    "evaluation.timesteps=4",
    "evaluation.max_images=4",
    "tracker.tensorboard=false",
    "hydra.sweeper.plots=false",
]
FEW_SAMPLES = ["sampling.steps=2", "sampling.every_epochs=1000"]
NO_SAMPLES = "sampling.every_epochs=0"
REPEATED = ["hydra.sweeper.n_trials=4", "tracker.wandb.mode=offline", "hydra.sweeper.repeats=2",
            "hydra.sweeper.finalists=1"]  # fmt: skip
SPACE = ["optimizer.lr=tag(log,interval(1e-4,1e-2))", "network.rank=2,4", "hydra.sweeper.sampler.seed=5"]


def command(root: Path, *line: str) -> list[str]:
    short = SHORT if NO_SAMPLES in line else [*SHORT, *FEW_SAMPLES]
    return ["python", "train.py", "-m", "hydra/sweeper=optuna", f"output_root={root}", *short, *line]


def search(warm: Warm, root: Path, *line: str) -> str:
    """Run a search from the command line, which must end well. Return what it prints."""
    done = warm.run(command(root, *line), ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def study_in(root: Path, name: str = "fuzzybear") -> optuna.Study:
    storage = open_storage(f"{root}/studies/{name}/journal.log")
    return optuna.load_study(study_name=name, storage=storage)


def record_of(root: Path, version: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "fuzzybear" / f"v{version}" / "record.json").read_text())
    return found


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search")


@pytest.fixture(scope="module")
def output(root: Path, warm: Warm) -> str:
    return search(warm, root, *SPACE, *REPEATED)


def test_every_trial_is_a_version(root: Path, output: str) -> None:
    trials = study_in(root).trials
    assert [t.number for t in trials] == [0, 1, 2, 3]
    for trial in trials:
        record = record_of(root, 6 + trial.number)
        assert record["trial"] == {"study": "fuzzybear", "number": trial.number}
        assert record["config"]["optimizer"]["lr"] == trial.params["optimizer.lr"]
        assert record["config"]["network"]["rank"] == trial.params["network.rank"]
        assert trial.user_attrs["folder"] == str(root / "fuzzybear" / f"v{6 + trial.number}")
        if trial.state is TrialState.COMPLETE:
            assert record["status"] == "complete" and record["objective"]["value"] == trial.value
            assert trial.intermediate_values == {e["step"]: e["metrics"]["val/loss_ratio"] for e in record["epochs"]}
        else:
            assert record["status"] == "pruned" and record["reason"] == trial.user_attrs["reason"]
            assert record["epochs"][-1]["step"] < 9
    # All trials are measured on common ground: one base, one held-out set, one noise.
    assert len({json.dumps(record_of(root, n)["metrics"]["base"], sort_keys=True) for n in range(6, 10)}) == 1
    assert len({record_of(root, n)["config"]["seed"] for n in range(6, 10)}) == 1


def test_the_finalist_is_trained_again_under_another_seed(root: Path, output: str) -> None:
    study = study_in(root)
    storage = open_storage(f"{root}/studies/fuzzybear/journal.log")
    (again,) = optuna.load_study(study_name="fuzzybear:finals", storage=storage).trials
    winner = min((t for t in study.trials if t.state is TrialState.COMPLETE), key=lambda t: t.value)
    assert again.params == winner.params and again.state is TrialState.COMPLETE
    record = json.loads((Path(again.user_attrs["folder"]) / "record.json").read_text())
    assert record["config"]["seed"] == 43 and again.value != winner.value


def test_what_the_user_reads(root: Path, output: str, warm: Warm) -> None:
    assert "4/4 done" in output and "every trial trains FuzzyBear for 9 steps" in output
    best = output[output.index("best  ") :]
    folder = Path(best.splitlines()[0].rpartition(" in ")[2])
    assert (folder / "record.json").exists() and str(folder).startswith(str(root))
    assert "again     python train.py" in best and "continue  python train.py lora=fuzzybear resume=v" in best
    done = warm.run(["lorasweep", "study", "fuzzybear", "--json", "--output-root", str(root)], ROOT)
    told = json.loads(done.stdout)
    assert told["study"] == "fuzzybear" and told["directions"] == ["minimize"]
    assert {row["version"] for row in told["trials"]} == {f"FuzzyBear v{n}" for n in range(6, 10)}
    assert set(told["trials"][0]) == {"number", "version", "state", "values", "params", "seconds", "reason"}


def test_what_is_said_to_be_measured_is(root: Path, output: str) -> None:
    config = OmegaConf.merge(OmegaConf.structured(Config), record_of(root, 6)["config"])
    known = study_in(root).trials[0].user_attrs["metrics"]
    promised = {*measured(OmegaConf.to_object(config)), "steps"}  # type: ignore[arg-type]
    assert promised <= set(known)
    describing = [metric for metric in METRICS if METRICS[metric].descriptive]
    beyond = [
        name for name in known if not any(name == one or name.startswith(f"{one}_") for one in (*promised, *describing))
    ]
    assert not beyond, "intervals, differences and counts have the name of their metric before them"


def test_the_command_printed_for_the_best_trains_it_again(root: Path, output: str, tmp_path: Path, warm: Warm) -> None:
    line = next(line for line in output.splitlines() if line.startswith("again"))
    words = shlex.split(line.partition("train.py")[2])
    done = warm.run(["python", "train.py", *words, "tracker=none", f"output_root={tmp_path}"], ROOT)
    assert done.returncode == 0, done.stderr
    best = min((t for t in study_in(root).trials if t.state is TrialState.COMPLETE), key=lambda t: t.value)
    assert json.loads((tmp_path / "fuzzybear" / "v6" / "record.json").read_text())["objective"]["value"] == best.value


def test_wandb_has_every_trial_and_best_is_the_best(root: Path, output: str) -> None:
    best, groups = [], set()
    for record in root.glob("fuzzybear/v*/record.json"):
        trial = json.loads(record.read_text())["trial"]
        for run in sorted(record.parent.glob("wandb/offline-run-*")):
            file = next(run.glob("*.wandb"))
            text = subprocess.run(
                [str(BINARIES / "wandb"), "leet", "inspect", "--json", str(file)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            groups |= {group for group in ("fuzzybear", "fuzzybear:finals") if f'"{group}"' in text}
            assert "trial" in text and "optimizer" in text
            if '"best"' in text:
                best.append(record.parent)
        assert trial is not None
    assert {str(folder) for folder in best} == {
        line.rpartition(" in ")[2] for line in output.splitlines() if line.startswith("best  ")
    }
    assert "fuzzybear" in groups


def test_the_command_that_trains_the_best_for_longer_leaves_the_studys_best_as_it_is(
    root: Path, output: str, warm: Warm
) -> None:
    line = next(line for line in output.splitlines() if line.startswith("continue"))
    best = Path(next(line for line in output.splitlines() if line.startswith("best  ")).rpartition(" in ")[2])
    before = {path: path.read_bytes() for path in best.rglob("*") if path.suffix in (".json", ".safetensors", ".png")}
    done = warm.run(["python", *shlex.split(line.partition("python ")[2])], ROOT)
    assert done.returncode == 0, done.stderr
    assert len(before) > 2 and {path: path.read_bytes() for path in before} == before
    newest = max((root / "fuzzybear").glob("v*"), key=lambda folder: int(folder.name[1:]))
    record = json.loads((newest / "record.json").read_text())
    assert record["continued_from"] == {"version": int(best.name[1:]), "step": 9} and not record.get("trial")
    assert record["epochs"][-1]["step"] == 18


def test_the_same_command_again_trains_nothing(root: Path, output: str, warm: Warm) -> None:
    before = sorted(root.glob("fuzzybear/v*"))
    search(warm, root, *SPACE, *REPEATED)
    assert sorted(root.glob("fuzzybear/v*")) == before


def test_a_version_that_falls_behind_is_stopped_and_recorded(tmp_path: Path, warm: Warm) -> None:
    search(warm, tmp_path, "network.rank=choice(2)", "tracker=none", NO_SAMPLES, "hydra.sweeper.n_trials=1",
           "hydra/sweeper/pruner=threshold", "hydra.sweeper.pruner.upper=0.1")  # fmt: skip
    (trial,) = study_in(tmp_path).trials
    record = record_of(tmp_path, 6)
    assert trial.state is TrialState.PRUNED and record["status"] == "pruned"
    assert "ThresholdPruner" in record["reason"] and trial.user_attrs["reason"] == record["reason"]
    assert [entry["step"] for entry in record["epochs"]] == [4]  # stopped within a step of the first report
    assert (tmp_path / "fuzzybear" / "v6" / "FuzzyBear_v6.safetensors").exists()


def wait_for(condition: Callable[[], bool], process: Child) -> None:
    """Wait until `condition` holds; fail if the process ends before."""
    while not condition():
        assert process.poll() is None, "the search ended before it could be killed"
        time.sleep(0.05)


KILLED = [
    "network.rank=2,4",
    "hydra/sweeper/sampler=grid",
    "hydra/sweeper/pruner=none",
    "hydra.sweeper.study_name=killed",
    "tracker=none",
    "training.epochs=12",
    "training.max_steps=36",
    NO_SAMPLES,
]


def test_a_killed_search_goes_on_where_it_was(tmp_path: Path, warm: Warm) -> None:
    process = warm.start(command(tmp_path, *KILLED), ROOT)
    wait_for(lambda: (tmp_path / "fuzzybear" / "v6" / "FuzzyBear_v6-000003.safetensors").exists(), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert record_of(tmp_path, 6)["status"] == "running"
    output = search(warm, tmp_path, *KILLED)
    assert "goes on as trial 1" in output
    trials = study_in(tmp_path, "killed").trials
    assert [t.state.name for t in trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert trials[1].params == trials[0].params and trials[1].user_attrs["retry_of"] == 0
    assert "is gone" in trials[0].user_attrs["reason"]
    again = record_of(tmp_path, 7)
    assert again["continued_from"]["version"] == 6 and again["continued_from"]["step"] > 0
    assert [entry["step"] for entry in again["epochs"]] == list(range(4, 37, 4))


def test_an_interrupted_search_goes_on_where_it_was(tmp_path: Path, warm: Warm) -> None:
    process = warm.start(command(tmp_path, *KILLED, "hydra/launcher=lanes", "hydra.sweeper.n_jobs=2"), ROOT)
    metrics = [tmp_path / "fuzzybear" / f"v{n}" / "metrics.jsonl" for n in (6, 7)]
    wait_for(lambda: all(m.exists() and "val/loss_ratio" in m.read_text() for m in metrics), process)  # type: ignore[arg-type]
    process.send_signal(signal.SIGINT)
    done = process.wait()
    output = done.stdout + done.stderr
    assert done.returncode == 130, output
    assert "the same command goes on" in output and "Traceback" not in output
    assert {record_of(tmp_path, n)["status"] for n in (6, 7)} == {"interrupted"}
    search(warm, tmp_path, *KILLED)
    trials = study_in(tmp_path, "killed").trials
    assert [t.state.name for t in trials] == ["FAIL", "FAIL", "COMPLETE", "COMPLETE"]
    assert {record_of(tmp_path, n)["continued_from"]["version"] for n in (8, 9)} == {6, 7}
