"""The script for the day with a GPU, on a machine without one: a pretended Python notes what it is told to run."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from lorasweep.compose.composition import load_config
from lorasweep.families.shipped import BASE_PATH

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "gpu_day.sh"
PYTHON = """#!/bin/bash
printf '%q ' "$@" >>"$NOTES"; echo >>"$NOTES"
for word in "$@"; do
  case $word in
    output_root=*) mkdir -p "${word#*=}/fuzzybear/v6/state"; touch "${word#*=}/fuzzybear/v6/state/step.safetensors" ;;
  esac
done
[ -z "${FAILS:-}" ] || [[ " $* " != *" $FAILS "* ]]
"""


@pytest.mark.usefixtures("composed_configs")
def test_it_goes_on_where_it_stopped_and_every_command_is_one_that_the_program_takes(tmp_path: Path) -> None:
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, text in {"python": PYTHON, "accelerate": PYTHON, "nvidia-smi": "#!/bin/bash\necho 'GPU 0: x'\n"}.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    notes = tmp_path / "notes"
    environment = {"PATH": f"{commands}:{os.environ['PATH']}", "NOTES": str(notes), "DAY": str(tmp_path / "day")}
    environment |= {"PYTHON": str(commands / "python"), "SDXL": str(BASE_PATH)}

    def start(**more: str) -> tuple[int, list[str], list[str]]:
        """Return the exit code, what was said and the commands."""
        notes.write_text("")
        done = subprocess.run([SCRIPT], env=environment | more, capture_output=True, text=True)
        return done.returncode, done.stdout.splitlines(), notes.read_text().splitlines()

    code, said, ran = start(FAILS="training.mixed_precision=bf16")
    assert code == 1
    assert [line for line in said if line.startswith("FAILED")] == [
        f"FAILED       toy-bf16: {tmp_path}/day/toy-bf16.log"
    ]
    trainings = [shlex.split(line)[1:] for line in ran if line.startswith("train.py") and "resume=" not in line]
    distinct = {tuple(word for word in overrides if not word.startswith("output_root=")) for overrides in trainings}
    assert len(distinct) > 25
    for overrides in distinct:
        load_config(overrides)
    for script in {line.split()[0] for line in ran} - {"train.py", "-"}:
        assert (SCRIPT.parent.parent / script).exists()
    code, said, ran = start()
    assert code == 0 and len(ran) == 1 and "training.mixed_precision=bf16" in ran[0]
    code, said, ran = start()
    assert code == 0 and not ran and all(line.startswith("done before") for line in said)
