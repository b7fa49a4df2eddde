"""The estimate against what autograd really keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from lorasweep.adapters.adapter import build_adapter
from lorasweep.families.conditioning import Conditioning
from lorasweep.families.load import load_base
from lorasweep.families.quantization import NF4Linear
from lorasweep.families.sdxl.model import SDXL
from lorasweep.schema import Config
from lorasweep.training.memory import estimate as memory
from lorasweep.training.memory.decoding import LiveBytes
from lorasweep.training.memory.forecast import savings


@pytest.fixture
def unet_only(short_config: Config) -> Config:
    optimizer = replace(short_config.optimizer, name="adamw", text_encoder_lr=0.0)
    training = replace(short_config.training, batch_size=4)
    return replace(short_config, optimizer=optimizer, training=training)


def really_kept(config: Config, base: SDXL) -> int:
    """Run a real forward in the config's precision and add up what autograd keeps of it."""
    half, whole = config.training.mixed_precision != "no", config.network.type == "full"
    if half and not whole:
        base.unet.bfloat16()
    adapter = build_adapter(base, config.network, components=("unet",), seed=0, name="really")
    own = {parameter.untyped_storage().data_ptr() for parameter in base.unet.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    rows, side, settings = config.training.batch_size, config.dataset.resolution // 4, base.unet.config
    pooled = settings.projection_class_embeddings_input_dim - 6 * settings.addition_time_embed_dim
    conditioning = Conditioning(
        {
            "hidden": torch.randn(rows, 77, settings.cross_attention_dim),
            "pooled": torch.randn(rows, pooled),
            "size_ids": torch.zeros(rows, 6),
        }
    )
    try:
        with saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16, enabled=half):
            base.predict(torch.randn(rows, 4, side, side), torch.zeros(rows), conditioning)
        return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    finally:
        adapter.remove()
        base.unet.float()


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("precision", ["auto", "no"])
@pytest.mark.parametrize("network", ["lora", "full"])
def test_the_activations_are_those_that_autograd_keeps(
    network: str, precision: str, batch_size: int, unet_only: Config, toy_base: SDXL
) -> None:
    training = replace(unet_only.training, batch_size=batch_size, mixed_precision=precision)
    config = replace(unet_only, network=replace(unet_only.network, type=network), training=training)
    before = {name: value.clone() for name, value in toy_base.unet.state_dict().items()}
    expected = memory.estimate(config, toy_base).activations
    try:
        found = really_kept(config, toy_base)
    finally:
        toy_base.unet.load_state_dict(before)  # 16 bit and back lost digits
    assert found == pytest.approx(expected, rel=0.01)


def test_what_is_trained_counts_with_gradients_state_and_average(unet_only: Config, toy_base: SDXL) -> None:
    adapter = build_adapter(toy_base, unet_only.network, components=("unet",), seed=0, name="counted")
    weights = sum(parameter.numel() for parameter in adapter.named_parameters().values())
    frozen = memory.estimate(unet_only, toy_base).weights
    adapter.remove()
    estimated = memory.estimate(unet_only, toy_base)
    assert estimated.weights == frozen == sum(p.nbytes for p in toy_base.unet.parameters()), "the others rest"
    assert estimated.trained == pytest.approx(4 * weights * 4, rel=0.01), "weight, gradient, two moments"
    lean = replace(unet_only, optimizer=replace(unet_only.optimizer, name="adamw8bit"))
    assert memory.estimate(lean, toy_base).trained < 0.7 * estimated.trained
    averaged = replace(unet_only, training=replace(unet_only.training, ema_decay=0.9))
    assert memory.estimate(averaged, toy_base).trained == pytest.approx(1.25 * estimated.trained, rel=0.01)


def test_a_full_fine_tune_trains_the_unet_in_32_bit(unet_only: Config, toy_base: SDXL) -> None:
    whole = replace(unet_only, network=replace(unet_only.network, type="full"))
    estimated = memory.estimate(whole, toy_base)
    size = sum(parameter.nbytes for parameter in toy_base.unet.parameters())
    assert estimated.trained == pytest.approx(4 * size, rel=0.01)
    assert estimated.weights == 0


@pytest.mark.parametrize("kind", ["int8", "nf4"])
def test_a_packed_base_takes_what_is_computed_and_keeps_no_more(kind: str, unet_only: Config) -> None:
    config = replace(unet_only, base_model=replace(unet_only.base_model, quantization=kind))
    packed = load_base(config.base_model, "cpu", torch.bfloat16)
    whole = load_base(unet_only.base_model, "cpu", torch.bfloat16)
    expected = memory.estimate(config, packed)
    assert expected == memory.estimate(config, whole), "what is loaded may be packed or not"
    plain = memory.estimate(unet_only, whole)
    assert plain == memory.estimate(unet_only, packed)
    size = sum(tensor.nbytes for tensor in held(packed.unet))
    assert expected.weights == pytest.approx(size, abs=10) and size < 0.85 * plain.weights
    assert really_kept(config, packed) == pytest.approx(expected.activations, rel=0.02)
    saved = {saving.overrides: saving.bytes for saving in savings(unet_only, whole)}
    assert saved[f"base_model.quantization={kind}",] == plain.weights - expected.weights


def held(unet: nn.Module) -> Iterator[Tensor]:
    """The tensors that a UNet's weights are made of, but for a table of 16 numbers that layers in 4 bit share."""
    for module in unet.modules():
        yield from module.parameters(recurse=False)
        yield from module.buffers(recurse=False)
        if isinstance(module, NF4Linear):
            yield from (module.weight.quant_state.absmax, module.weight.quant_state.state2.absmax)


@pytest.mark.parametrize("kind", [{"dora": True}, {"type": "lokr"}, {"module_dropout": 0.1}], ids=str)
def test_every_adapter_can_be_estimated_with_checkpointing(
    kind: dict[str, object], unet_only: Config, toy_base: SDXL
) -> None:
    all_parts = replace(unet_only, optimizer=replace(unet_only.optimizer, text_encoder_lr=1e-4))
    plain = replace(all_parts, network=replace(unet_only.network, **kind))  # type: ignore[arg-type]
    lean = replace(plain, training=replace(plain.training, gradient_checkpointing=True))
    assert 0 < memory.estimate(lean, toy_base).activations < memory.estimate(plain, toy_base).activations


def test_idle_parts_rest_in_the_cpus_memory(unet_only: Config, toy_base: SDXL) -> None:
    def weights(config: Config) -> int:
        return memory.estimate(config, toy_base).weights

    sizes = {name: sum(p.nbytes for p in module.parameters()) for name, module in toy_base.modules.items()}
    staying = replace(unet_only, training=replace(unet_only.training, offload_idle=False))
    assert weights(staying) - weights(unet_only) == sum(sizes.values()) - sizes["unet"]
    saved = {saving.overrides: saving.bytes for saving in savings(staying, toy_base)}
    assert saved["training.offload_idle=true",] == sum(sizes.values()) - sizes["unet"]
    trained = replace(unet_only, optimizer=replace(unet_only.optimizer, text_encoder_lr=1e-4))
    assert weights(staying) - weights(trained) == sizes["vae"]


def test_the_peak_is_the_samples_where_the_training_is_frugal(unet_only: Config, toy_base: SDXL) -> None:
    estimated, vae = memory.estimate(unet_only, toy_base), sum(p.nbytes for p in toy_base.vae.parameters())
    assert estimated.total == estimated.weights + estimated.trained + estimated.activations
    small = replace(estimated, activations=0)
    assert small.total == small.weights + small.trained - small.gradients + small.images
    assert small.gradients == pytest.approx(small.trained / 4, rel=0.01), "weight, gradient, two moments"
    with torch.no_grad(), LiveBytes() as live:
        toy_base.vae.decode(torch.zeros(1, 4, 16, 16))
    assert estimated.images - vae == pytest.approx(live.most, rel=0.02)
    staying = replace(unet_only, training=replace(unet_only.training, offload_idle=False))
    assert estimated.images - memory.estimate(staying, toy_base).images == vae, "it is resident then"


def test_live_bytes_are_those_that_are_held() -> None:
    with LiveBytes() as live:
        first = torch.zeros(1000)
        second = first + 1
        del first
        third = second.view(10, 100) * 2
        del second, third
        torch.zeros(500)
    assert live.most == 2 * 4000


def test_preservation_keeps_a_second_forward(unet_only: Config, toy_base: SDXL) -> None:
    once = memory.estimate(unet_only, toy_base).activations
    both = replace(unet_only, loss=replace(unet_only.loss, preservation_class="person"))
    assert memory.estimate(both, toy_base).activations == pytest.approx(2 * once, rel=1e-6)
