"""How much of the GPU's memory a run will take at its peak.

`activations` says how the activations are found; everything else is counted from the shapes of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from lorasweep.families.base import Base, Family
from lorasweep.families.parts import learning_rates
from lorasweep.families.probe import Probe, Shape
from lorasweep.families.quantization import packed_bytes, quantizable
from lorasweep.optim.optimizer import build_optimizer
from lorasweep.schema import Config, OptimizerConfig
from lorasweep.schema.optimizer import RATES
from lorasweep.training.hardware.idle import idle_parts
from lorasweep.training.memory.activations import meta_adapter, network_key, saved_activation_bytes
from lorasweep.training.memory.decoding import decoding_bytes

GIB = 2**30
FP32 = 4  # bytes


@dataclass(frozen=True)
class Memory:
    """A run's memory at its peak, in bytes.

    Attributes:
        weights: the frozen base on the GPU, without what rests in the CPU's memory.
        trained: what is trained, its gradients, optimizer state and average.
        activations: what is kept for the backward pass.
        images: what the VAE takes, at other times, to encode an image or to decode a sample.
        gradients: the part of `trained` that is not there at those times.
    """

    weights: int
    trained: int
    activations: int
    images: int
    gradients: int

    @property
    def total(self) -> int:
        """All of it, when it is the most."""
        return max(self.during("train"), self.during("sample"))

    def during(self, phase: str) -> int:
        """Return what is there in one phase: "cache", "train", "sample" or "evaluate"."""
        if phase == "cache":
            return self.weights + self.images
        if phase == "train":
            return self.weights + self.trained + self.activations
        kept = self.weights + self.trained - self.gradients
        return kept + self.images if phase == "sample" else kept

    def explain(self) -> str:
        """Return it in words."""
        return (
            f"about {gib(self.total)} (base {gib(self.weights)}, what is trained with gradients and optimizer "
            f"{gib(self.trained)}, activations {gib(self.activations)} or, for samples, the VAE {gib(self.images)})"
        )


def gib(count: float) -> str:
    """Return bytes in words: `7.2 GiB`, and `70 MiB` where that is more telling."""
    return f"{count / GIB:.1f} GiB" if count >= GIB / 10 else f"{count / 2**20:.0f} MiB"


def estimate(config: Config, base: Base) -> Memory:
    """Return what a run of `config` on `base` will take; the base may be anywhere, adapters may be on it."""
    count = trained_count(config, base)
    weights = _resident(config, base)
    if config.network.type == "full":  # then what is trained is part of the base, in 32 bit
        weights -= FP32 * count
    return Memory(
        weights=weights,
        trained=trained_bytes(config, base),
        activations=_activations(config, base),
        images=_images(config, base),
        gradients=FP32 * count,
    )


def _activations(config: Config, base: Base) -> int:
    """Return the bytes that autograd keeps of one batch in all parts that are trained."""
    family, training = base.family, config.training
    rates, network = learning_rates(family.parts, config.optimizer), network_key(config.network)
    shape = Shape(training.batch_size, config.dataset.resolution, config.dataset.max_tokens)
    # On a GPU `auto` is 16 bit of one kind or the other.
    half = training.mixed_precision != "no"
    # Gradients of what encodes captions come through the denoiser.
    parts = [part.name for part in family.parts if part.denoiser or part.name in rates]
    saved = 0
    for part in parts:
        checkpointing = training.gradient_checkpointing
        saved += saved_activation_bytes(
            base.probes[part], family, network, shape, checkpointing=checkpointing, half=half
        )
    return 2 * saved if config.loss.preservation_class else saved  # the class is predicted beside the images


def _images(config: Config, base: Base) -> int:
    """Return what decoding a sample takes; the weights for it count as resident unless they wait elsewhere."""
    idle = idle_parts(config, base.family)
    waiting = sum(_own_bytes(base.modules[part]) for part in base.family.image_parts if part in idle)
    side = config.dataset.resolution
    return waiting + sum(decoding_bytes(base.probes[part], side) for part in base.family.image_parts)


def _resident(config: Config, base: Base) -> int:
    """Return the size of the base's weights on the GPU while it trains; the base itself may be packed or not."""
    denoiser = base.family.parts[0]
    others = base.modules.keys() - {denoiser.name, *idle_parts(config, base.family)}
    weights = base.modules[denoiser.name].parameters()
    itemsize = next(weight.itemsize for weight in weights if weight.is_floating_point())  # packed ones are no floats
    quantization = config.base_model.quantization
    own = _denoiser_bytes(base.probes[denoiser.name], base.family, quantization, itemsize)
    return own + sum(_own_bytes(base.modules[part]) for part in others)


@lru_cache(maxsize=16)
def _denoiser_bytes(probe: Probe, family: Family, quantization: str | None, itemsize: int) -> int:
    module = probe.build()
    plain = itemsize * sum(parameter.numel() for parameter in module.parameters())
    if quantization is None:
        return plain
    layers = quantizable(module, family.parts[0]).values()
    return plain + sum(packed_bytes(layer, quantization) - itemsize * layer.weight.numel() for layer in layers)


def trained_bytes(config: Config, base: Base) -> int:
    """Return what is trained takes with gradients, optimizer state and average."""
    copies = 2 + state_per_weight(config.optimizer) + (config.training.ema_decay is not None)  # weight and gradient
    return round(FP32 * trained_count(config, base) * copies)


def trained_count(config: Config, base: Base) -> int:
    """Return how many weights are trained."""
    components = tuple(learning_rates(base.family.parts, config.optimizer))
    if config.network.type == "full":
        return sum(parameter.numel() for part in components for parameter in base.modules[part].parameters())
    probes = tuple(base.probes[component] for component in components)
    return _adapter_count(probes, base.family, network_key(config.network))


@lru_cache(maxsize=16)
def _adapter_count(probes: tuple[Probe, ...], family: Family, network: str) -> int:
    adapter = meta_adapter({probe.part: probe.build() for probe in probes}, family, network)
    return sum(parameter.numel() for parameter in adapter.named_parameters().values())


def state_per_weight(config: OptimizerConfig, side: int = 64) -> float:
    """Return the optimizer's numbers per trained weight, in weights of 32 bit, by taking one step with it.

    Args:
        config: the optimizer.
        side: of the square weight that the step is taken on; adamw8bit and lion8bit keep more of small ones.
    """
    weight = nn.Parameter(torch.zeros(side, side))
    weight.grad = torch.ones_like(weight)
    rate = next(rate for key in RATES if (rate := getattr(config, key.rpartition(".")[2])))
    # Of the kind that LoRA+ wants to see.
    optimizer = build_optimizer(config, {"part.lora_B": weight}, {"part": rate})
    optimizer.step()
    state = optimizer.state[weight].values()
    return sum(value.nbytes for value in state if isinstance(value, Tensor)) / weight.nbytes


def _own_bytes(module: nn.Module) -> int:
    """Return the size of a part's own weights, adapters left out."""
    adapters = {
        id(parameter)
        for layer in module.modules()
        if isinstance(layer, BaseTunerLayer)
        for name, parameter in layer.named_parameters()
        if not name.startswith("base_layer.")
    }
    return sum(parameter.nbytes for parameter in module.parameters() if id(parameter) not in adapters)
