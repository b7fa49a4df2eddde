"""The command that makes the toy's weights: `python -m lorasweep.toy.build`.

Four parts, each resumable (run the command again after a stop): the VAE, more training for its decoder alone, the
CLIP, and the UNet with its text encoders, which needs the VAE. `build.json` beside the weights tells with which seeds,
steps and batch sizes they were made, how long it took, and what they can do on drawings that they were not trained on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorasweep.families.shipped import WEIGHTS_PATH

PARTS = ("vae", "decoder", "clip", "unet")


@dataclass(frozen=True)
class Recipe:
    """How one part is trained: optimizer steps, rows per step and worker, peak learning rate."""

    steps: int
    batch: int
    lr: float


RECIPES = {
    "vae": Recipe(5400, 8, 1.5e-3),
    "decoder": Recipe(1500, 8, 1e-3),
    "clip": Recipe(1300, 64, 1e-3),
    "unet": Recipe(10_000, 16, 1e-3),
}
"""What made the shipped weights: VAE, decoder and CLIP from the previous version's (`--start`), with one worker; the
UNet from random ones, with two, and 7,000 steps more that began with what came of it."""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line; on a wrong one argparse explains and leaves with status 2."""
    parser = argparse.ArgumentParser(prog="python -m lorasweep.toy.build", description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=PARTS, help="build this part only")
    parser.add_argument("--steps", type=int, help="optimizer steps, with --only (the shipped weights' number)")
    parser.add_argument("--out", type=Path, default=WEIGHTS_PATH, help="where base/, clip/ and build.json go")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "lorasweep-toy",
                        help="where drawings, latents and resumable states are kept")  # fmt: skip
    parser.add_argument("--start", type=Path, help="folder of finished weights to begin from, made as --out was")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another toy world (0)")
    parser.add_argument("--workers", type=int, default=2, choices=(1, 2), help="processes that share each step (2)")
    parser.add_argument("--worker", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.steps is not None and (options.only is None or options.steps < 1):
        parser.error("--steps needs --only and a number above 0")
    vae = options.out / "base" / "vae"
    if options.only in ("decoder", "unet") and not vae.is_dir():
        parser.error(f"--only {options.only} needs a finished VAE, and there is no {vae}: build it first, or copy one")
    if options.start and not options.start.is_dir():
        parser.error(f"--start {options.start}: there is no such folder")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Build what the command line asks for."""
    options = parse_arguments(arguments)
    for part in (options.only,) if options.only else PARTS:
        recipe = RECIPES[part]
        steps = options.steps or recipe.steps
        workers = 1 if part in ("clip", "decoder") else options.workers
        helpers = []
        if workers > 1 and options.worker == 0 and part == "vae":  # the UNet's trainer starts its own
            draw_images(options.cache, options.seed)
            helpers = [_start_helper(part, steps, options)]
        try:
            seconds = train_part(part, Recipe(steps, recipe.batch, recipe.lr), options, workers)
        finally:
            for helper in helpers:
                helper.wait()
        if options.worker == 0:
            rows = recipe.batch if part == "unet" else recipe.batch * workers  # the trainer's batch is the whole one
            made = {"seed": options.seed, "steps": steps, "batch": rows, "lr": recipe.lr,
                    "workers": workers, "minutes": round(seconds / 60, 1)}  # fmt: skip
            write_entry(options.out, part, made | figures(part, options.out))
    return 0


def draw_images(cache: Path, seed: int) -> None:
    """Draw what the VAE is trained on, so that two workers do not both do it."""
    from lorasweep.toy.train_vae import HUMANOIDS, vae_pictures

    vae_pictures(cache, seed, HUMANOIDS)


def train_part(part: str, recipe: Recipe, options: argparse.Namespace, workers: int) -> float:
    """Train one part with this process's share of the work and return the seconds it took."""
    import torch

    torch.set_num_threads(1)
    common: dict[str, Any] = {"seed": options.seed, "steps": recipe.steps, "batch": recipe.batch, "lr": recipe.lr}
    if part == "decoder":
        from lorasweep.toy.train_vae import train_decoder

        return train_decoder(options.out / "base" / "vae", options.cache, **common)
    if part == "clip":
        from lorasweep.toy.train_clip import train_clip

        vae = options.out / "base" / "vae"
        return train_clip(options.out / "clip", options.cache, vae=vae if vae.exists() else None,
                          start=options.start and options.start / "clip", **common)  # fmt: skip
    if part == "vae":
        from lorasweep.toy.train_vae import train_vae

        return train_vae(options.out / "base" / "vae", options.cache, worker=options.worker, workers=workers,
                         start=options.start and options.start / "base" / "vae", **common)  # fmt: skip
    from lorasweep.toy.train_unet import train_unet

    return train_unet(options.out / "base", options.cache / "unet", workers=workers,
                      start=options.start and options.start / "base", **common)  # fmt: skip


def figures(part: str, out: Path) -> dict[str, Any]:
    """Return what the finished part can do on held-out drawings."""
    from lorasweep.toy import measure
    from lorasweep.toy.humanoids import FIRST_HELDOUT, draw_humanoids

    if part in ("vae", "decoder"):
        error = measure.reconstruct(draw_humanoids(256, start=FIRST_HELDOUT), out / "base")[1]
        return {"held_out_error": round(error, 4)}
    if part == "clip":
        return {"held_out_accuracy": _rounded(measure.clip_figures(500, out / "clip"))}
    if not (out / "clip").exists():
        return {}
    return {"sample_accuracy": _rounded(measure.base_figures(100, out / "base", out / "clip"))}


def write_entry(out: Path, part: str, entry: dict[str, Any]) -> None:
    """Write `entry` for `part` into `build.json`, leaving the other parts' entries as they are."""
    path = out / "build.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(known | {part: entry}, indent=2) + "\n", encoding="utf-8")


def _rounded(shares: dict[str, float]) -> dict[str, float]:
    return {name: round(share, 3) for name, share in shares.items()}


def _start_helper(part: str, steps: int, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lorasweep.toy.build", "--only", part, "--steps", str(steps),
               "--out", str(options.out), "--cache", str(options.cache), "--seed", str(options.seed),
               "--workers", "2", "--worker", "1",
               *(["--start", str(options.start)] if options.start else [])]  # fmt: skip
    return subprocess.Popen(command)


if __name__ == "__main__":
    raise SystemExit(main())
