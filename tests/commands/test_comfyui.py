"""`lorasweep comfyui`: what is written and copied, and what is refused in words."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from lorasweep.commands import cli
from lorasweep.runs.record import BaseRecord, Epoch, Record

HUB = "someone/her-sdxl"


@pytest.fixture
def comfyui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ComfyUI's folder; the working directory has versions."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ComfyUI" / "models" / "loras").mkdir(parents=True)
    return tmp_path / "ComfyUI"


def version(name: str = "Bear", number: int = 6, **base: Any) -> Record:
    """Write a version of two epochs with weights files of some bytes."""
    folder = Path("outputs", name.lower(), f"v{number}")
    config = {
        "base_model": {"path": "models/base.safetensors"} | base,
        "dataset": {"trigger": "my_bear", "resolution": 1024},
        "network": {"type": "lora"},
        "sampling": {"prompts": ["{trigger}, red hat", "a dog"], "seeds": [0, 1], "steps": 20, "guidance": 5.0},
    }
    record = Record(folder, name, number, config=config, base=BaseRecord("sdxl"), selected_epoch=2)
    record.epochs = [Epoch(epoch, file=f"{record.stem}-{epoch:06d}.safetensors") for epoch in (1, 2)]
    folder.mkdir(parents=True)
    record.write()
    for epoch in record.epochs:
        (folder / str(epoch.file)).write_bytes(f"epoch {epoch.epoch}".encode())
    (folder / f"{record.stem}.safetensors").write_bytes(b"epoch 2")
    return record


def run(line: str) -> int:
    return cli.main(["comfyui", *shlex.split(line)])


def test_workflow_and_weights_are_written_once(comfyui: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = version()
    for copied in (True, False):  # the second time the same file is there already
        assert run("v6 --comfyui ComfyUI --strengths 0 0.8 --json") == 0
        said = capsys.readouterr()
        assert ("copied" in said.err) == copied
        answer = json.loads(said.out)
        assert answer["pictures"] == 8 and answer["packs"] == []
        assert answer["notes"] == ["needs models/checkpoints/base.safetensors"]
    assert (comfyui / "models/loras/Bear_v6.safetensors").read_bytes() == b"epoch 2"
    prompt = json.loads(Path(answer["api"]).read_text())
    texts = {node["inputs"]["text"] for node in prompt.values() if node["class_type"] == "CLIPTextEncode"}
    assert texts == {"my_bear, red hat", "a dog", ""}
    assert json.loads((record.folder / "comfyui" / "Bear_v6.json").read_text())["version"] == 0.4


def test_an_epoch_and_a_helper_are_copied_under_their_names(comfyui: Path) -> None:
    version()
    Path("nice_hands.safetensors").write_bytes(b"hands")
    Path("face.png").write_bytes(b"face")
    assert run("v6@1 --comfyui ComfyUI --helper nice_hands.safetensors:0.5 --ip-adapter face.png:0.7 --out here") == 0
    assert (comfyui / "models/loras/Bear_v6-000001.safetensors").read_bytes() == b"epoch 1"
    assert (comfyui / "models/loras/nice_hands.safetensors").read_bytes() == b"hands"
    assert (comfyui / "input/face.png").read_bytes() == b"face"
    nodes = json.loads(Path("here/Bear_v6-000001_api.json").read_text()).values()
    loras = [node["inputs"] for node in nodes if node["class_type"] == "LoraLoader"]
    assert [(one["lora_name"], one["strength_model"]) for one in loras] == [
        ("nice_hands.safetensors", 0.5),
        ("Bear_v6-000001.safetensors", 0.8),  # less beside a picture that is followed
    ]


def test_another_file_is_never_written_over(comfyui: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version()
    theirs = comfyui / "models/loras/Bear_v6.safetensors"
    theirs.write_bytes(b"another")
    assert run("v6 --comfyui ComfyUI --helper absent.safetensors") == 2
    said = capsys.readouterr().err
    assert "is another file than" in said and "absent.safetensors: neither a file here nor in" in said
    assert theirs.read_bytes() == b"another" and not Path("outputs/bear/v6/comfyui").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("v9", "outputs has bear v6"),
        ("v6@5", "there is v6@1, v6@2"),
        ("v6 --comfyui outputs", "expected ComfyUI's folder"),
        ("v6 --output-root nowhere", "no version: train one first, or give --output-root"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(
    comfyui: Path, capsys: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    version()
    assert run(line) == 2
    assert said in capsys.readouterr().err


def test_of_two_loras_one_is_named(comfyui: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version()
    version("Robot")
    assert run("v6") == 2
    assert "--name bear or --name robot" in capsys.readouterr().err
    assert run("v6 --name robot") == 0


def test_a_base_without_a_single_file_is_named(comfyui: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version(path=HUB, vae_path="someone/vae")
    assert run("v6") == 2
    said = capsys.readouterr().err
    assert "give --base FILE" in said and "give --vae FILE" in said
    assert run("v6 --base hers.safetensors --vae vae.safetensors") == 0
    nodes = json.loads(Path("outputs/bear/v6/comfyui/Bear_v6_api.json").read_text()).values()
    names = {node["class_type"]: node["inputs"] for node in nodes}
    assert names["CheckpointLoaderSimple"]["ckpt_name"] == "hers.safetensors"
    assert names["VAELoader"]["vae_name"] == "vae.safetensors"


def test_the_toys_lora_is_said_to_be_of_no_use(comfyui: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version(path=None)
    assert run("v6") == 0
    assert "the toy base is in no ComfyUI" in capsys.readouterr().out


def test_no_prompts_are_asked_for(comfyui: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = version()
    record.config["sampling"]["prompts"] = []
    record.write()
    assert run("v6") == 2
    assert "--prompt TEXT" in capsys.readouterr().err
    assert run("v6 --prompt '{trigger} on a bench' --seeds 3") == 0
