"""What runs the commands of README and docs/, in the order of their page.

Trainings and searches are shortened, nothing else is changed. What needs hardware, a network, or more than a minute is
marked behind the fence (```sh gpu) and says so in words; it is composed, checked and not run.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from accelerate.commands.launch import launch_command_parser

from lorasweep.toy import build

from ..warm import Warm

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FIRST_PAGES = [page for page in PAGES if page.name in ("README.md", "first-lora.md", "your-images.md")]
ABOUT_SEARCHES = ("search.md", "review-a-study.md", "review-page.md", "many-machines.md")
SEARCH_PAGES = [page for page in PAGES if page.name in ABOUT_SEARCHES]
OTHER_PAGES = [page for page in PAGES if page not in FIRST_PAGES + SEARCH_PAGES]
MARKS = {  # what stands behind a fence: what the page says in words, in the block or just above it
    "gpu": "GPU|12, 24 or 80 GB",
    "minutes": "minutes|hour",
    "network": "network|download|install",
    "server": "Ctrl-C",
}
SHORT = {  # of a training
    "training.max_steps": "2",
    "sampling.steps": "1",
    "sampling.every_epochs": "1000",
    "evaluation.timesteps": "4",
    "evaluation.max_images": "2",
    "tracker": "none",
}
SHORT_SEARCH = {"hydra.sweeper.n_trials": "2", "hydra.sweeper.plots": "false"}
OF_HUMANOIDS = {"dataset.path": "photos/humanoids"}  # five in place of 1,486 drawings
STOPPED = {"dataset.repeats": "1", "training.max_steps": "24"}  # by Ctrl-C as soon as one epoch is done
PLACEHOLDER = re.compile(r"\.\.\.|…|\b[A-Z]{2,}\b|\bN\b|\bvN\b")
SUPPOSED = {  # what a page says that its reader has
    "review-a-study.md": "python train.py -m hydra/sweeper=optuna",
    "review-page.md": "python train.py -m hydra/sweeper=optuna",
}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: the first word behind the fence.
        marks: the other words there.
        text: what stands between the fences.
        before: the heading and the lines above it.
    """

    language: str
    marks: tuple[str, ...]
    text: str
    before: str

    @property
    def commands(self) -> list[list[str]]:
        """The commands, each split into words."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in re.finditer(r"^```(\w*)([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        before = text[: found.start()].rsplit("```", 1)[-1].splitlines()[-8:]
        yield Block(found[1], tuple(found[2].split()), found[3], "\n".join(before))


def inline(page: Path) -> list[list[str]]:
    """Return the whole commands among a page's `code`."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    texts = [found.replace("\n", " ") for found in re.findall(r"`([^`]+)`", prose)]
    whole = [text for text in texts if re.match(r"(python|lorasweep|make|accelerate) ", text)]
    return [shlex.split(text) for text in whole if not PLACEHOLDER.search(text)]


def run_all(page: Path, place: Path, warm: Warm) -> None:
    """Run or check every command of a page."""
    if page.name in SUPPOSED:
        run(shlex.split(SUPPOSED[page.name]), place, warm)
    found = [(block, words) for block in blocks(page) if block.language == "sh" for words in block.commands]
    trained = [words for block, words in found if words[:2] == ["python", "train.py"] and not block.marks]
    resumed = next((i for i, words in enumerate(trained) if "resume=latest" in words), None)
    for block, words in found:
        if block.marks:
            check(words, place, warm)
        elif resumed is not None and words == [w for w in trained[:resumed] if "dry_run=true" not in w][-1]:
            stop(words, place, warm)
        else:
            run(words, place, warm)
    for words in inline(page):
        check(words, place, warm)


def run(words: list[str], place: Path, warm: Warm) -> None:
    """Run a command of a page, a training shortened."""
    match words:
        case ["python", "train.py", *_]:
            end_well(shortened(words), place, warm)
        case ["python", *_] | ["lorasweep", *_]:
            end_well([re.sub(r"^1486$", "2", word) for word in words], place, warm)
        case _:
            check(words, place, warm)


def stop(words: list[str], place: Path, warm: Warm) -> None:
    """Begin a training of a page and press Ctrl-C."""
    done = warm.run(shortened(words, STOPPED), place, interrupted_at="outputs/*/v*/*_v?.safetensors")
    assert "interrupted" in done.stdout and "resume=v" in done.stdout, done.stdout + done.stderr


def check(words: list[str], place: Path, warm: Warm) -> None:
    """Hold a command against what it calls, without what it takes minutes, hardware or a network for."""
    match words:
        case ["python", "train.py", *line] if line[-1:] in (["--help"], ["dry_run=true"]):
            end_well(words, place, warm)
        case ["python", "train.py", *line]:  # all of it is checked, only then is this refused
            done = warm.run(["python", "train.py", "-m", *line, "dry_run=true"], place)
            assert "(1 problem):\n  - dry_run=true looks at one version" in done.stderr, shlex.join(words) + done.stderr
        case ["python", benchmark]:
            assert (ROOT / benchmark).is_file()
        case ["accelerate", "launch", "--multi_gpu"]:  # as it is spoken of
            pass
        case ["accelerate", "launch", *rest]:
            options = launch_command_parser().parse_args(rest)
            check(["python", options.training_script, *options.training_script_args], place, warm)
        case ["python", "-m", "lorasweep.toy.build", *line]:
            with contextlib.chdir(place):
                build.parse_arguments(line)
        case ["cp", "-r", source, copy]:
            shutil.copytree(place / source, place / copy)
        case ["make", target]:
            assert subprocess.run(["make", "-n", target], cwd=place, capture_output=True).returncode == 0
        case ["lorasweep", verb, *_]:
            end_well(["lorasweep", verb, "--help"], place, warm)
        case ["source", ".venv/bin/activate"]:
            made = subprocess.run(["make", "-n", "demo"], cwd=place, check=True, capture_output=True, text=True)
            assert "-m venv .venv" in made.stdout
        case ["pip", "install", "optuna-dashboard"]:
            pass
        case ["pip", "install", package]:
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            assert package in {f"lorasweep[{extra}]" for extra in extras}
        case ["optuna-dashboard", journal, "--artifact-dir", folder]:
            assert (place / journal).is_file() and (place / folder).is_dir()
        case _:
            raise AssertionError(f"nothing knows how to check: {shlex.join(words)}")


def end_well(words: list[str], place: Path, warm: Warm) -> None:
    done = warm.run(words, place)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    assert "Traceback" not in done.stdout + done.stderr


def shortened(words: list[str], other: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Return a training's command with fewer steps, or a search's with fewer trials, or with `other` values."""
    if any(re.match(r"resume=|dry_run=|--", word) for word in words):
        return words
    is_search = any(word.startswith(("hydra/sweeper=", "sweeps=")) for word in words)
    short = SHORT | (SHORT_SEARCH if is_search else {}) | dict(other)
    short |= OF_HUMANOIDS if "lora=humanoid" in words else {}
    kept = [word for word in words if word.partition("=")[0] not in short]
    return [*kept, *(f"{key}={value}" for key, value in short.items())]
