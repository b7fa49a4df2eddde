"""What all adapters that PEFT puts into a base's layers have in common; several stand side by side on one base."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from peft import PeftConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from lorasweep.adapters.ranks import idle_rules, layer_rank
from lorasweep.adapters.state import copies, take_over
from lorasweep.adapters.targets import chosen_parts, is_adapter_weight, target_pattern
from lorasweep.errors import UserError
from lorasweep.families.parts import Part
from lorasweep.randomness import generator
from lorasweep.schema import NetworkConfig

if TYPE_CHECKING:
    from lorasweep.families.base import Base


class InjectedAdapter(ABC):
    """An update scale * f(factors) of the weight at every adapted layer, with its factors trained in fp32.

    Factors start as `starts` says, drawn per layer from `(seed, "adapter init", layer's name)`: the same seed and rank
    give the same start whatever else is on the base. scale is the layer's alpha / rank (`ranks.layer_rank`).

    Dropouts act while the component's module is in training mode (`module.train()`), and draw from torch's global
    generator: wrap such forwards in `randomness.global_draws`.
    """

    layer_type: ClassVar[type[BaseTunerLayer]]
    """PEFT's layer of this kind."""

    starts: ClassVar[Mapping[str, float]]
    """How parameters start: 0, or the standard deviation of a normal distribution. All others are
    kaiming_uniform(a=sqrt(5)), that is U(-1/sqrt(fan_in), 1/sqrt(fan_in)). With one factor 0, a new adapter changes
    nothing."""

    def __init__(self, base: Base, network: NetworkConfig, *, components: Sequence[str], seed: int, name: str) -> None:
        """Put a new adapter on `base` and make it the active one; the base's own weights are frozen.

        Args:
            base: the model to adapt.
            network: rank, alpha, dropouts and the layers of the denoiser that are adapted.
            components: names of the parts that get an adapter.
            seed: seed of the initial weights.
            name: what tells the adapters of one base apart.

        Raises:
            UserError: a component has no module that `network` chooses, or an entry of `network.ranks` has no effect.
            ValueError: `name` is already on the base, or a component is unknown.
        """
        parts = chosen_parts(base.family.parts, components)
        self.components = tuple(part.name for part in parts)
        self.network = network
        self._base = base
        self._key = re.sub(r"\W", lambda match: f"_{ord(match[0]):x}_", name)  # PEFT's names must hold no dot
        if any(self._key in layer.r for _, _, layer in self._all_layers()):
            raise ValueError(f"an adapter named {name!r} is already on this base")
        targets = {part.name: _targets(part, base.modules[part.name], network) for part in parts}
        names = [base.family.layer_name(part, path) for part, paths in targets.items() for path in paths]
        if idle := idle_rules(network, names):
            raise UserError(idle)
        for module in base.modules.values():
            _freeze(module)
        self._layers: dict[str, dict[str, Any]] = {}
        try:
            for part in parts:
                self._layers[part.name] = self._inject(part, targets[part.name], seed)
        except BaseException:  # out of memory, say: half an adapter must not stay on a base that others use
            self.remove()
            raise
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

    def named_parameters(self) -> dict[str, nn.Parameter]:
        """Return all parameters by name, such as `unet.down_blocks.1.attentions.0.proj_in.lora_A`."""
        return {
            f"{name}.{factor}": parameter
            for layers in self._layers.values()
            for name, layer in layers.items()
            for factor, parameter in self._parameters_of(layer).items()
        }

    def state(self) -> dict[str, Tensor]:
        """Return fp32 copies on the CPU of all parameters, by the names of `named_parameters`."""
        return copies(self.named_parameters())

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over the values of `state`, all or none.

        Raises:
            UserError: a name is missing or unknown, or a shape is not the adapter's.
        """
        cure = "set network.* (type, rank, layers) and the text encoders' learning rates as they were in training"
        take_over(self.named_parameters(), state, cure=cure)

    @torch.no_grad()
    def limit_norms(self) -> None:
        """Scale down each update whose Frobenius norm is above `network.max_norm`, to that norm.

        As the update is a product of n factors, each of them is multiplied by (max_norm / norm) ** (1 / n); with LoRA
        that is sqrt for both, what sd-scripts' scale_weight_norms does.
        """
        assert self.network.max_norm is not None
        for layers in self._layers.values():
            for layer in layers.values():
                factors = self._factors(layer)
                excess = (self.network.max_norm / self._norm(layer, factors)).clamp(max=1)  # inf at norm 0: stays 1
                for factor in factors.values():
                    factor.mul_(excess ** (1 / len(factors)))

    def remove(self) -> None:
        """Take this adapter off; with the last one gone, the base has the modules of before."""
        for component, path, layer in list(self._all_layers()):
            if layer.active_adapters == [self._key]:
                layer.set_adapter([])  # PEFT would switch to some other adapter, with a warning
            layer.delete_adapter(self._key)
            if not layer.r:
                self._base.modules[component].set_submodule(path, layer.base_layer)
        self._layers = {}

    @abstractmethod
    def _config(self, pattern: str, ranks: dict[str, int]) -> PeftConfig:
        """Return PEFT's config, without its initialisation, for modules that match `pattern`.

        Args:
            pattern: full match of paths.
            ranks: by pattern, where they differ from `network.rank`.
        """

    @abstractmethod
    def _slots(self, layer: Any) -> dict[str, tuple[nn.Module, str]]:
        """Return by our name of each parameter the module that holds it and its name there."""

    def _prepare(self, layer: Any) -> None:  # noqa: B027  most kinds need nothing
        """Change a layer as PEFT made it, before its parameters get their values."""

    def _initial(self, name: str, parameter: nn.Parameter, layer: Any, draws: torch.Generator) -> Tensor:
        """Return the first values of one parameter in fp32, on any device."""
        start = torch.empty(parameter.shape)
        if name not in self.starts:
            return nn.init.kaiming_uniform_(start, a=math.sqrt(5), generator=draws)
        return nn.init.normal_(start, std=std, generator=draws) if (std := self.starts[name]) else start.zero_()

    def _factors(self, layer: Any) -> dict[str, nn.Parameter]:
        """Return the parameters whose product is the update, by name."""
        return self._parameters_of(layer)

    def _norm(self, layer: Any, factors: dict[str, nn.Parameter]) -> Tensor:
        """Return the Frobenius norm of a layer's update, a 0-d tensor."""
        return torch.linalg.vector_norm(layer.get_delta_weight(self._key))

    def _parameters_of(self, layer: Any) -> dict[str, nn.Parameter]:
        return {name: getattr(holder, attribute) for name, (holder, attribute) in self._slots(layer).items()}

    def _inject(self, part: Part, paths: list[str], seed: int) -> dict[str, Any]:
        module = self._base.modules[part.name]
        names = {path: self._base.family.layer_name(part.name, path) for path in paths}
        sizes = {path: layer_rank(self.network, name) for path, name in names.items()}
        by_rank: dict[int, list[str]] = defaultdict(list)
        for path, size in sizes.items():
            if size.rank != self.network.rank:
                by_rank[size.rank].append(f"^{re.escape(path)}")
        config = self._config(
            target_pattern(part, self.network), {"|".join(group): rank for rank, group in by_rank.items()}
        )
        # PEFT cannot put a layer of one kind on a convolution that has one of another: those step aside meanwhile.
        others: dict[str, Any] = {path: it for path in paths if self._is_other(it := module.get_submodule(path))}
        for path, other in others.items():
            module.set_submodule(path, other.get_base_layer())
        # Weights on the meta device first: PEFT's own initialisation would draw from the global generator and
        # take over the base's precision; so they are fp32.
        inject_adapter_in_model(config, module, self._key, low_cpu_mem_usage=True)
        del module.peft_config  # PEFT's note of the last adapter only; nothing here reads it
        for path, other in others.items():
            module.get_submodule(path).base_layer = other
        layers: dict[str, Any] = {}
        for path, name in names.items():
            layer: Any = module.get_submodule(path)
            assert isinstance(layer, self.layer_type)
            layers[name] = layer
            layer.scaling[self._key] = sizes[path].scale
            # PEFT turns inputs into 32 bit, and autocast at once back into 16: as many bytes kept, and nothing gained.
            # With DoRA and dropout it would round in other places.
            layer.cast_input_dtype_enabled = self.network.dora or self.network.draws
            self._prepare(layer)
            self._initialise(layer, generator(seed, "adapter init", name))
            layer.train(module.training)
        return layers

    def _is_other(self, module: nn.Module) -> bool:
        return isinstance(module, BaseTunerLayer) and not isinstance(module, self.layer_type)

    def _initialise(self, layer: Any, draws: torch.Generator) -> None:
        device = layer.get_base_layer().weight.device
        for name, (holder, attribute) in self._slots(layer).items():
            parameter = getattr(holder, attribute)
            if device.type == "meta" and parameter.numel():  # it has a shape, which is all that a forecast asks for
                continue
            values = self._initial(name, parameter, layer, draws)
            setattr(holder, attribute, nn.Parameter(values.to(device)))

    def _switch_to(self, keys: list[str]) -> None:
        for _, _, layer in self._all_layers():
            layer.set_adapter(keys)

    def _all_layers(self) -> Iterator[tuple[str, str, Any]]:
        """Every adapted layer of the base, of any kind and whoever adapted it: component, path in it, layer."""
        for part in self._base.family.parts:
            if part.name in self._base.modules:
                for path, module in self._base.modules[part.name].named_modules():
                    if isinstance(module, BaseTunerLayer):
                        yield part.name, path, module


def peft_factors(layer: Any, key: str) -> dict[str, tuple[nn.Module, str]]:
    """Return a layer's factors, by name: PEFT keeps each in a dict of its own, by adapter."""
    return {name: (getattr(layer, name), key) for name in layer.adapter_layer_names if key in getattr(layer, name)}


def _freeze(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if not is_adapter_weight(name):
            parameter.requires_grad_(False)


def _targets(part: Part, module: nn.Module, network: NetworkConfig) -> list[str]:
    pattern = re.compile(target_pattern(part, network))
    paths = [path for path, _ in module.named_modules() if pattern.fullmatch(path)]
    if not paths:
        keys = ", ".join(f"network.{key}=true" for key in part.layers if key)
        raise UserError(
            f"no module of the base's {part.name} is chosen for the adapter; set at least one of {keys}"
            if keys
            else f"the base's {part.name} has no layers to adapt; set its learning rate to 0"
        )
    return paths
