"""Overrides of the command line, judged one by one before Hydra composes them: what cannot be meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override
from hydra.errors import HydraException

from lorasweep.config import Key, schema_keys
from lorasweep.errors import Problem
from lorasweep.text import did_you_mean, nearest

# What people who come from kohya's scripts type first, where no name of ours is close enough to be guessed.
_KOHYA = {
    "algo": "network",
    "bucket_reso_steps": "dataset.bucket_step",
    "cache_latents": "dataset.cache",
    "cache_latents_to_disk": "dataset.cache",
    "cache_text_encoder_outputs": "dataset.cache",
    "caption_dropout_rate": "dataset.caption_dropout",
    "caption_tag_dropout_rate": "dataset.tag_dropout",
    "conditioning_data_dir": "dataset.mask_path",
    "conv_dim": "network.ranks",
    "debiased_estimation_loss": "loss.debiased",
    "dora_wd": "network.dora",
    "enable_bucket": "dataset.buckets",
    "flip_aug": "dataset.flip",
    "gradient_accumulation_steps": "training.gradient_accumulation",
    "ip_noise_gamma": "loss.input_perturbation",
    "ip_noise_gamma_random_strength": "loss.input_perturbation_random",
    "learning_rate": "optimizer.lr",
    "learning_rate_te1": "optimizer.text_encoder_lr",
    "learning_rate_te2": "optimizer.text_encoder_2_lr",
    "log_with": "tracker",
    "loraplus_lr_ratio": "optimizer.lora_plus_ratio",
    "loss_type": "loss",
    "lr_decay_steps": "scheduler.decay_ratio",
    "lr_scheduler": "scheduler",
    "lr_scheduler_min_lr_ratio": "scheduler.min_lr_ratio",
    "lr_scheduler_num_cycles": "scheduler.cycles",
    "lr_scheduler_power": "scheduler.power",
    "lr_warmup_steps": "scheduler.warmup_steps",
    "masked_loss": "dataset.mask_path",
    "max_bucket_reso": "dataset.bucket_max",
    "max_token_length": "dataset.max_tokens",
    "max_train_epochs": "training.epochs",
    "max_train_steps": "training.max_steps",
    "min_bucket_reso": "dataset.bucket_min",
    "multires_noise_discount": "loss.multires_discount",
    "multires_noise_iterations": "loss.multires_iterations",
    "network_alpha": "network.alpha",
    "network_dim": "network.rank",
    "network_dropout": "network.dropout",
    "network_module": "network",
    "network_train_unet_only": "optimizer.text_encoder_lr",
    "network_weights": "network.start_from",
    "noise_offset_random_strength": "loss.noise_offset_random",
    "num_repeats": "dataset.repeats",
    "optimizer_type": "optimizer",
    "output_dir": "output_root",
    "output_name": "name",
    "pretrained_model_name_or_path": "base_model.path",
    "reg_data_dir": "dataset.regularisation_path",
    "rs_lora": "network.rslora",
    "sample_every_n_epochs": "sampling.every_epochs",
    "sample_prompts": "sampling.prompts",
    "save_every_n_epochs": "training.save_every_epochs",
    "save_every_n_steps": "training.state_every_steps",
    "save_state": "training.state_every_steps",
    "scale_weight_norms": "network.max_norm",
    "shuffle_caption": "dataset.shuffle_tags",
    "train_batch_size": "training.batch_size",
    "train_data_dir": "dataset.path",
    "unet_lr": "optimizer.lr",
    "use_tucker": "network.tucker",
    "v_parameterization": "base_model.prediction_type",
    "vae": "base_model.vae_path",
    "validate_every_n_epochs": "evaluation.every_epochs",
    "validation_split": "dataset.holdout",
}


@dataclass
class Judged:
    """The overrides of one command line: the problems, and by their text those that can be composed."""

    problems: list[Problem] = field(default_factory=list)
    groups: dict[str, Override] = field(default_factory=dict)
    values: dict[str, Override] = field(default_factory=dict)


def judge(overrides: Sequence[str]) -> Judged:
    """Judge each override by itself: its syntax, its group and choice, its key. Hydra must be initialized."""
    judged = Judged()
    choices = _Choices(elsewhere=any(text.lstrip("+").startswith("hydra.searchpath=") for text in overrides))
    known = schema_keys()
    for text in overrides:
        override = parsed(text)
        if override is None or override.is_sweep_override():
            key = text.partition("=")[0]
            wrong = "add -m to train a version for each" if override else "expected key=value"
            cure = f"text with commas or spaces is quoted: '{key}=\"a, b\"'"
            judged.problems.append(Problem(f"{text}: {wrong}; {cure}", key.lstrip("+~")))
            continue
        is_group = override.key_or_group not in known and choices.has(override.key_or_group)
        problem = choices.problem(text, override) if is_group else _key_problem(text, override, known, choices)
        if problem:
            judged.problems.append(problem)
        else:
            (judged.groups if is_group else judged.values)[text] = override
    return judged


class _Choices:
    """The config groups that Hydra was initialized with, and their choices; a leading _ makes a name private.

    Args:
        elsewhere: whether the command line adds folders of configs; what is unknown is then left to Hydra.
    """

    def __init__(self, elsewhere: bool) -> None:
        self.elsewhere = elsewhere
        # The loader's own get_group_options copies every config on every call.
        self._repository: Any = GlobalHydra.instance().config_loader().repository  # type: ignore[attr-defined]
        everything = self._repository.get_group_options("", ObjectType.GROUP)
        self.groups = [group for group in everything if group != "hydra"]

    def has(self, group: str) -> bool:
        return group in self.groups or group.startswith("hydra/") or (self.elsewhere and "." not in group)

    def of(self, group: str) -> list[str]:
        """Return the choices of a group, those in subfolders included (lora has food and food/v1)."""
        found = list(self._repository.get_group_options(group, ObjectType.CONFIG))
        for folder in self._repository.get_group_options(group, ObjectType.GROUP):
            found += [f"{folder}/{choice}" for choice in self.of(f"{group}/{folder}")]
        return [choice for choice in found if not choice.startswith("_")]

    def problem(self, text: str, override: Override) -> Problem | None:
        """Return what is wrong with the choice of a group, or None."""
        group, value, choices = override.key_or_group, override.value(), self.of(override.key_or_group)
        if override.is_delete() or value in choices or self.elsewhere:
            return None
        if value is None:
            return Problem(f"{text}: leave it out, or write ~{group} for none at all", group)
        if f"{group}.path" in schema_keys() and isinstance(value, str) and Path(value).exists():
            return Problem(f"{text}: {value} is a path; give it as {group}.path={value}", group)
        folder = str(value).rpartition("/")[0]  # for food/v10, list food's versions
        near = [choice for choice in choices if choice.rpartition("/")[0] == folder]
        shown = near or [choice for choice in choices if "/" not in choice]
        return Problem(f"{text}: expected one of {', '.join(shown)}{did_you_mean(str(value), choices)}", group)


def _key_problem(text: str, override: Override, known: Mapping[str, Key], choices: _Choices) -> Problem | None:
    key = override.key_or_group
    of_list = any(key.startswith(f"{name}.") for name, entry in known.items() if entry.kind is list)
    if key.startswith("hydra.") or ((key in known or of_list) and not override.is_delete()):
        return None
    if "_target_" in key.split("."):
        return Problem(f"{text}: a config cannot name code to run; choose from a group, such as optimizer=adamw", key)
    if override.is_delete():
        return Problem(f"{text}: a key cannot be taken away; set it instead, with {key}=...", key)
    hint, meant = _suggestion(key, known, choices.groups)
    return Problem(f"{text}: there is no key {key}{hint}", *meant)


def _suggestion(key: str, known: Mapping[str, Key], groups: list[str]) -> tuple[str, list[str]]:
    """Return what to say of a key that does not exist, and the keys or groups that may be meant by it."""
    leaf = key.rpartition(".")[2]
    if leaf in _KOHYA:
        return f"; what kohya calls {leaf} is {_KOHYA[leaf]} here", [_KOHYA[leaf]]
    leaves: dict[str, list[str]] = {}
    for name in known:
        leaves.setdefault(name.rpartition(".")[2], []).append(name)
    if leaf in leaves:
        return f"; did you mean {' or '.join(leaves[leaf][:3])}?", leaves[leaf]
    whole = nearest(key, [*known, *groups])
    part = nearest(leaf, leaves)
    guess = whole or (part and leaves[part][0])
    if not guess:
        return "; docs/config-reference.md lists all keys", []
    return f"; did you mean {guess}?", [guess]


def parsed(text: str) -> Override | None:
    """Return an override as Hydra reads it; None if it cannot be read."""
    try:
        return OverridesParser.create().parse_override(text)
    except (HydraException, ValueError):
        return None


def _swept(override: Override) -> Iterator[str]:
    """Yield the overrides that stand for all values of a sweep; none for a glob, which names what exists."""
    key, sweep = override.get_key_element(), override.value()
    if isinstance(sweep, IntervalSweep):
        yield from (f"{key}={end:g}" for end in (sweep.start, sweep.end))
    elif not isinstance(sweep, Glob):
        values = list(override.sweep_string_iterator())
        ends = values[:1] + values[-1:] if override.is_range_sweep() else values
        yield from (f"{key}={value}" for value in dict.fromkeys(ends))


def variants(overrides: Sequence[str]) -> list[list[str]]:
    """Return command lines without sweeps that between them use every value of a multirun's sweeps once.

    Of a range or an interval the two ends stand for all. Overrides that cannot be read are passed on.
    """
    values: list[list[str]] = []
    for text in overrides:
        override = parsed(text)
        values.append(list(_swept(override)) if override and override.is_sweep_override() else [text])
    values = [choices for choices in values if choices]
    first = [choices[0] for choices in values]
    others = [
        [*first[:place], other, *first[place + 1 :]] for place, choices in enumerate(values) for other in choices[1:]
    ]
    return [first, *others]
