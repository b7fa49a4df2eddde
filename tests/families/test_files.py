"""Files that are no weights, or weights that cannot be trusted, are told from good ones without loading them."""

import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
from safetensors.numpy import save_file

from lorasweep.families.kinds import kind_of, lora_problem
from lorasweep.families.paths import is_hub_id, is_single_file
from lorasweep.families.sdxl.layout import native_resolution, pixels_per_latent
from lorasweep.families.sdxl.problems import base_problems, config_problems, vae_problems
from lorasweep.families.shipped import BASE_PATH
from lorasweep.families.weights_files import safetensors_problem
from lorasweep.schema import BaseModelConfig
from lorasweep.schema.base_model import FAMILIES

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
    assert not is_hub_id("checkpoints/sdxl.safetensors")  # a file that is not there
    assert is_single_file("checkpoints/sdxl.safetensors") and is_single_file("sdxl.ckpt")
    assert not any(map(is_single_file, (None, "org/model", "models", str(tmp_path))))
    assert not any(map(is_hub_id, ("/models/sdxl", "./models", "a/b/c", "model", "~/sdxl")))


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".pth", ".bin"])
def test_pickled_files_are_refused_with_the_command_that_converts_them(tmp_path, suffix):
    file = tmp_path / f"sdxl{suffix}"
    file.write_bytes(b"\x80\x04")
    [problem] = base_problems(str(file))
    assert "pickled" in problem
    assert f"P.from_single_file('{file}').save_pretrained('{tmp_path}/sdxl')" in problem
    assert "pickled" in next(vae_problems(str(file)))


SDXL_FILE = {
    "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
    "model.diffusion_model.label_emb.0.0.weight": (1280, 2816),
    "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3),
    "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight": (768,),
    "conditioner.embedders.1.model.ln_final.weight": (1280,),
}
UNET = {name: shape for name, shape in SDXL_FILE.items() if name.startswith("model.")}
KINDS: list[tuple[str, dict[str, tuple[int, ...]]]] = [
    ("an SDXL", SDXL_FILE),
    ("a LoRA", {"lora_unet_middle_block_1_proj_in.lora_down.weight": (8, 1280)}),
    ("a LoRA", {"unet.down_blocks.1.attentions.0.proj_in.lora_A.weight": (8, 640)}),
    ("a LoRA", {"lora_unet_middle_block_1_proj_in.hada_w1_a": (8, 640)}),
    ("a VAE", {"decoder.conv_in.weight": (512, 4, 3, 3), "quant_conv.weight": (8, 8, 1, 1)}),
    ("a VAE", {"first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3)}),
    ("an SD 1.5 model", UNET | {"cond_stage_model.transformer.text_model.final_layer_norm.weight": (768,)}),
    ("an SD 2 model", UNET | {"cond_stage_model.model.ln_final.weight": (1024,)}),
    ("the SDXL refiner", UNET | {"conditioner.embedders.0.model.ln_final.weight": (1280,)}),
    (
        "an SDXL for inpainting or editing (its UNet takes 9 channels)",
        SDXL_FILE | {"model.diffusion_model.input_blocks.0.0.weight": (320, 9, 3, 3)},
    ),
    ("a UNet without the two text encoders of SDXL", UNET),
    ("a UNet in diffusers' layout", {"conv_in.weight": (320, 4, 3, 3), "time_embedding.linear_1.weight": (1280, 320)}),
    ("a ControlNet", {"control_model.input_blocks.0.0.weight": (320, 4, 3, 3)}),
    ("a FLUX model", {"double_blocks.0.img_attn.qkv.weight": (9216, 3072)}),
    ("a FLUX model", {"model.diffusion_model.double_blocks.0.img_attn.qkv.weight": (9216, 3072)}),
    ("an SD3 model", {"model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight": (4608, 1536)}),
    ("a text encoder", {"text_model.embeddings.position_embedding.weight": (77, 768)}),
    ("a textual inversion", {"clip_l": (4, 768), "clip_g": (4, 1280)}),
    ("no model that is known here (its first tensor is weight)", {"weight": (3,)}),
]


def write_shapes(path: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    """Write a whole safetensors file of these shapes, its numbers a hole that takes no room on the disk."""
    header, end = {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with open(path, "wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + end)
    return path


@pytest.mark.parametrize(("kind", "shapes"), KINDS, ids=[f"{kind}: {next(iter(shapes))}" for kind, shapes in KINDS])
def test_what_a_file_is_is_told_from_its_header(kind, shapes, tmp_path):
    file = str(write_shapes(tmp_path / "file.safetensors", shapes))
    assert kind_of(shapes) == kind
    base, vae = " ".join(base_problems(file)), " ".join(vae_problems(file))
    assert f"this is {kind}; expected a checkpoint of SDXL" in base if kind != "an SDXL" else not base
    assert f"this is {kind}; expected a VAE" in vae if kind not in ("an SDXL", "a VAE") else not vae


def test_a_lora_or_a_vae_given_as_base_says_what_to_do_instead(tmp_path):
    file = tmp_path / "file.safetensors"
    lora, vae = (next(shapes for kind, shapes in KINDS if kind == wanted) for wanted in ("a LoRA", "a VAE"))
    assert "a LoRA is made for a base: give that one" in next(base_problems(str(write_shapes(file, lora))))
    assert "give it as base_model.vae_path" in next(base_problems(str(write_shapes(file, vae))))


def test_a_checkpoint_without_a_vae_wants_one(tmp_path):
    shapes = {name: shape for name, shape in SDXL_FILE.items() if not name.startswith("first_stage_model.")}
    file = str(write_shapes(tmp_path / "sdxl.safetensors", shapes))
    assert "it has no VAE; give one with base_model.vae_path" in next(base_problems(file))
    assert list(base_problems(file, own_vae=False)) == []
    assert "expected a VAE" in next(vae_problems(file))


def test_a_checkpoint_that_is_cut_off(tmp_path):
    file = write_shapes(tmp_path / "sdxl.safetensors", SDXL_FILE)
    with open(file, "r+b") as stream:
        stream.truncate(file.stat().st_size - 1)
    for problems in (base_problems, vae_problems):
        [problem] = problems(str(file))
        assert "it is damaged: the file has" in problem and "download or copy it again" in problem


def test_folders_of_vaes(tmp_path):
    assert "nothing is there" in next(vae_problems("/no/such/vae"))
    assert list(vae_problems("madebyollin/sdxl-vae-fp16-fix")) == []
    base = make_base(tmp_path / "base")
    assert list(vae_problems(str(base))) == list(vae_problems(str(base / "vae"))) == []
    (base / "vae" / "model.safetensors").rename(base / "vae" / "model.bin")
    assert "pickled" in next(vae_problems(str(base)))
    assert "no config.json" in next(vae_problems(str(tmp_path)))
    assert list(base_problems(str(base), own_vae=False)) == []


def test_folders_of_configs(tmp_path):
    assert list(config_problems(str(BASE_PATH))) == []
    assert list(config_problems("stabilityai/stable-diffusion-xl-base-1.0")) == []
    folder = Path(shutil.copytree(BASE_PATH, tmp_path / "base"))
    (folder / "vae" / "config.json").unlink()
    (folder / "tokenizer_2" / "merges.txt").unlink()
    [problem] = config_problems(str(folder))
    assert "it has no vae/config.json, tokenizer_2/merges.txt; expected" in problem and "hf download" in problem
    (folder / "tokenizer_2" / "tokenizer.json").touch()
    assert "it has no vae/config.json; expected" in next(config_problems(str(folder)))


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


def test_sizes_of_a_base(tmp_path):
    folder = make_base(tmp_path / "base")
    (folder / "vae" / "config.json").write_text(json.dumps({"block_out_channels": [128, 256, 512, 512]}))
    (folder / "unet" / "config.json").write_text(json.dumps({"sample_size": 128}))

    def sizes(path: object = None, **paths: object) -> tuple[int | None, int | None]:
        base = BaseModelConfig(path=path and str(path), **{key: str(value) for key, value in paths.items()})
        return pixels_per_latent(base), native_resolution(base)

    assert sizes(folder) == (8, 1024)
    assert sizes() == (4, 64)
    assert sizes("org/model") == (8, 1024)
    assert sizes("/no/such") == (None, None)
    file = write_shapes(tmp_path / "sdxl.safetensors", SDXL_FILE)
    assert sizes(file) == (8, 1024)
    assert sizes(file, config_path=BASE_PATH) == (4, 64)
    assert sizes(file, config_path="org/model") == (8, 1024)
    assert sizes(file, vae_path=BASE_PATH) == sizes(file, vae_path=BASE_PATH / "vae") == (4, 512)
    assert sizes(file, vae_path=file, config_path=BASE_PATH) == (4, 64)
    assert sizes(BASE_PATH, vae_path="org/vae") == (8, 128)


class OtherFiles:
    """Of a family whose files have a tensor of their own."""

    def kind(self, shapes: dict[str, list[int]]) -> str | None:
        return "an Other" if "other.weight" in shapes else None


OTHER = SimpleNamespace(noun="an Other", files=OtherFiles())


def test_a_base_of_another_family_is_recognised_by_its_file(tmp_path, monkeypatch):
    monkeypatch.setitem(FAMILIES._shipped, "other", f"{__name__}:OTHER")
    file = tmp_path / "base.safetensors"
    save_file({"other.weight": numpy.ones(3, numpy.float32)}, file)
    assert kind_of({"other.weight": [3]}) == "an Other"
    (problem,) = base_problems(str(file))
    assert problem.endswith(
        "this is an Other; expected a checkpoint of SDXL: set base_model.family=other, which trains it"
    )
    assert lora_problem(file) == (
        "this is an Other; expected a LoRA: a checkpoint to train is given as base_model.path"
    )
