"""What `--help` prints: written for a person, and quick, since it only lists the files of conf/."""

from __future__ import annotations

import textwrap
from pathlib import Path

from lorasweep import program
from lorasweep.compose.precedence import ORDER

GROUPS = {
    "lora": "what to train: a recipe, its history after the slash",
    "base_model": "the frozen model underneath",
    "dataset": "images and captions (a recipe brings its own)",
    "network": "which layers the LoRA adapts",
    "optimizer": "what turns gradients into steps",
    "scheduler": "the learning rate over time",
    "loss": "what is minimised",
    "evaluation": "what is measured after every epoch",
    "features": "what sees the sample images, for the metrics of images",
    "tracker": "where metrics go",
    "compat": "an old run of another program, repeated",
    "preset": "a bundle of settings on top of the recipe",
    "sweeps": "what a search tries (with -m)",
}
"""The groups in the order in which a person decides, and what each decides."""


def group_choices(*folders: Path) -> dict[str, list[str]]:
    """Return every config group with its choices, in the order of `GROUPS`; private ones left out.

    A choice in a subfolder is written with a slash: lora has food and food/v1.

    Args:
        folders: of configs, the program's first, then those of one's own.
    """
    found: dict[str, set[str]] = {}
    for conf in folders:
        for folder in sorted(path for path in conf.iterdir() if path.is_dir() and path.name != "hydra"):
            files = (path for path in folder.rglob("*.yaml") if not path.name.startswith("_"))
            found.setdefault(folder.name, set()).update(str(file.relative_to(folder))[:-5] for file in files)
    order = list(GROUPS)
    listed = {group: sorted(names, key=_natural) for group, names in found.items()}
    return dict(sorted(listed.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order)))


def text(*folders: Path) -> str:
    """Return the whole help.

    Args:
        folders: as `group_choices` has them.
    """
    lines = []
    for group, names in group_choices(*folders).items():
        lines.append(f"  {group:<11} {GROUPS.get(group, '')}".rstrip())
        listed = textwrap.wrap(", ".join(folded(names)), 94, break_on_hyphens=False)
        lines += [" " * 14 + line for line in listed]
    return _HELP.format(groups="\n".join(lines), order=ORDER).replace("python train.py", program.command())


def folded(names: list[str]) -> list[str]:
    """Return choices with those of each subfolder shortened to one: `food`, `food/v1..v9`."""
    top = [name for name in names if "/" not in name]
    short: list[str] = []
    for name in top:
        below = [other for other in names if other.startswith(f"{name}/")]
        last = f"..{below[-1].partition('/')[2]}" if len(below) > 1 else ""
        short += [name, below[0] + last] if below else [name]
    return short


def _natural(name: str) -> tuple[str, int, str]:
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or 0), name


_HELP = """\
Train a LoRA of a diffusion model, and find out how good it is.

  python train.py [group=choice ...] [key=value ...]

Without arguments it trains lora=fuzzybear on the toy base, which needs neither a GPU nor a network. Every run
makes a version of its own, outputs/<name>/v<N>/: a weights file per epoch, the best one chosen by its loss on
held-out images, samples, a grid, metrics and a record. The files load in ComfyUI, A1111, kohya's scripts and
diffusers.

Examples
  python train.py lora=fuzzybear network.rank=8
  python train.py lora=custom name=Sage dataset.path=photos/sage dataset.trigger=sage_character
  python train.py -m lora=food base_model=sdxl network.rank=4,8,16        a version for each rank
  python train.py -m hydra/sweeper=optuna                                 search for the best version
  python train.py -m sweeps=rank_lr lora=food hydra.sweeper.n_trials=30   docs/search.md tells all about it

Groups and their choices. Who wins:
  {order}
{groups}

Keys used most
  optimizer.lr  optimizer.text_encoder_lr  network.rank  network.alpha  training.batch_size  training.epochs
  training.max_steps (wins over epochs)  dataset.path  dataset.repeats  base_model.path  output_root  seed
  All of them: docs/config-reference.md.

More
  python train.py lora=food --cfg job      show the composed config and stop
  python train.py lora=food resume=latest  go on with the last version where it stopped
  python train.py --hydra-help             what Hydra itself offers
"""
