"""The optimizer and its learning rates, as sd-scripts wrote them."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import Any

from lorasweep.export.formula import Formula
from lorasweep.export.sd_scripts.about import About
from lorasweep.optim.optimizers import adamw
from lorasweep.optim.optimizers.kind import KohyaClass, optimizer_kind
from lorasweep.schema.optimizer import OPTIMIZERS


@dataclass(frozen=True)
class Theirs:
    """The optimizer of a file.

    Attributes:
        ours: our name for it, or for what comes nearest to it.
        known: its class in sd-scripts.
    """

    ours: str
    known: KohyaClass


UNKNOWN = Theirs("adamw", KohyaClass(adamw.KOHYA, differs="not known here", rate=False))


def known_classes() -> dict[str, Theirs]:
    """Return the optimizers of sd-scripts that are known here, by the names of their classes."""
    return {name: Theirs(ours, theirs) for ours in OPTIMIZERS for name, theirs in optimizer_kind(ours).kohya.items()}


def read_optimizer(about: About, encoders: tuple[bool, bool]) -> Theirs:
    """Read the optimizer, its arguments and its learning rates.

    Args:
        about: the file's metadata.
        encoders: whether each text encoder has layers in the file.

    Returns:
        The class that it is.
    """
    text = about.value("ss_optimizer", str) or "unknown"
    name, _, arguments = text.removesuffix(")").partition("(")
    theirs = known_classes().get(name.rpartition(".")[2], UNKNOWN)
    given = {**theirs.known.assumed, **_arguments(arguments)}
    if theirs.known.differs:
        about.notes.append(f"the optimizer (ss_optimizer={text}), {theirs.known.differs}: here it is {theirs.ours}")
    _read_rates(about, theirs, encoders, relative=given.get("relative_step") is True)
    about.settings["optimizer.name"] = theirs.ours
    if theirs is not UNKNOWN:
        _read_arguments(about, theirs, given)
    return theirs


def read_lora_plus(about: About) -> None:
    """Read LoRA+'s ratio from the network's arguments; the adapter and the optimizer are known."""
    ratios = about.value("ss_network_args", _ratios)
    if not ratios:
        return
    searches = optimizer_kind(about.settings["optimizer.name"]).searches_rate
    if about.settings.get("network.type", "lora") != "lora" or searches:
        about.notes.append(f"LoRA+ (a ratio of {ratios[0]:g}): here it is for lora, with any optimizer but prodigy")
        return
    about.settings["optimizer.lora_plus_ratio"] = ratios[0]
    if ratios[1] != ratios[0]:
        about.notes.append(f"the text encoders' LoRA+ ratio, {ratios[1]}: here all components have one")


def _read_arguments(about: About, theirs: Theirs, given: dict[str, Any]) -> None:
    betas = given.get("betas")
    if isinstance(betas, tuple | list) and len(betas) == 2 and theirs.known.defaults["beta2"] is not None:
        given["beta1"], given["beta2"] = given.pop("betas")
    known = {key: given.pop(key) for key in theirs.known.defaults if _is_number(given.get(key))}
    about.settings |= {f"optimizer.{key}": value for key, value in {**theirs.known.defaults, **known}.items()}
    if theirs.known.own_warmup:
        about.settings["scheduler.warmup_steps"] = given.pop("warmup_steps", 0)
    if rest := {key: value for key, value in given.items() if theirs.known.usual.get(key, ...) != value}:
        about.notes.append(f"what these arguments of the optimizer are here: {rest}")


def _read_rates(about: About, theirs: Theirs, encoders: tuple[bool, bool], relative: bool) -> None:
    common, unet = about.value("ss_learning_rate", float), about.value("ss_unet_lr", float)
    rate: Any = common if unet is None else unet
    text: Any = about.value("ss_text_encoder_lr", ast.literal_eval)
    if isinstance(text, list | tuple):  # networks.lora takes the first for both encoders
        text = next(iter(text), None)
    text = text if _is_number(text) else common
    if relative or not theirs.known.rate:
        why = "with relative steps" if relative else "of another optimizer"
        about.notes.append(f"the learning rates {why}, {rate} and {text}: here they are the base's own")
        rate, text = _base_rates(rate, text)
    elif optimizer_kind(theirs.ours).searches_rate:
        rate, text = _one_rate(about, rate, text)
    first, second = encoders
    frozen = about.settings.get("optimizer.lr") == 0.0  # the file has no layer of the UNet
    if text == 0 and (frozen or rate == 0):
        about.notes.append("learning rates of 0, which train nothing: here they are the base's own")
        rate, text = (1.0, 1.0) if optimizer_kind(theirs.ours).searches_rate else _base_rates(None, None)
    if not frozen:
        about.set("optimizer.lr", rate, "the learning rate")
    about.set("optimizer.text_encoder_lr", text if first else 0.0, "the text encoders' learning rate")
    if first != second:
        about.set("optimizer.text_encoder_2_lr", text if second else 0.0, "encoder 2's learning rate")


def _base_rates(rate: float | None, text: float | None) -> tuple[Formula, Formula]:
    """The rate that suits the base, and the text encoders' in the same proportion as before, else half of it."""
    share = text / rate if rate and text is not None else 0.5
    return Formula("${base_model.lora_lr}"), Formula(f"${{of_base_lr:{share:g}}}")


def _one_rate(about: About, rate: float | None, text: float | None) -> tuple[float, float]:
    """What prodigy's factor on the rate that it finds was: one for all, near 1."""
    if rate is None or not 0.01 <= rate <= 10:
        about.notes.append(f"a learning rate of {rate}: prodigy finds its own and multiplies it by this; here it is 1")
        rate = 1.0
    if text and text != rate:
        about.notes.append(f"a text encoders' learning rate of {text:g}: prodigy has one for all, {rate:g}")
    return rate, 0.0 if text == 0 else rate


def _ratios(text: str) -> tuple[float, float] | None:
    """Read {"loraplus_lr_ratio": "16"}, and what overrules it, as the ratios of the UNet and the text encoders."""
    try:
        arguments = json.loads(text) or {}
        common = arguments.get("loraplus_lr_ratio")
        ratios = [arguments.get(f"loraplus_{part}_lr_ratio", common) for part in ("unet", "text_encoder")]
        return None if ratios == [None, None] else (float(ratios[0] or 1), float(ratios[1] or 1))
    except AttributeError as error:
        raise ValueError(text) from error


def _arguments(text: str) -> dict[str, Any]:
    """Read `weight_decay=0.1,betas=(0.9, 0.99)`; what is no Python literal stays text."""
    arguments: dict[str, Any] = {}
    for part in re.split(r",\s*(?=\w+=)", text):
        key, _, value = part.partition("=")
        if value:
            try:
                arguments[key.strip()] = ast.literal_eval(value)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                arguments[key.strip()] = value
    return arguments


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
