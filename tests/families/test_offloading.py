"""Idle parts wait in the CPU's memory, come back for as long as they are needed, and nothing that is drawn changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from lorasweep.checks import check
from lorasweep.data.providers import with_images
from lorasweep.families.device import open_accelerator
from lorasweep.families.load import load_base
from lorasweep.families.offloading import CPU, Offloader
from lorasweep.families.sdxl.model import SDXL
from lorasweep.schema import BaseModelConfig, Config
from lorasweep.training.loop import train_step
from lorasweep.training.start.setup import read_data
from lorasweep.training.version import Version

ENCODERS = ["text_encoder", "text_encoder_2"]
GPU = torch.device("cuda")


class Warehouse:
    """Stands for a GPU's memory: a part that is away has no weights, so that whoever uses it fails."""

    def __init__(self, base: SDXL) -> None:
        self.base = base
        self.names = {id(module): name for name, module in base.modules.items()}
        self.stored: dict[str, list[Tensor]] = {}
        self.log: list[str] = []

    def move(self, part: nn.Module, device: torch.device) -> None:
        name, weights = self.names[id(part)], list(part.parameters())
        self.log.append(f"{name} {'away' if device == CPU else 'back'}")
        if device == CPU:
            self.stored[name] = [weight.data for weight in weights]
        for weight, value in zip(weights, self.stored[name], strict=True):
            weight.data = torch.empty(0) if device == CPU else value

    @property
    def away(self) -> set[str]:
        return {name for name in self.names.values() if any(not w.numel() for w in self._weights(name))}

    def _weights(self, name: str) -> list[nn.Parameter]:
        return list(self.base.modules[name].parameters())


@pytest.fixture
def base() -> SDXL:
    return load_base(BaseModelConfig(resolution=64), "cpu", torch.float32)


@pytest.fixture
def warehouse(base: SDXL) -> Warehouse:
    warehouse = Warehouse(base)
    base.offloader = Offloader(base.modules, GPU, warehouse.move)
    return warehouse


@contextmanager
def training(config: Config, base: SDXL, number: int = 6) -> Iterator[Version]:
    config = with_images(config)
    dataset, texts = read_data(config, base)
    version = Version(config, number, base, dataset, texts, open_accelerator(config.training))
    try:
        yield version
    finally:
        version.remove()


def frozen_text(config: Config) -> Config:
    return replace(config, optimizer=replace(config.optimizer, text_encoder_lr=0.0))


def drawn(base: SDXL) -> list[Image.Image]:
    latents = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    prompts = ["red skin", "wizard hat"]
    return base.sample(prompts, negative_prompt="", latents=latents, steps=2, guidance=5.0, max_tokens=75)


def test_a_training_leaves_only_the_unet_and_sampling_brings_the_rest_back(
    short_config: Config, base: SDXL, warehouse: Warehouse, toy_base: SDXL
) -> None:
    with training(frozen_text(short_config), base) as version:
        assert warehouse.log == [
            *(f"{encoder} away" for encoder in ENCODERS),  # images are encoded
            "vae away",  # captions are
            *(f"{encoder} back" for encoder in ENCODERS),
            *(f"{encoder} away" for encoder in ENCODERS),
        ]
        assert warehouse.away == {"vae", *ENCODERS}
        assert train_step(version).loss > 0, "everything it needs of them is cached"
        warehouse.log.clear()
        found = drawn(base)
        assert warehouse.log == [
            *("text_encoder back", "text_encoder_2 back", "text_encoder away", "text_encoder_2 away"),
            *("vae back", "vae away"),
        ]
    with training(frozen_text(short_config), toy_base) as version:
        train_step(version)
        expected = drawn(toy_base)
    assert [image.tobytes() for image in found] == [image.tobytes() for image in expected]


def test_what_is_not_cached_wakes_its_encoder_for_a_moment(base: SDXL, warehouse: Warehouse, toy_base: SDXL) -> None:
    base.offloader.offload(["vae", *ENCODERS])
    pixels = torch.rand(1, 3, 32, 32) * 2 - 1
    assert torch.equal(base.encode_images(pixels)["mean"], toy_base.encode_images(pixels)["mean"])
    text, expected = base.encode_text(["red skin"], 75), toy_base.encode_text(["red skin"], 75)
    assert all(torch.equal(tensor, expected.tensors[name]) for name, tensor in text.tensors.items())
    assert warehouse.away == {"vae", *ENCODERS}
    with pytest.raises(ZeroDivisionError), base.offloader.onload("vae"):
        _ = 1 / 0
    assert "vae" in warehouse.away


@pytest.mark.parametrize("begun", [False, True])
def test_a_part_that_does_not_fit_is_taken_back_whole(begun: bool) -> None:
    parts = {name: nn.Linear(2, 2) for name in ("unet", "vae", *ENCODERS)}
    where = dict.fromkeys(parts, "cuda")
    full = False

    def move(part: nn.Module, device: torch.device) -> None:
        name = next(name for name, each in parts.items() if each is part)
        where[name] = "half" if full and device == GPU else device.type
        if where[name] == "half":
            raise torch.OutOfMemoryError("CUDA out of memory")

    offloader = Offloader(parts, GPU, move)
    for part in parts.values():
        part.requires_grad_(False)
    offloader.offload(["vae", *ENCODERS])
    full = True
    with pytest.raises(torch.OutOfMemoryError):
        if begun:
            with offloader.onload("text_encoder", "text_encoder_2"):
                pass
        else:
            offloader.offload(["unet"])
    assert {where[name] for name in ("vae", *ENCODERS)} == {"cpu"}
    full = False
    offloader.offload([])
    assert set(where.values()) == {"cuda"}


def test_trained_encoders_never_leave_whoever_joins(short_config: Config, base: SDXL, warehouse: Warehouse) -> None:
    with training(short_config, base) as trains:
        assert warehouse.away == {"vae"}
        with training(frozen_text(short_config), base, number=7):
            assert warehouse.away == {"vae"}
        train_step(trains)
    with training(frozen_text(short_config), base):
        assert warehouse.away == {"vae", *ENCODERS}
        with training(short_config, base, number=7) as trains:
            assert warehouse.away == {"vae"}
            train_step(trains)


@pytest.mark.parametrize("drawn_anew", [{"shuffle_tags": True}, {"tag_dropout": 0.2}], ids=str)
def test_encoders_stay_where_captions_are_drawn_at_each_step(
    drawn_anew: dict[str, object], short_config: Config, base: SDXL, warehouse: Warehouse
) -> None:
    config = frozen_text(short_config)
    with training(replace(config, dataset=replace(config.dataset, **drawn_anew)), base):  # type: ignore[arg-type]
        assert warehouse.away == {"vae"}


def test_it_can_be_switched_off(short_config: Config, base: SDXL, warehouse: Warehouse) -> None:
    with training(frozen_text(short_config), base):
        pass
    kept = replace(frozen_text(short_config), training=replace(short_config.training, offload_idle=False))
    with training(kept, base):
        assert not warehouse.away, "what an earlier version let rest is back"
    on_cpu = replace(kept, training=replace(kept.training, device="cpu"))
    assert any("training.offload_idle=false changes nothing" in problem for problem in check(on_cpu))


def test_on_a_cpu_nothing_moves(base: SDXL) -> None:
    moves: list[object] = []
    base.offloader = Offloader(base.modules, CPU, lambda part, device: moves.append(part))
    base.offloader.offload(["vae", *ENCODERS])
    drawn(base)
    assert not moves


def test_images_are_decoded_one_by_one(base: SDXL) -> None:
    sizes: list[int] = []
    hook = base.vae.decoder.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    drawn(base)
    hook.remove()
    assert sizes == [1, 1]
