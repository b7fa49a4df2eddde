"""Files that are no weights, or weights that cannot be trusted, are told from good ones without loading them."""

import json
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import save_file

from lorasweep.weights import (
    base_problems,
    clip_problems,
    is_hub_id,
    latent_factor,
    native_resolution,
    safetensors_problem,
)

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")


def make_base(folder: Path, suffix: str = ".safetensors") -> Path:
    """Write the outline of an SDXL in diffusers' layout."""
    for part in PARTS:
        (folder / part).mkdir(parents=True)
        (folder / part / "config.json").write_text("{}")
        if suffix == ".safetensors":
            save_file({"weight": numpy.ones(3, numpy.float32)}, folder / part / "model.safetensors")
        else:
            (folder / part / f"diffusion_pytorch_model{suffix}").write_bytes(b"\x80\x04")
    (folder / "model_index.json").write_text("{}")
    return folder


def test_a_whole_base_is_fine(tmp_path):
    assert list(base_problems(str(make_base(tmp_path / "base")))) == []


def test_hub_ids_are_told_from_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    assert is_hub_id("stabilityai/stable-diffusion-xl-base-1.0")
    assert not is_hub_id("models/missing")  # its parent is here, so it was meant to be a path
    assert not any(map(is_hub_id, ("/models/sdxl", "./models", "a/b/c", "model", "~/sdxl")))


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".pth", ".bin", ".safetensors"])
def test_single_files_are_refused_with_the_command_that_converts_them(tmp_path, suffix):
    file = tmp_path / f"sdxl{suffix}"
    file.write_bytes(b"\x80\x04")
    [problem] = base_problems(str(file))
    assert f"P.from_single_file('{file}').save_pretrained('{tmp_path}/sdxl')" in problem
    assert ("pickled" in problem) == (suffix != ".safetensors")


def test_a_folder_of_pickles_is_refused_with_the_command_that_converts_it(tmp_path):
    folder = make_base(tmp_path / "old", ".bin")
    [problem] = base_problems(str(folder))
    assert "pickled weights only in unet/ and vae/ and text_encoder/ and text_encoder_2/" in problem
    assert f"from_pretrained('{folder}', use_safetensors=False).save_pretrained('{folder}-safetensors')" in problem


def test_missing_parts_and_missing_folders(tmp_path):
    folder = make_base(tmp_path / "base")
    (folder / "vae").rename(tmp_path / "elsewhere")
    assert ["it has no vae/" in problem for problem in base_problems(str(folder))] == [True]
    assert "nothing is there" in next(base_problems("/no/such/model"))
    (tmp_path / "photos").mkdir()
    assert "no diffusers model" in next(base_problems(str(tmp_path / "photos")))


def damaged(content: bytes) -> dict[str, bytes]:
    length = int.from_bytes(content[:8], "little")
    return {
        "empty": b"",
        "7 bytes": content[:7],
        "header cut": content[: 8 + length // 2],
        "tensors cut": content[:-1],
        "grown": content + b"\0",
        "no JSON": content[:8] + b"x" * length + content[8 + length :],
        "a list": (2).to_bytes(8, "little") + b"[]",
        "no offsets": (11).to_bytes(8, "little") + json.dumps({"a": {}}).encode().ljust(11),
    }


def test_damaged_safetensors_are_found_by_their_header_and_size(tmp_path):
    good = tmp_path / "good.safetensors"
    save_file({"a": numpy.ones((2, 3), numpy.float16), "b": numpy.zeros(0, numpy.float32)}, good, {"k": "v"})
    assert safetensors_problem(good) is None
    for name, content in damaged(good.read_bytes()).items():
        bad = tmp_path / "bad.safetensors"
        bad.write_bytes(content)
        assert safetensors_problem(bad), name


def test_a_damaged_file_inside_a_base_is_named(tmp_path):
    folder = make_base(tmp_path / "base")
    file = folder / "unet" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    [problem] = base_problems(str(folder))
    assert f"{file} is damaged" in problem


def test_clip_folders(tmp_path):
    save_file({"weight": numpy.ones(3)}, tmp_path / "model.safetensors")
    assert list(clip_problems(str(tmp_path))) == []
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    assert "pickled" in next(clip_problems(str(tmp_path)))
    assert "pickled" in next(clip_problems(str(tmp_path / "pytorch_model.bin")))
    assert "nothing is there" in next(clip_problems("/no/such/clip"))
    assert list(clip_problems("openai/clip-vit-large-patch14")) == []


def test_sizes_of_a_base(tmp_path):
    folder = make_base(tmp_path / "base")
    (folder / "vae" / "config.json").write_text(json.dumps({"block_out_channels": [128, 256, 512, 512]}))
    (folder / "unet" / "config.json").write_text(json.dumps({"sample_size": 128}))
    assert (latent_factor(str(folder)), native_resolution(str(folder))) == (8, 1024)
    assert (latent_factor(None), latent_factor("org/model"), latent_factor("/no/such")) == (4, 8, None)
    assert native_resolution("/no/such") is None
