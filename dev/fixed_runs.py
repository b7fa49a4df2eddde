"""Trainings that must come out the same before and after a change that is to change nothing.

    .venv/bin/python dev/fixed_runs.py record /tmp/before     # then change the code
    .venv/bin/python dev/fixed_runs.py record /tmp/after
    .venv/bin/python dev/fixed_runs.py compare /tmp/before /tmp/after

What is compared, bit for bit: weights, states, samples, metrics and records, but for times and what names the program.
Both must be recorded on the same machine. Some minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from safetensors import safe_open

ROOT = Path(__file__).resolve().parents[1]
SHORT = (
    "training.max_steps=24 dataset.repeats=3 sampling.steps=4 evaluation.timesteps=4 evaluation.max_images=4 "
    "training.keep_epochs=null training.keep_state=true tracker=none"
)
MASKED = "dataset.path=photos dataset.mask_path=masks dataset.trigger=fortnite_fuzzy_bear_character"
RUNS = {
    "lora": f"lora=fuzzybear {SHORT}",
    "longer": "lora=fuzzybear resume=v6 training.max_steps=30 tracker=none",
    "full": f"lora=fuzzybear network=full {SHORT}",
    "convolutions": f"lora=fuzzybear network=convolutions {SHORT}",
    "lokr": f"lora=fuzzybear network=lokr {SHORT}",
    "preservation": f"lora=fuzzybear loss=preservation loss.preservation_class=humanoid {MASKED} {SHORT}",
    "processes": f"lora=fuzzybear training.batch_size=4 {SHORT}",
    "study": f"-m hydra/sweeper=optuna hydra.sweeper.n_trials=4 hydra.sweeper.sampler.seed=1 {SHORT}",
}
TIMES = (
    "seconds",
    "started",
    "finished",
    "environment",
    "multirun",
    "time/",
    "modelspec.date",
    "ss_session",
    "ss_training_",
)
"""Beginnings of the keys that two runs of the same program do not share."""
DRAWN = ("curves.png", "timeline.png")
"""Pictures of figures that are compared, and of times."""


def main() -> int:
    """Record, or compare; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("verb", choices=("record", "compare"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("other", type=Path, nargs="?")
    options = parser.parse_args()
    if options.verb == "record":
        record(options.folder.absolute())
        return 0
    if options.other is None:
        parser.error("compare needs two folders")
    before, after = contents(options.folder), contents(options.other)
    found = list(differences(before, after))
    print("\n".join(found) or f"{len(before)} files are equal")
    return int(bool(found))


def record(folder: Path) -> None:
    """Train all runs in a new folder.

    Raises:
        subprocess.CalledProcessError: one failed; what it printed is shown.
    """
    folder.mkdir(parents=True)
    for name, line in RUNS.items():
        home = folder / ("lora" if name == "longer" else name)  # it goes on from there
        home.mkdir(exist_ok=True)
        if "photos" in line:
            _draw(home)
        print(name, flush=True)
        _run([*_program(2 if name == "processes" else 1), *line.split()], home)


def contents(folder: Path) -> dict[str, Any]:
    """Return what is to be equal of each file below a folder."""
    read = {".safetensors": _tensors, ".json": _json, ".jsonl": _rows, ".png": _pixels}
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in read and ".cache" not in path.parts]
    return {str(path.relative_to(folder)): read[path.suffix](path) for path in files if path.name not in DRAWN}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each file that is missing or other."""
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            yield f"{name}: only {'before' if name in before else 'after'}"
        elif before[name] != (now := _as_before(before[name], after[name])):
            yield f"{name}: {_where(before[name], now)}"


def _as_before(before: Any, after: Any) -> Any:
    """Return `after` without the keys of its config that are new, which may be added; one that is lost is found."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return after
    return after | {
        key: _known(before[key], after[key]) for key in ("config", "lorasweep.config") if key in before and key in after
    }


def _known(one: Any, other: Any) -> Any:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return other
    return {key: _known(one[key], other[key]) for key in other if key in one}


def _where(one: Any, other: Any) -> str:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [key for key in one.keys() | other.keys() if one.get(key) != other.get(key)]
        return ", ".join(sorted(map(str, keys))[:5])
    return "other"


def _program(processes: int) -> list[str]:
    if processes == 1:
        return [sys.executable, str(ROOT / "train.py")]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", f"--num_processes={processes}"]
    return [*launch, "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no", str(ROOT / "train.py")]


def _run(command: list[str], folder: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_CONFIG_FILE": ""}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:])
        done.check_returncode()


def _draw(folder: Path) -> None:
    """Draw eight bears, and masks of which half counts."""
    draw = [sys.executable, "-m", "lorasweep.commands.cli", "themes", ".", "--theme", "fuzzybear"]
    subprocess.run(draw, cwd=folder, check=True, capture_output=True)
    (folder / "fuzzybear").rename(folder / "photos")
    (folder / "masks").mkdir()
    for path in (folder / "photos").glob("*.png"):
        mask = Image.new("L", (64, 64))
        ImageDraw.Draw(mask).rectangle((0, 0, 63, 31), fill=255)
        mask.save(folder / "masks" / path.name)


def _tensors(path: Path) -> dict[str, Any]:
    with safe_open(path, "pt") as file:
        metadata = {key: text for key, text in (file.metadata() or {}).items() if not key.startswith(TIMES)}
        if "lorasweep.config" in metadata:
            metadata["lorasweep.config"] = json.loads(metadata["lorasweep.config"])
        return metadata | {key: file.get_tensor(key).numpy(force=True).tobytes() for key in file.keys()}  # noqa: SIM118


def _json(path: Path) -> Any:
    return _timeless(json.loads(path.read_text()))


def _rows(path: Path) -> list[Any]:
    return [_timeless(json.loads(line)) for line in path.read_text().splitlines()]


def _pixels(path: Path) -> tuple[tuple[int, int], bytes]:
    with Image.open(path) as image:
        return image.size, image.tobytes()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(each) for key, each in value.items() if not key.startswith(TIMES)}
    return [_timeless(each) for each in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main())
