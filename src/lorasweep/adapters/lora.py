"""Low-rank adapters: LoRA (arXiv 2106.09685), rank-stabilised (2312.03732) and weight-decomposed (DoRA, 2402.09353)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from peft.tuners.lora.layer import LoraVariant
from torch import Tensor, nn
from torch.nn.functional import dropout, linear

from lorasweep.adapters.injected import InjectedAdapter


class LoraAdapter(InjectedAdapter):
    """W + scale * B @ A, with `lora_A` (rank, in) or (rank, in, k, k) and `lora_B` (out, rank) or (out, rank, 1, 1).

    With DoRA V = W + scale * B @ A becomes V * `dora_scale` / |V|, where |V| is the length of each input column, over
    outputs and kernel; `dora_scale` is (1, in) or (1, in, 1, 1) and starts as |W|. The columns are LyCORIS' and the
    paper's; PEFT and diffusers take rows, which ComfyUI divides by the wrong length (its pull request 15458).
    """

    layer_type = LoraLayer
    starts: ClassVar[Mapping[str, float]] = {"lora_B": 0.0}

    def _config(self, pattern: str, ranks: dict[str, int]) -> LoraConfig:
        return LoraConfig(
            r=self.network.rank,
            lora_dropout=self.network.dropout,
            target_modules=pattern,
            rank_pattern=ranks,
            init_lora_weights=False,
        )

    def _slots(self, layer: Any) -> dict[str, tuple[nn.Module, str]]:
        key = self._key
        slots: dict[str, tuple[nn.Module, str]] = {
            "lora_A": (layer.lora_A[key], "weight"),
            "lora_B": (layer.lora_B[key], "weight"),
        }
        if self.network.dora:
            slots["dora_scale"] = (layer.lora_magnitude_vector[key], "weight")
        return slots

    def _prepare(self, layer: Any) -> None:
        network = self.network
        if network.dora:
            layer.lora_magnitude_vector[self._key] = _Magnitude()
        if network.dora or network.rank_dropout or network.module_dropout:
            layer.lora_variant[self._key] = _Variant(network.rank_dropout, network.module_dropout, network.dora)

    def _initial(self, name: str, parameter: nn.Parameter, layer: Any, draws: torch.Generator) -> Tensor:
        if name == "dora_scale":
            return _column_norms(layer.get_base_layer().weight.detach().float())
        return super()._initial(name, parameter, layer, draws)

    def _factors(self, layer: Any) -> dict[str, nn.Parameter]:
        return {name: parameter for name, parameter in super()._factors(layer).items() if name != "dora_scale"}

    def _norm(self, layer: Any, factors: dict[str, nn.Parameter]) -> Tensor:
        """|B A|^2 = trace((B^T B) (A A^T)): two rank x rank matrices instead of the whole update."""
        down, up = factors["lora_A"].flatten(1), factors["lora_B"].flatten(1)
        return layer.scaling[self._key] * ((up.T @ up) * (down @ down.T)).sum().clamp(min=0).sqrt()


class _Magnitude(nn.Module):
    """Where PEFT expects an adapter's lengths of columns."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(0))


class _Variant(LoraVariant):
    """What a LoRA layer computes with DoRA, or with dropouts that PEFT lacks."""

    def __init__(self, rank_dropout: float, module_dropout: float, dora: bool) -> None:
        self.rank_dropout, self.module_dropout, self.dora = rank_dropout, module_dropout, dora

    def forward(self, module: Any, active_adapter: str, x: Tensor, result: Tensor, **_: Any) -> Tensor:  # type: ignore[override]
        """Return the layer's output; `result` is the base's for `x`, (B, ..., in) or (B, in, height, width)."""
        down, up = module.lora_A[active_adapter], module.lora_B[active_adapter]
        if module.training and self.module_dropout and torch.rand(()) < self.module_dropout:
            return result
        if self.dora:
            # Scaling the weight's columns is scaling the inputs, so that the base's bias needs no care.
            scaled = x * _as_input(self._gain(module, active_adapter), x)
            result = result + _without_bias(module.get_base_layer(), scaled - x)
            x = scaled
        inner = down(module.lora_dropout[active_adapter](x))
        if module.training and self.rank_dropout:
            # One mask per image, the same at all of its places, as in sd-scripts.
            axis = 1 if isinstance(down, nn.Conv2d) else -1
            shape = [1] * inner.dim()
            shape[0], shape[axis] = inner.shape[0], inner.shape[axis]
            inner = inner * dropout(inner.new_ones(shape), self.rank_dropout)
        return result + up(inner) * module.scaling[active_adapter]

    def _gain(self, module: Any, key: str) -> Tensor:
        """The factor of each input column: its learned length over its own, which gets no gradient (section 4.3)."""
        weight = module.get_base_layer().weight.detach().float()
        down, up = module.lora_A[key].weight.detach(), module.lora_B[key].weight.detach()
        update = module.scaling[key] * (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
        return module.lora_magnitude_vector[key].weight / _column_norms(weight + update)


def _column_norms(weight: Tensor) -> Tensor:
    """The length of each input column of a weight: (1, in) or (1, in, 1, 1)."""
    return torch.linalg.vector_norm(weight, dim=[axis for axis in range(weight.dim()) if axis != 1], keepdim=True)


def _as_input(gain: Tensor, x: Tensor) -> Tensor:
    """Gains in a shape that multiplies inputs: the last axis of linear layers, the second of convolutions."""
    return gain if gain.dim() == 4 else gain.view(-1)


def _without_bias(layer: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    x = x.to(layer.weight.dtype)
    return layer._conv_forward(x, layer.weight, None) if isinstance(layer, nn.Conv2d) else linear(x, layer.weight)
