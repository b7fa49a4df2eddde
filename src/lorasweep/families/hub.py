"""Files of the model hub, and one clear line for each way in which they may not come."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from lorasweep.errors import UserError

CONFIGS = ("model_index.json", "*/config.json", "tokenizer*/*", "scheduler/*", "*/*.index.json")
"""What a base's folder on the hub holds beside weights."""

VARIANTS = ("*/model.*.safetensors", "*/diffusion_pytorch_model.*.safetensors")
"""Weights of variants, such as fp16: not downloaded unless asked for."""


def snapshot(name: str, key: str, *, allow: Sequence[str], ignore: Sequence[str] = (), advice: str) -> Path:
    """Return the folder with a hub model's files, downloaded unless the hub's cache has them.

    Args:
        name: the model's id.
        key: the config key that named it. allow, ignore: patterns of file names.
        advice: what to do where there is no network.

    Raises:
        UserError: an unknown, private or gated model, no network and nothing cached, a full disk.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(allow), ignore_patterns=list(ignore)))
    except Exception as error:
        raise UserError(f"{key}={name}: {_reason(name, error, advice)}") from error


def _reason(name: str, error: Exception, advice: str) -> str:
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    kind = type(error).__name__
    if isinstance(error, GatedRepoError):  # is a RepositoryNotFoundError too
        return (
            f"the model is gated: accept its terms at https://huggingface.co/{name}, then log in with `hf auth login`"
        )
    if isinstance(error, RepositoryNotFoundError):
        return "the hub has no such model, or it is private: check the spelling, or log in with `hf auth login`"
    if isinstance(error, HFValidationError):
        return "this is no path that exists and no id of a hub model: expected organisation/name"
    if isinstance(error, HfHubHTTPError):
        status = getattr(error.response, "status_code", "no status")
        return f"the model hub refused ({kind}, {status}): try again later, or {advice}"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the disk of the hub's cache is full: make room, or set HF_HOME to a folder on another disk"
    return (
        f"there is no such folder, the hub's cache does not have it whole, and the hub cannot be reached ({kind}): "
        f"check the network (HF_HUB_OFFLINE unset), or {advice}"
    )
