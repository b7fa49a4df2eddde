"""What is known of a kind of adapter."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from lorasweep.schema import NetworkConfig
from lorasweep.schema.network import ADAPTERS

STABILISED = {"rs_lora": "network.rslora"}
"""What LyCORIS calls rank-stabilised scaling, and our key."""


def nothing_missing(ends: Collection[str], network: NetworkConfig) -> str:
    """Return that a layer has all it needs."""
    return ""


@dataclass(frozen=True, kw_only=True)
class AdapterKind:
    """What is known of a kind of adapter: how it is put on a base, what its files hold, what it goes with.

    Attributes:
        build: takes what `adapters.adapter.build_adapter` takes, puts an `Adapter` on a base and returns it.
        prefix: how the names of its parameters begin in PEFT's layers; empty of one that adds none.
        title: what messages call a file of it.
        ends: its parameters -> the ends of their names in a weights file.
        unused_ends: further ends that other programs write, which are known, but not trained here.
        ranked: ends of tensors whose first side is the rank, in the order in which loaders ask them.
        missing: (the ends that a layer of a file has, the settings) -> what it lacks, in words.
        optional: (parameter, settings) -> whether the settings ask for it; others are no part of the file.
        has_lycoris_module: whether what the settings ask for takes LyCORIS' module, as sd-scripts' own lacks it.
        arguments: what its options are in `ss_network_args`, after the common ones; None leaves one out.
        flags: switches in `ss_network_args` -> our keys.
        integers: whole numbers in `ss_network_args` -> our keys.
        quantizations: the values of `base_model.quantization` with which it can be trained.
        uniform_alpha: whether diffusers loads it, so that alphas are written as it reads them (`export.alphas`).
    """

    build: Callable[..., Any]
    prefix: str = ""
    title: str = ""
    ends: Mapping[str, str] = field(default_factory=dict)
    unused_ends: tuple[str, ...] = ()
    ranked: tuple[str, ...] = ()
    missing: Callable[[Collection[str], NetworkConfig], str] = nothing_missing
    optional: Callable[[str, NetworkConfig], bool] = lambda parameter, network: True
    has_lycoris_module: Callable[[NetworkConfig], bool] = lambda network: True
    arguments: Callable[[NetworkConfig], Mapping[str, Any]] = lambda network: {}
    flags: Mapping[str, str] = field(default_factory=dict)
    integers: Mapping[str, str] = field(default_factory=dict)
    quantizations: tuple[str, ...] = ()
    uniform_alpha: bool = False


def adapter_kind(name: str) -> AdapterKind:
    """Return what is known of the kind of adapter of this name.

    Args:
        name: `network.type` of a checked config.

    Raises:
        UserError: there is no such kind.
    """
    kind: AdapterKind = ADAPTERS[name]
    return kind
