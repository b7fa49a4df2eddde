"""Loading a base: digests that follow the weights, and one clear line for what cannot be loaded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lorasweep.errors import UserError
from lorasweep.families.load import load_base
from lorasweep.families.sdxl.model import SDXL
from lorasweep.families.shipped import BASE_PATH
from lorasweep.schema import BaseModelConfig


def load(path: Path | str) -> SDXL:
    return load_base(BaseModelConfig(path=str(path), resolution=64), "cpu", torch.float32)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BASE_PATH, tmp_path / "base"))


def test_the_toy_has_every_part_and_is_frozen(toy_base: SDXL) -> None:
    assert set(toy_base.modules) == {"unet", "vae", "text_encoder", "text_encoder_2"}
    assert toy_base.pixels_per_latent == 4
    assert not any(parameter.requires_grad for module in toy_base.modules.values() for parameter in module.parameters())
    assert toy_base.process.timesteps == 1000


def test_digests_follow_what_they_name(copied: Path, toy_base: SDXL) -> None:
    same = load(copied)
    assert (same.sha256, same.digests) == (toy_base.sha256, toy_base.digests)
    vae = copied / "vae" / "config.json"
    vae.write_text(vae.read_text() + " ")
    changed = load(copied)
    assert changed.digests["vae"] != toy_base.digests["vae"]
    assert changed.digests["text"] == toy_base.digests["text"]
    assert changed.sha256 != toy_base.sha256


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda base: shutil.rmtree(base / "unet"), ["no unet/config.json"]),
        (
            lambda base: next((base / "vae").glob("*.safetensors")).rename(base / "vae" / "model.bin"),
            ["only the pickled model.bin", "python -c"],
        ),
        (
            lambda base: next((base / "unet").glob("*.safetensors")).write_bytes(b"\x10" * 1000),
            ["cannot be loaded", "safetensors"],
        ),
        (lambda base: (base / "text_encoder_2" / "config.json").write_text("{"), ["cannot be loaded"]),
    ],
)
def test_a_damaged_base_is_refused_in_words(damage: Callable[[Path], object], words: list[str], copied: Path) -> None:
    damage(copied)
    with pytest.raises(UserError) as caught:
        load(copied)
    for word in [str(copied), *words]:
        assert word in str(caught.value)


def test_every_missing_part_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path)
    assert len(caught.value.problems) == 4


def test_225_tokens_are_227_positions_and_the_pooled_vector_is_the_first_chunks(toy_base: SDXL) -> None:
    long = ", ".join(["red skin, blue outfit, wizard hat"] * 20)
    text = toy_base.encode_text([long, "humanoid"], 225)
    assert text.tensors["hidden"].shape[:2] == (2, 227)
    short = toy_base.encode_text([long], 75)
    assert torch.allclose(text.tensors["pooled"][:1], short.tensors["pooled"], atol=1e-5)
    assert torch.allclose(text.tensors["hidden"][0, :76], short.tensors["hidden"][0, :76], atol=1e-5)
    assert toy_base.length([long], 225) > 75
    assert toy_base.length([long], 75) == 75
    assert toy_base.length(["humanoid", ""], 225) == 75


def test_v_prediction_reaches_the_sampler(copied: Path) -> None:
    config = BaseModelConfig(path=str(copied), resolution=64, prediction_type="v_prediction")
    assert load_base(config, "cpu", torch.float32).scheduler.config.prediction_type == "v_prediction"
