"""WeightsFile files from anywhere, put on a base while it draws: an adapter at any strength, or a whole checkpoint.

An adapter's change is added to what its layers compute, not to their weights: nothing is rounded to the base's
precision, quantised bases take it too, several add up, and the base stays as it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear

from lorasweep.errors import UserError
from lorasweep.evaluation.cell_keys import Applied
from lorasweep.export.changes import MID, change, problem, scale
from lorasweep.export.layers import DORA, DOWN, PEFT_DORA, UP, FileLayers, peft_settings, read_layers
from lorasweep.export.weights import read_weights
from lorasweep.families.base import Base, Trainable
from lorasweep.families.finite import is_finite
from lorasweep.families.kinds import LORA, family_of_kind, kind_of
from lorasweep.families.load import load_base
from lorasweep.families.weights_files import read_header, shapes_in
from lorasweep.schema import BaseModelConfig


def weights_digest(path: Path) -> str:
    """Return the SHA-256 of what a weights file computes: its tensors, and alphas that it has in metadata only.

    Copies that differ in title or date have the same one.

    Args:
        path: of a safetensors file.

    Raises:
        UserError: it is none, or damaged.
    """
    try:
        header, start = read_header(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{error}; copy or download it again", title=f"{path} cannot be read") from None
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    with open(path, "rb") as stream:
        stream.seek(start)
        while block := stream.read(1 << 20):
            digest.update(block)
    if path.with_name("adapter_config.json").exists():
        digest.update(path.with_name("adapter_config.json").read_bytes())
    return digest.hexdigest()


class WeightsFile(Protocol):
    """What a file is to a base.

    Attributes:
        path: of the file.
        sha256: `weights_digest` it.
        notes: what of it is not applied, and why; a line each.
    """

    @property
    def path(self) -> Path: ...
    @property
    def sha256(self) -> str: ...
    @property
    def notes(self) -> Sequence[str]: ...

    def on(self, base: Base, strength: float) -> Any:
        """Return a context that gives the base to draw with."""


@dataclass(frozen=True)
class AdapterFile:
    """An adapter's file.

    Attributes:
        path: of the file.
        sha256: `weights_digest` it.
        layers: that it changes.
        notes: what of it is not applied, and why; a line each.
    """

    path: Path
    sha256: str
    layers: FileLayers
    notes: tuple[str, ...] = field(default=())

    @contextmanager
    def on(self, base: Base, strength: float) -> Iterator[Base]:
        """Give the base with the adapter on it for as long as the context lasts.

        Args:
            base: that it was read for; other adapters may be on it.
            strength: what the change is multiplied by.
        """
        modules = modules_of(base)
        with ExitStack() as hooks:
            for layer, tensors in self.layers.tensors.items():
                update = _update(modules[layer], tensors, strength)
                hooks.callback(modules[layer].register_forward_hook(update).remove)
            yield base


@dataclass(frozen=True)
class CheckpointFile:
    """A whole model of the base's family, such as a full fine-tune.

    Attributes:
        path: of the file.
        sha256: `weights_digest` it.
        base_model: what loads it.
        notes: nothing.
    """

    path: Path
    sha256: str
    base_model: BaseModelConfig
    notes: tuple[str, ...] = field(default=())

    @contextmanager
    def on(self, base: Base, strength: float) -> Iterator[Base]:
        """Give the model in place of the base.

        Args:
            base: whose device and precision it gets.
            strength: 1.

        Raises:
            UserError: the strength is another one.
        """
        if strength != 1:
            raise UserError(
                f"{self.path} at strength {strength:g}: a whole checkpoint has no strength; leave it out",
                title="This cannot be drawn",
            )
        dtype = next(next(iter(base.modules.values())).parameters()).dtype
        yield load_base(self.base_model, str(base.device), dtype)


def read(path: Path, base: Base, base_model: BaseModelConfig) -> AdapterFile | CheckpointFile:
    """Return what a weights file is to a base.

    Args:
        path: of a safetensors file of any program.
        base: that it is to be put on.
        base_model: what loaded that.

    Raises:
        UserError: it cannot be read, holds NaN, or nothing in it is for this base.
    """
    title = f"{path} cannot be put on this base"
    shapes = shapes_in(path) if path.is_file() else {}
    kind = kind_of(shapes) if shapes else LORA
    if family_of_kind(kind) == base.family.name:
        source = base.family.files.config_source(base_model)
        found = replace(base_model, path=str(path), vae_path=None, variant=None, config_path=source)
        return CheckpointFile(path, weights_digest(path), found)
    tensors, metadata = read_weights(path)
    if bad := [name for name, tensor in tensors.items() if not is_finite(tensor)]:
        raise UserError(
            f"{len(bad)} of its {len(tensors)} tensors hold NaN or infinity, the first is {bad[0]}: take another file",
            title=title,
        )
    layers = read_layers(tensors, base.naming, peft_settings(path, metadata))
    fitting, notes = _fit(layers, base)
    if not fitting.tensors:
        reason = f": {notes[0]}" if notes else ""
        raise UserError(f"it is {kind}, and none of its layers is for {base.naming.title}{reason}", title=title)
    return AdapterFile(path, weights_digest(path), fitting, tuple(notes))


def applied(weights: WeightsFile, strength: float) -> Applied:
    """Return how a cell's key names a file at a strength."""
    return Applied(weights.sha256, float(strength))


@contextmanager
def all_on(base: Base, weights: Sequence[tuple[WeightsFile, float]]) -> Iterator[Base]:
    """Give a base with several files on it, or the bare base.

    Args:
        base: loaded.
        weights: files and strengths.
    """
    with ExitStack() as stack:
        for each, strength in weights:
            base = stack.enter_context(each.on(base, strength))
        yield base


def modules_of(base: Trainable) -> dict[str, nn.Module]:
    """Return every linear and convolutional layer of a base's trainable parts, by its stable name."""
    return {
        base.family.layer_name(part.name, path): module
        for part in base.family.parts
        if part.name in base.modules
        for path, module in base.modules[part.name].named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    }


def _fit(layers: FileLayers, base: Base) -> tuple[FileLayers, list[str]]:
    """Return the layers of a file that a base has, and a line on each kind of what is left out."""
    modules = modules_of(base)
    fitting, names = {}, {}
    left: dict[str, list[str]] = {}
    for name, why in layers.others.items():
        left.setdefault("no layer of this base has such a tensor", []).append(f"{name} ({why})")
    for layer, tensors in layers.tensors.items():
        if (reason := _misfit(modules.get(layer), tensors)) is not None:
            left.setdefault(reason, []).append(layers.names[layer])
            continue
        fitting[layer], names[layer] = tensors, layers.names[layer]
    total = len(layers.tensors)
    notes = [f"{len(found)} not applied, such as {found[0]}: {reason}" for reason, found in left.items()]
    if notes:
        notes.insert(0, f"{len(fitting)} of {total} layers applied")
    return FileLayers(layers.naming, fitting, names), notes


def _misfit(module: nn.Module | None, tensors: dict[str, Tensor]) -> str | None:
    """Return why a layer of a file cannot be put on a module; None where it can."""
    if module is None:
        return "this base has no such layer"
    if reason := problem(tensors.keys()):
        return reason
    assert isinstance(module, nn.Linear | nn.Conv2d)
    shape = _shape(module)
    if {DORA, PEFT_DORA} & tensors.keys() and module.weight.shape != shape:
        return "lengths of its weights (DoRA) cannot be applied to quantised ones: set base_model.quantization=none"
    try:
        change(tensors, torch.empty(shape, device="meta"))
    except RuntimeError:
        return "it is for a layer of other sizes"
    return None


def _shape(module: nn.Linear | nn.Conv2d) -> torch.Size:
    """Return the shape of a layer's weight, which a quantised one does not keep."""
    if isinstance(module, nn.Conv2d):
        return module.weight.shape
    return torch.Size((module.out_features, module.in_features))


def _update(module: nn.Module, tensors: dict[str, Tensor], strength: float) -> Any:
    """Return the hook that adds a layer's change to what a module computes."""
    assert isinstance(module, nn.Linear | nn.Conv2d)
    device = module.weight.device
    if tensors.keys() & {DORA, PEFT_DORA, MID} or UP not in tensors:
        known = module.weight if module.weight.shape == _shape(module) else torch.empty(_shape(module), device=device)
        whole = change(tensors, known.detach())
        return lambda own, inputs, output: output + _compute(own, inputs[0], whole) * strength
    down, up = (tensors[end].to(device, torch.float32) for end in (DOWN, UP))
    factor = scale(tensors) * strength

    def add(own: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        inner = _compute(own, inputs[0], down)
        outer = up.to(inner.dtype)
        if isinstance(own, nn.Conv2d):
            return output + conv2d(inner, outer.reshape(*outer.shape[:2], 1, 1)) * factor
        return output + linear(inner, outer.flatten(1)) * factor

    return add


def _compute(module: nn.Module, x: Tensor, weight: Tensor) -> Tensor:
    """Return what a layer would compute of `x` with another weight and no bias."""
    if isinstance(module, nn.Conv2d):
        shaped = weight if weight.dim() == 4 else weight[:, :, None, None]
        return conv2d(x, shaped.to(x.dtype), None, module.stride, module.padding, module.dilation, module.groups)
    return linear(x, weight.flatten(1).to(x.dtype))
