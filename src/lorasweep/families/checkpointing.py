"""Gradient checkpointing of models of diffusers and of transformers, which switch it in different ways."""

from __future__ import annotations

from typing import Any

from diffusers import ModelMixin
from torch import nn


def set_checkpointing(module: nn.Module, *, on: bool) -> None:
    """Let a model keep fewer activations in training and compute them again in the backward pass, or stop that.

    Args:
        module: a whole model of one of the two libraries.
        on: whether it checkpoints from now on.
    """
    model: Any = module
    if isinstance(module, ModelMixin):
        (model.enable_gradient_checkpointing if on else model.disable_gradient_checkpointing)()
    elif on:
        model.activation_checkpointing_enable({"use_reentrant": False})
    else:
        model.activation_checkpointing_disable()
