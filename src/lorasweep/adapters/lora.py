"""Low-rank adapters (LoRA, arXiv 2106.09685) through PEFT, several side by side on one base."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import nn

from lorasweep.adapters.targets import COMPONENTS, UNET_LAYERS, stable_name, target_pattern
from lorasweep.config import NetworkConfig
from lorasweep.errors import UserError
from lorasweep.randomness import generator

if TYPE_CHECKING:
    from lorasweep.bases.base import Base


class LoraAdapter:
    """W + alpha / rank * B @ A at every adapted module, with A (`lora_A`) and B (`lora_B`) trained in fp32.

    A starts as kaiming_uniform(a=sqrt(5)), that is U(-1/sqrt(fan_in), 1/sqrt(fan_in)), drawn per module from
    `(seed, "adapter init", module name)`; B starts at zero, so a new adapter changes nothing. The same seed
    and rank give the same start whatever else is on the base.

    Dropout acts on the adapter's input while the component's module is in training mode (`module.train()`),
    and draws from torch's global generator: wrap such forwards in `randomness.global_draws`.

    All adapters of a base must be of this class: it keeps every adapted layer switched to the same adapter.
    """

    def __init__(self, base: Base, network: NetworkConfig, *, components: Sequence[str], seed: int, name: str) -> None:
        """Put a new adapter on `base` and make it the active one; the base's own weights are frozen.

        Args:
            base: the model to adapt.
            network: rank, alpha, dropout and the layers of the UNet that are adapted.
            components: of ("unet", "text_encoder", "text_encoder_2"), those that get an adapter.
            seed: seed of the initial weights.
            name: what tells the adapters of one base apart.

        Raises:
            UserError: a component has no module that `network` chooses.
            ValueError: `name` is already on the base, or a component is unknown.
        """
        unknown = set(components) - set(COMPONENTS)
        if unknown:
            raise ValueError(f"unknown components {sorted(unknown)}; there are {COMPONENTS}")
        self.components = tuple(component for component in COMPONENTS if component in components)
        self._base = base
        self._key = re.sub(r"\W", lambda match: f"_{ord(match[0]):x}_", name)  # PEFT's names must hold no dot
        if any(self._key in layer.r for _, _, layer in self._all_layers()):
            raise ValueError(f"an adapter named {name!r} is already on this base")
        targets = {part: _targets(part, base.modules[part], network) for part in self.components}
        for module in base.modules.values():
            _freeze(module)
        self._layers: dict[str, dict[str, LoraLayer]] = {}
        for part, names in targets.items():
            self._layers[part] = self._inject(part, names, network, seed)
        self._switch_to([self._key])

    def activate(self) -> None:
        """Let this adapter take part in forwards and get gradients, and no other on the base."""
        first = next(layer for layers in self._layers.values() for layer in layers.values())
        if first.active_adapters != [self._key]:  # all layers are switched together, so one tells for all
            self._switch_to([self._key])

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Give the bare base: no adapter takes part in forwards while this context lasts."""
        layers = [layer for _, _, layer in self._all_layers() if not layer.disable_adapters]
        for layer in layers:
            layer.enable_adapters(False)
        try:
            yield
        finally:
            for layer in layers:
                layer.enable_adapters(True)

    def parameters(self, component: str) -> list[nn.Parameter]:
        """Return the parameters of one component, in the base's order; empty when it isn't adapted."""
        return [
            parameter
            for layer in self._layers.get(component, {}).values()
            for parameter in (layer.lora_A[self._key].weight, layer.lora_B[self._key].weight)
        ]

    def named_parameters(self) -> dict[str, nn.Parameter]:
        """Return all parameters by name, such as `unet.down_blocks.1.attentions.0.proj_in.lora_A`.

        `lora_A` is (rank, in) or (rank, in, k, k), `lora_B` (out, rank) or (out, rank, 1, 1).
        """
        named: dict[str, nn.Parameter] = {}
        for layers in self._layers.values():
            for name, layer in layers.items():
                named[f"{name}.lora_A"] = layer.lora_A[self._key].weight
                named[f"{name}.lora_B"] = layer.lora_B[self._key].weight
        return named

    def state(self) -> dict[str, torch.Tensor]:
        """Return fp32 copies on the CPU of all parameters, by the names of `named_parameters`."""
        return {
            name: parameter.detach().to("cpu", torch.float32, copy=True)
            for name, parameter in self.named_parameters().items()
        }

    @torch.no_grad()
    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over the values of `state`, all or none.

        Raises:
            UserError: a name is missing or unknown, or a shape is not the adapter's.
        """
        named = self.named_parameters()
        problems = [f"no values for {name}" for name in named if name not in state]
        problems += [f"values for {name}, which this adapter does not have" for name in state if name not in named]
        problems += [
            f"{name} has the shape {tuple(state[name].shape)}, this adapter's is {tuple(parameter.shape)}"
            for name, parameter in named.items()
            if name in state and state[name].shape != parameter.shape
        ]
        if problems:
            shown = problems[:5] + ([f"... and {len(problems) - 5} more"] if len(problems) > 5 else [])
            shown.append("set network.* (rank, layers) and the text encoders' learning rates as they were in training")
            raise UserError(shown, title="These adapter weights do not fit")
        for name, parameter in named.items():
            parameter.copy_(state[name])

    def remove(self) -> None:
        """Take this adapter off; with the last one gone, the base has the modules of before."""
        for component, name, layer in list(self._all_layers()):
            if layer.active_adapters == [self._key]:
                layer.set_adapter([])  # PEFT would switch to some other adapter, with a warning
            layer.delete_adapter(self._key)
            if not layer.r:
                self._base.modules[component].set_submodule(name, layer.get_base_layer())
        self._layers = {}

    def _inject(self, component: str, names: list[str], network: NetworkConfig, seed: int) -> dict[str, LoraLayer]:
        module = self._base.modules[component]
        config = LoraConfig(
            r=network.rank,
            lora_alpha=network.alpha,  # PEFT says int, but only divides it by the rank
            lora_dropout=network.dropout,
            target_modules=target_pattern(component, network),
            init_lora_weights=False,
        )
        # Weights on the meta device first: PEFT's own initialisation would draw from the global generator and
        # take over the base's precision; so they are fp32.
        inject_adapter_in_model(config, module, self._key, low_cpu_mem_usage=True)
        del module.peft_config  # PEFT's note of the last adapter only; nothing here reads it
        layers: dict[str, LoraLayer] = {}
        for name in names:
            layer = module.get_submodule(name)
            assert isinstance(layer, LoraLayer)
            layers[stable_name(component, name)] = layer
            self._initialise(stable_name(component, name), layer, seed)
            layer.train(module.training)
        return layers

    def _initialise(self, name: str, layer: LoraLayer, seed: int) -> None:
        device = layer.get_base_layer().weight.device
        down, up = layer.lora_A[self._key], layer.lora_B[self._key]
        down.to_empty(device=device)
        up.to_empty(device=device)
        with torch.no_grad():
            start = torch.empty(down.weight.shape)
            nn.init.kaiming_uniform_(start, a=math.sqrt(5), generator=generator(seed, "adapter init", name))
            down.weight.copy_(start)
            up.weight.zero_()

    def _switch_to(self, keys: list[str]) -> None:
        for _, _, layer in self._all_layers():
            layer.set_adapter(keys)

    def _all_layers(self) -> Iterator[tuple[str, str, LoraLayer]]:
        """Every adapted layer of the base, whoever adapted it: component, path in it, layer."""
        for component in COMPONENTS:
            if component in self._base.modules:
                for name, module in self._base.modules[component].named_modules():
                    if isinstance(module, LoraLayer):
                        yield component, name, module


def _freeze(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if ".lora_" not in name:
            parameter.requires_grad_(False)


def _targets(component: str, module: nn.Module, network: NetworkConfig) -> list[str]:
    pattern = re.compile(target_pattern(component, network))
    names = [name for name, _ in module.named_modules() if pattern.fullmatch(name)]
    if not names:
        keys = ", ".join(f"network.{key}=true" for key in UNET_LAYERS)
        raise UserError(
            f"no module of the base's {component} is chosen for the adapter; set at least one of {keys}"
            if component == "unet"
            else f"the base's {component} has no CLIP layers to adapt; set its learning rate to 0"
        )
    return names
