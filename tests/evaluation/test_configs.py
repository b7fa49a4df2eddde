"""The config under which a file from elsewhere is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lorasweep.errors import UserError
from lorasweep.evaluation.candidates import Candidate
from lorasweep.evaluation.configs import changed, like


@pytest.fixture
def candidate(tmp_path: Path) -> Candidate:
    file = tmp_path / "hat.safetensors"
    save_file({"lora_unet_layer.lora_down.weight": torch.ones(1, 1)}, file, {"ss_base_model_version": "sd_v2"})
    return Candidate(str(file), file)


def test_a_file_that_names_no_base_is_refused_and_the_cure_gives_it_one(candidate: Candidate) -> None:
    with pytest.raises(UserError, match="which base it is for: give that with --set base_model=CHOICE"):
        like(candidate, [])
    config = like(candidate, ["base_model=sdxl"])
    assert config.name == "hat" and config.base_model.path == "stabilityai/stable-diffusion-xl-base-1.0"
    assert config.dataset.theme is None and config.dataset.path is None


def test_what_was_trained_cannot_be_changed_by_looking_at_it(candidate: Candidate) -> None:
    config = like(candidate, ["base_model=toy"])
    assert changed(config, ["sampling.steps=3"]).sampling.steps == 3
    with pytest.raises(UserError) as caught:
        changed(config, ["network.rank=3", "sampling.stps=3"])
    assert len(caught.value.problems) == 2
    assert "it was trained with what its record says" in caught.value.problems[0]
    assert "did you mean sampling.steps?" in caught.value.problems[1]
