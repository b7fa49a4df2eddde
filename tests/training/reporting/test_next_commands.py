"""What a complete version tells its user to type is typed, and does what it says."""

import shlex
from pathlib import Path

import pytest

from lorasweep.commands import cli
from lorasweep.compose.composition import compose, load_config
from lorasweep.families.identity import Identity
from lorasweep.families.shipped import BASE_PATH
from lorasweep.schema import Config
from lorasweep.training.reporting.next_commands import after_training

TOY = Identity("toy", "toy_v1", "toy", published=False)
SDXL = Identity("sdxl", "sdxl_base_v1-0", "stable-diffusion-xl-v1-base")

pytestmark = pytest.mark.usefixtures("composed_configs", "elsewhere")


def typed(command: str) -> Config:
    """Return what a printed `python train.py ...` comes to."""
    program, script, *line = shlex.split(command)
    assert (program, script) == ("python", "train.py")
    return load_config(line)


@pytest.mark.parametrize(
    "line",
    [
        [],
        ["lora=food/v8", "preset=quality", "seed=7"],
        ["lora=custom", "name=Sage Bear", "dataset.path=my set (1)", "dataset.trigger=it's, so", "network.rank=4"],
        ["lora=robots", "output_root=out put", "optimizer=prodigy", "network=loha", "sampling.prompts=[{trigger}, a]"],
    ],
    ids=" ".join,
)
def test_another_version_is_the_same_but_for_its_rank(line: list[str], tmp_path: Path) -> None:
    (tmp_path / "my set (1)").mkdir()
    config = load_config(line)
    found = after_training(config, line, tmp_path / "Sage_v1.safetensors", base=TOY)
    again = typed(found["another version"])
    assert again.network.rank == 2 * config.network.rank
    again.network.rank = config.network.rank
    assert again == config
    assert "use it" not in found, "no other program loads a LoRA of the toy"


def test_the_verbs_are_those_of_the_program(tmp_path: Path) -> None:
    config = load_config(["name=Sage Bear", "output_root=out put"])
    command = after_training(config, [], tmp_path / "x", base=TOY)["all versions"]
    program, *arguments = shlex.split(command)
    assert program == "lorasweep" and arguments == ["versions", "sage_bear", "--output-root", "out put"]
    assert cli._parser().parse_args(arguments).name == "sage_bear"


def test_where_a_file_goes_and_a_lora_on_a_full_fine_tune(tmp_path: Path) -> None:
    config, file = load_config(["lora=humanoid", "output_root=out"]), tmp_path / "Humanoid_v1.safetensors"
    found = after_training(config, ["lora=humanoid"], file, base=TOY)
    assert list(found) == ["all versions", "a LoRA on it"]
    on_it = compose(shlex.split(found["a LoRA on it"])[2:])
    assert (on_it.base_model.path, on_it.base_model.config_path) == (str(file), str(BASE_PATH))
    assert (on_it.output_root, on_it.base_model.resolution, on_it.recipe) == ("out", 64, "fuzzybear")
    config.base_model.path = "stabilityai/stable-diffusion-xl-base-1.0"
    found = after_training(config, [], file, base=SDXL)
    assert found["use it"] == f"copy {file} to ComfyUI/models/checkpoints/"
    assert compose(shlex.split(found["a LoRA on it"])[2:]).base_model.resolution == 1024
