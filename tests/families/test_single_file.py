"""One base in both layouts: equal weights, equal training, digests that follow the weights; other VAEs."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lorasweep.errors import UserError
from lorasweep.export.checkpoint import write_checkpoint
from lorasweep.families.load import load_base
from lorasweep.families.sdxl.checkpoint import sgm_tensors
from lorasweep.families.sdxl.model import SDXL
from lorasweep.families.shipped import BASE_PATH
from lorasweep.schema import BaseModelConfig, Config

from ..training_on import run
from .small_sdxl import same_weights, small_sdxl


@pytest.fixture(scope="module")
def small(toy_base: SDXL) -> SDXL:
    return small_sdxl(toy_base)


@pytest.fixture(scope="module")
def folder(small: SDXL, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bases") / "small"
    small.write_folder(path)
    return path


@pytest.fixture(scope="module")
def file(small: SDXL, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bases") / "small.safetensors"
    write_checkpoint(path, sgm_tensors(small.unet, small.vae, small.text_encoders), {})
    return path


def load(path: Path, configs: Path | None = None, **settings: Any) -> SDXL:
    config_path = None if configs is None else str(configs)
    config = BaseModelConfig(path=str(path), config_path=config_path, resolution=64, **settings)
    return load_base(config, "cpu", torch.float32)


def test_both_layouts_have_the_weights_that_were_written(small: SDXL, folder: Path, file: Path) -> None:
    assert same_weights(load(folder), small)
    assert same_weights(load(file, folder), small)


@pytest.mark.parametrize("single", [True, False])
def test_half_precision_is_read_as_if_narrowed_from_32_bit(single: bool, folder: Path, file: Path) -> None:
    path, configs = (file, str(folder)) if single else (folder, None)
    narrow = load_base(BaseModelConfig(path=str(path), config_path=configs), "cpu", torch.bfloat16)
    wide = load(path, folder if single else None).to("cpu", torch.bfloat16)
    assert narrow.unet.dtype == torch.bfloat16 and narrow.vae.dtype == torch.float32
    assert same_weights(narrow, wide)


def test_text_encoders_of_one_width_are_not_mixed_up(toy_base: SDXL, tmp_path: Path) -> None:
    path = tmp_path / "toy.safetensors"
    write_checkpoint(path, sgm_tensors(toy_base.unet, toy_base.vae, toy_base.text_encoders), {})
    loaded = load(path, BASE_PATH)
    assert same_weights(loaded, toy_base)
    settings: dict[str, Any] = {"negative_prompt": "", "steps": 2, "guidance": 3.0, "max_tokens": 75}
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    [one], [other] = (base.sample(["humanoid, red skin"], latents=noise, **settings) for base in (loaded, toy_base))
    assert one.tobytes() == other.tobytes()


def trained(config: Config, path: Path, configs: Path | None) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Train and return the losses and the weights file's tensors."""
    base = replace(config.base_model, path=str(path), config_path=None if configs is None else str(configs))
    config = replace(config, base_model=base, output_root=f"{config.output_root}/{path.name}")
    run(config)
    version = Path(config.output_root) / "fuzzybear" / "v6"
    rows = [json.loads(line) for line in (version / "metrics.jsonl").read_text().splitlines()]
    return [row["train/loss"] for row in rows if "train/loss" in row], load_file(version / "FuzzyBear_v6.safetensors")


def test_both_layouts_train_to_equal_losses_and_weights(short_config: Config, folder: Path, file: Path) -> None:
    short_config.training.max_steps = 2
    short_config.evaluation.heldout_loss = False
    short_config.evaluation.select_by = short_config.objective = "train/loss"
    losses, weights = trained(short_config, folder, None)
    again, same = trained(short_config, file, folder)
    assert losses == again and losses
    assert weights.keys() == same.keys() and all(torch.equal(weights[name], same[name]) for name in weights)


def test_the_weights_file_tells_which_files_it_was_trained_on(
    short_config: Config, folder: Path, file: Path, small: SDXL, tmp_path: Path
) -> None:
    from safetensors import safe_open

    vae = tmp_path / "other_vae.safetensors"
    save_file({name.removeprefix("first_stage_model."): tensor for name, tensor in vae_tensors(small).items()}, vae)
    short_config.training.max_steps = 1
    short_config.evaluation.heldout_loss = False
    short_config.evaluation.select_by = short_config.objective = "train/loss"
    short_config.base_model = replace(
        short_config.base_model, path=str(file), config_path=str(folder), vae_path=str(vae)
    )
    run(short_config)
    with safe_open(Path(short_config.output_root) / "fuzzybear" / "v6" / "FuzzyBear_v6.safetensors", "pt") as weights:
        metadata = weights.metadata()
    for key, path in (("sd_model", file), ("vae", vae)):
        content = path.read_bytes()
        assert metadata[f"ss_{key}_name"] == path.name
        assert metadata[f"ss_new_{key}_hash"] == hashlib.sha256(content).hexdigest()
        assert metadata[f"ss_{key}_hash"] == hashlib.sha256(content[0x100000:0x110000]).hexdigest()[:8]


def changed(file: Path, target: Path, prefix: str) -> Path:
    """Write a copy of a checkpoint with other numbers in the first tensor of a part."""
    tensors = load_file(file)
    name = next(name for name in sorted(tensors) if name.startswith(prefix))
    tensors[name] = tensors[name] + 1
    save_file(tensors, target)
    return target


def test_digests_follow_the_part_that_changed(file: Path, folder: Path, tmp_path: Path) -> None:
    before = load(file, folder)
    assert before.file_hashes["base"].sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    for prefix, follows in (
        ("model.diffusion_model.", set()),
        ("first_stage_model.", {"vae"}),
        ("conditioner.embedders.0.", {"text"}),
        ("conditioner.embedders.1.", {"text"}),
    ):
        after = load(changed(file, tmp_path / "changed.safetensors", prefix), folder)
        assert {name for name in ("vae", "text") if after.digests[name] != before.digests[name]} == follows
        assert after.sha256 != before.sha256


def test_digests_follow_tokenizers_and_configs(file: Path, folder: Path, tmp_path: Path) -> None:
    before = load(file, folder)
    for name, follows in (("tokenizer_2/tokenizer_config.json", "text"), ("vae/config.json", "vae")):
        configs = Path(shutil.copytree(folder, tmp_path / follows))
        (configs / name).write_text((configs / name).read_text() + " ")
        after = load(file, configs)
        assert [part for part in ("vae", "text") if after.digests[part] != before.digests[part]] == [follows]


def vae_tensors(base: SDXL) -> dict[str, torch.Tensor]:
    tensors = sgm_tensors(base.unet, base.vae, base.text_encoders)
    return {name: tensor for name, tensor in tensors.items() if name.startswith("first_stage_model.")}


@pytest.mark.parametrize(
    ("form", "single"),
    [
        ("folder", True),
        ("folder", False),
        ("base", True),
        ("file", True),
        ("file without prefix", False),
        ("checkpoint", True),
    ],
)
def test_another_vae_takes_the_place_of_the_bases_own(
    form: str, single: bool, toy_base: SDXL, file: Path, folder: Path, tmp_path: Path
) -> None:
    other = small_sdxl(toy_base, seed=1)
    place = tmp_path / "vae"
    if form in ("folder", "base"):
        other.write_folder(place)
        place = place / "vae" if form == "folder" else place
    else:
        place = tmp_path / "vae.safetensors"
        tensors = vae_tensors(other)
        if form == "file without prefix":
            tensors = {name.removeprefix("first_stage_model."): tensor for name, tensor in tensors.items()}
        if form == "checkpoint":
            tensors = sgm_tensors(other.unet, other.vae, other.text_encoders)
        save_file(tensors, place)
    given = (file, folder) if single else (folder, None)
    before, after = load(*given), load(*given, vae_path=str(place))
    assert same_weights(after, other, ("vae",)) and same_weights(after, before, ("unet", "text_encoder"))
    assert after.digests["vae"] != before.digests["vae"] and after.digests["text"] == before.digests["text"]
    assert after.sha256 != before.sha256
    assert ("vae" in after.file_hashes) == form.startswith(("file", "checkpoint"))
    pixels = torch.rand(1, 3, 32, 32)
    assert not torch.equal(before.encode_images(pixels)["mean"], after.encode_images(pixels)["mean"])
    assert torch.equal(other.encode_images(pixels)["mean"], after.encode_images(pixels)["mean"])


def test_a_checkpoint_without_a_vae_loads_with_one_given(file: Path, folder: Path, small: SDXL, tmp_path: Path) -> None:
    path = tmp_path / "no_vae.safetensors"
    save_file({name: t for name, t in load_file(file).items() if not name.startswith("first_stage_model.")}, path)
    with pytest.raises(UserError, match=r"it has no VAE; give one with base_model\.vae_path"):
        load(path, folder)
    assert same_weights(load(path, folder, vae_path=str(folder)), small)


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("latent_channels", 16, "16 channels, the UNet's 4"),
        ("scaling_factor", 0.18215, "scaled by 0.18215, .* 0.13025"),
    ],
)
def test_a_vae_of_another_family_is_refused(
    setting: str, value: float, words: str, toy_base: SDXL, folder: Path, tmp_path: Path
) -> None:
    from diffusers import AutoencoderKL

    settings = dict(AutoencoderKL.load_config(folder / "vae")) | {setting: value}
    AutoencoderKL.from_config(settings).save_pretrained(tmp_path / "vae")
    with pytest.raises(UserError, match=words):
        load(folder, vae_path=str(tmp_path / "vae"))


def test_tensors_that_are_missing_or_too_many_are_named(file: Path, folder: Path, tmp_path: Path) -> None:
    tensors, path = load_file(file), tmp_path / "bad.safetensors"
    for name in (
        "model.diffusion_model.out.2.bias",
        "conditioner.embedders.1.model.text_projection",
        "first_stage_model.decoder.conv_out.weight",
    ):
        save_file({key: tensor for key, tensor in tensors.items() if key != name}, path)
        with pytest.raises(UserError, match=r"lacks 1 tensors, the first is"):
            load(path, folder)
    save_file(tensors | {"model.diffusion_model.time_embed.cond_proj.weight": torch.zeros(1)}, path)
    with pytest.raises(UserError, match=r"the unet has \d+ tensors where its config knows \d+"):
        load(path, folder)
    with pytest.raises(UserError, match=r"cannot be loaded .*the unet has .* of \[.*\], its config \["):
        wide = {"model.diffusion_model.time_embed.0.bias": torch.zeros(99)}
        save_file(tensors | wide, path)
        load(path, folder)
    with pytest.raises(UserError, match=r"cannot be loaded .*lacks \d+ tensors"):
        load(file, BASE_PATH)  # the toy's configs


def test_positions_that_older_programs_wrote_are_no_weights(
    file: Path, folder: Path, small: SDXL, tmp_path: Path
) -> None:
    positions = {
        f"conditioner.embedders.{place}embeddings.position_ids": torch.arange(77)[None]
        for place in ("0.transformer.text_model.", "1.model.transformer.text_model.")
    }
    extra = {"conditioner.embedders.1.model.logit_scale": torch.ones(()), "denoiser.sigmas": torch.ones(1000)}
    save_file(load_file(file) | positions | extra, tmp_path / "old.safetensors")
    assert same_weights(load(tmp_path / "old.safetensors", folder), small)


@pytest.mark.parametrize("part", ["vae", "unet", "text_encoder_2"])
@pytest.mark.parametrize("single", [True, False])
def test_weights_that_are_no_numbers_are_refused_as_they_are_loaded(
    part: str, single: bool, folder: Path, file: Path, tmp_path: Path
) -> None:
    """Not at the first step, as a rate that is too high."""
    layout = {"vae": "first_stage_model.", "unet": "model.", "text_encoder_2": "conditioner.embedders.1."}
    path = tmp_path / "broken.safetensors" if single else tmp_path / "broken"
    shutil.copytree(folder, path) if not single else shutil.copy(file, path)
    holds = path if single else next((path / part).glob("*.safetensors"))
    tensors = load_file(holds)
    name = next(name for name in tensors if (not single or name.startswith(layout[part])) and "position" not in name)
    tensors[name].view(-1)[-1] = float("nan")
    save_file(tensors, holds, {"format": "pt"})
    with pytest.raises(
        UserError, match=rf"1 of the \d+ tensors of its {part} hold NaN or infinity, the first is"
    ) as told:
        load(path, folder if single else None)
    assert str(path) in str(told.value)


def test_a_vae_of_no_numbers_is_told_by_its_own_key(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "vae", tmp_path / "vae")
    (holds,) = (tmp_path / "vae").glob("*.safetensors")
    save_file({name: tensor * float("inf") for name, tensor in load_file(holds).items()}, holds, {"format": "pt"})
    with pytest.raises(UserError, match=r"base_model.vae_path=\S+vae: \d+ of the \d+ tensors of its vae hold NaN"):
        load(folder, vae_path=str(tmp_path / "vae"))
    assert same_weights(load(folder, vae_path=str(folder / "vae")), load(folder))
