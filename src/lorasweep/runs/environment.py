"""What a version ran on, for its record."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from lorasweep import program

PACKAGES = (
    "lorasweep",
    "torch",
    "diffusers",
    "transformers",
    "peft",
    "accelerate",
    "bitsandbytes",
    "hydra-core",
    "safetensors",
    "wandb",
)


def environment(device: torch.device, *others: str) -> dict[str, str | None]:
    """Return package versions, Python, the git commit of the checkout (with `+` if it has changes) and the device.

    Args:
        device: that is trained on.
        *others: packages that the version uses besides `PACKAGES`; empty names are left out.
    """
    found: dict[str, str | None] = {name: _version(name) for name in dict.fromkeys((*PACKAGES, *others)) if name}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return found | {
        "python": platform.python_version(),
        "git_commit": git_commit(),
        "device": f"{device} ({name})",
    }


def git_commit() -> str | None:
    """Return the commit that the program runs from, or None outside a checkout."""
    if (root := program.checkout()) is None:
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
