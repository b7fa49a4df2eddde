"""Folders and images whose names are in no known encoding, as archives from other systems leave them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from safetensors import safe_open

from lorasweep.data.providers import write_set
from lorasweep.families.sdxl.model import SDXL
from lorasweep.runs import ledger
from lorasweep.schema import Config

from ..training_on import run


def test_a_folder_of_any_name_is_trained_resumed_and_told(
    short_config: Config, toy_base: SDXL, tmp_path: Path, capsys
) -> None:
    name = os.fsdecode(b"caf\xe9")
    photos = write_set("robots", tmp_path / name / f"2_{name} robot", count=4).parent
    (photos / f"2_{name} robot" / "001.png").rename(photos / f"2_{name} robot" / f"{name}.png")
    (photos / f"2_{name} robot" / "001.txt").rename(photos / f"2_{name} robot" / f"{name}.txt")
    (photos / f"{name}.png").write_bytes(b"")
    (photos / f"{name}.txt").write_text("a robot")
    short_config.dataset.path, short_config.dataset.theme, short_config.dataset.on_bad_file = str(photos), None, "skip"
    short_config.training.max_steps, short_config.tracker.tensorboard = 2, True
    line = ["lora=custom", f'dataset.path="{photos}"']
    run(short_config, overrides=line, base=toy_base)
    short_config.resume, short_config.training.max_steps = "latest", 4
    run(short_config, overrides=line, base=toy_base)

    *_, version = ledger.versions(short_config.output_root)  # a longer training is a new version
    assert version.record.status == "complete"
    assert version.record.dataset.path == str(photos)
    (skipped,) = version.record.dataset.skipped
    assert skipped.endswith("caf\\xe9.png: is empty (0 bytes): copy it again or delete it")
    with safe_open(version.folder / f"FuzzyBear_v{version.number}.safetensors", "pt") as weights:
        metadata = weights.metadata()
    assert list(json.loads(metadata["ss_tag_frequency"])) == ["2_caf\\xe9 robot"]
    assert json.loads(metadata["lorasweep.config"])["dataset"]["path"] == str(photos)
    printed = next(text for text in capsys.readouterr().out.splitlines() if "another version" in text)
    typed = printed.partition("train.py")[2]
    words = subprocess.run(["bash", "-c", f"printf '%s\\n' {typed}".encode()], capture_output=True, check=True)
    assert line[1] in os.fsdecode(words.stdout).splitlines()
