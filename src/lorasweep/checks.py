"""Holding a config to its limits: every problem at once, in words, before anything heavy is loaded.

Nothing here opens an image or a model, and torch is never imported.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lorasweep import weights
from lorasweep.config import LAST, OBJECTIVES, Config, Key, schema_keys, slug, value_at

_BOUNDS = (
    ("above", "more than", operator.gt),
    ("at_least", "at least", operator.ge),
    ("below", "less than", operator.lt),
    ("at_most", "at most", operator.le),
)


def check(config: Config) -> list[str]:
    """Return every problem of a config, one line each: what was given, what was expected, what to do.

    First each value by itself, against the limits of the schema; then values that must suit each other or the
    files they point to. A value that fails by itself is not reported again for what it does to others.
    """
    alone = {key.name: list(_limits(key, value_at(config, key.name))) for key in schema_keys().values()}
    problems = [line for lines in alone.values() for line in lines]
    wrong = [name for name, lines in alone.items() if lines]
    together = (line for rule in _RULES for line in rule(config))
    return problems + [line for line in together if not any(f"{name}=" in line for name in wrong)]


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that `word` was most likely meant to be, or None if none is close."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return `; did you mean ...?`, or nothing if no candidate is close."""
    guess = nearest(word, candidates)
    return f"; did you mean {guess}?" if guess else ""


def written(value: Any) -> str:
    """Return a value as one writes it on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:g}"
    return f"[{','.join(map(written, value))}]" if isinstance(value, list) else str(value)


def _limits(key: Key, value: Any) -> Iterator[str]:
    """Yield what is wrong with one value by itself."""
    for item in value if isinstance(value, list) else [value]:
        given = f"{key.name}={written(value)}"
        choices = key.limits.get("choices")
        if choices is not None and item not in choices:
            hint = did_you_mean(str(item), [str(choice) for choice in choices])
            yield f"{given}: expected one of {', '.join(map(written, choices))}{hint}"
        if not isinstance(item, (int, float)) or isinstance(item, bool):
            continue
        bounds = [(words, holds, key.limits[name]) for name, words, holds in _BOUNDS if name in key.limits]
        if not math.isfinite(item) or not all(holds(item, limit) for _, holds, limit in bounds):
            expected = " and ".join(f"{words} {limit}" for words, _, limit in bounds) or "a finite number"
            yield f"{given}: expected {expected} ({key.doc})"


def _name(config: Config) -> Iterator[str]:
    if not re.fullmatch(r"\w[\w .-]*", config.name) or slug(config.name) == "unnamed":
        yield f"name={config.name}: expected letters, digits, space, '.', '_' or '-' (it becomes file names)"


def _output(config: Config) -> Iterator[str]:
    """Try to write where the run will write; nothing is left behind."""
    for key in ("output_root", "dataset.cache"):
        target = value_at(config, key)
        if target is None:
            continue
        here = Path(target).absolute()
        while not here.exists():
            here = here.parent
        try:
            with tempfile.TemporaryFile(dir=here):
                pass
        except OSError as error:
            why = f"{here}: {error.strerror}"
            yield f"{key}={target} cannot be written ({why}): choose another with {key}=FOLDER"


def _base_model(config: Config) -> Iterator[str]:
    path = config.base_model.path
    if path is None:
        return
    yield from (f"base_model.path={path}: {problem}" for problem in weights.base_problems(path))
    native = weights.native_resolution(path)
    if native is not None and native >= 4 * config.base_model.resolution:
        yield (
            f"base_model.resolution={config.base_model.resolution}: {path} is made for {native} pixels; add "
            f"base_model=sdxl, whose sizes suit it, or set base_model.resolution={native}"
        )


def _images(config: Config) -> Iterator[str]:
    data = config.dataset
    if data.path is None and data.theme is None:
        yield "dataset.path is not set: give the folder of your images and captions with dataset.path=FOLDER"
    for key in ("path", "validation_path", "regularisation_path"):
        folder = getattr(data, key)
        if folder is None:
            continue
        if not Path(folder).exists():
            where = "" if Path(folder).is_absolute() else f" in {Path.cwd()}"
            yield f"dataset.{key}={folder}: there is no such folder{where}; check the path"
        elif not Path(folder).is_dir():
            yield f"dataset.{key}={folder}: this is a file; expected the folder of images and captions"
    if data.validation_path is not None and data.holdout not in (0, _default("dataset.holdout")):
        yield _inert(config, "dataset.holdout", "while dataset.validation_path is set: take one of them away")
    yield from _folds(config)
    if data.regularisation_path is None:
        for key in ("dataset.regularisation_repeats", "loss.prior_loss_weight"):
            if value_at(config, key) != _default(key):
                yield _inert(config, key, "without dataset.regularisation_path=FOLDER")


def _folds(config: Config) -> Iterator[str]:
    data = config.dataset
    if data.folds is None:
        if data.fold is not None:
            yield f"dataset.fold={data.fold}: of how many? Give dataset.folds=K too, or set dataset.fold=null"
        return
    if data.fold is None:
        yield f"dataset.folds={data.folds}: which one is held out? Give dataset.fold=1 to {data.folds} too"
    elif data.fold > data.folds:
        yield f"dataset.fold={data.fold}: expected 1 to dataset.folds={data.folds}"
    if data.validation_path is not None:
        yield (
            f"dataset.folds={data.folds} and dataset.validation_path={data.validation_path} both say what is held "
            "out: take one of them away"
        )
    if data.holdout not in (0, _default("dataset.holdout")):
        yield _inert(config, "dataset.holdout", "while dataset.folds is set: take one of them away")


def _sizes(config: Config) -> Iterator[str]:
    data = config.dataset
    given = f"dataset.resolution={data.resolution}"
    # SDXL's UNet halves its 1/8-size latents twice and more: 64 pixels keep every level whole.
    unit = min(64, config.base_model.resolution) if data.buckets else 8
    if data.resolution % unit:
        below = data.resolution // unit * unit
        choices = f"{below} or {below + unit}" if below else str(unit)
        why = "with buckets" if data.buckets else "without buckets"
        yield f"{given}: expected a multiple of {unit} {why}, such as {choices}"
    if not data.buckets:
        return
    shortest, longest, step = data.bucket_min, data.bucket_max, data.bucket_step
    factor = weights.latent_factor(config.base_model.path)
    if factor is not None and step % factor:
        yield f"dataset.bucket_step={step}: expected a multiple of {factor}, a latent pixel of this base"
    if shortest > data.resolution:
        yield f"dataset.bucket_min={shortest}: expected at most {given}, so that the square is a bucket"
    if longest < data.resolution:
        yield f"dataset.bucket_max={longest}: expected at least {given}, so that the square is a bucket"
    if shortest < step:
        yield f"dataset.bucket_min={shortest}: expected at least dataset.bucket_step={step}"


def _captions(config: Config) -> Iterator[str]:
    data = config.dataset
    if not re.fullmatch(r"\.\w[\w.]*", data.caption_extension):
        yield f"dataset.caption_extension={data.caption_extension}: expected a dot and letters, such as .txt"
    if not _is_color(data.background):
        yield f"dataset.background={data.background}: expected a colour such as white or '#ffffff'"
    if not data.caption_separator:
        yield "dataset.caption_separator='': expected what separates tags, such as ','"
    if data.keep_tokens and not (data.shuffle_tags or data.tag_dropout):
        yield _inert(config, "dataset.keep_tokens", "without dataset.shuffle_tags=true or dataset.tag_dropout")


def _is_color(text: str) -> bool:
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return True
    from PIL import ImageColor  # knows the names, but takes a while to load

    try:
        return bool(ImageColor.getrgb(text))
    except ValueError:
        return False


def _network(config: Config) -> Iterator[str]:
    network = config.network
    if not (network.attention or network.feed_forward or network.projections or network.convolutions):
        yield (
            "network.attention=false, network.feed_forward=false, network.projections=false and "
            "network.convolutions=false leave nothing of the UNet to train: set one of them to true"
        )


def _optimizer(config: Config) -> Iterator[str]:
    name, beta2 = config.optimizer.name, config.optimizer.beta2
    if name == "adafactor" and beta2 is not None:
        yield f"optimizer.beta2={beta2}: adafactor has none; choose it whole with optimizer=adafactor, or set null"
    for key in ("optimizer.beta1", "optimizer.beta2"):
        if name != "adafactor" and value_at(config, key) is None:
            yield f"{key}=null: {name} needs a number, such as {_default(key)}"


def _scheduler(config: Config) -> Iterator[str]:
    scheduler, last = config.scheduler, config.training.max_steps
    steps, ratio = scheduler.warmup_steps, scheduler.warmup_ratio
    if steps and ratio:
        yield f"scheduler.warmup_steps={steps} and scheduler.warmup_ratio={ratio}: set one of the two to 0"
    if last is not None and steps >= last:
        yield f"scheduler.warmup_steps={steps}: expected less than training.max_steps={last}"
    if scheduler.cycles != 1 and scheduler.name != "cosine_with_restarts":
        yield _inert(config, "scheduler.cycles", "without scheduler=cosine_with_restarts")


def _loss(config: Config) -> Iterator[str]:
    loss = config.loss
    if loss.type == "l2":
        for key in ("loss.huber_schedule", "loss.huber_c", "loss.huber_scale"):
            if value_at(config, key) != _default(key):
                yield _inert(config, key, "while loss.type is l2: choose loss=huber or loss=smooth_l1")
    elif loss.huber_schedule == "snr" and loss.huber_scale != _default("loss.huber_scale"):
        yield _inert(config, "loss.huber_scale", "with loss.huber_schedule snr: choose constant or exponential")


def _measures(config: Config) -> Iterator[str]:
    """Check that what chooses the epoch and what a search optimises will be measured at all."""
    evaluation = config.evaluation
    bins, timesteps = evaluation.bins, evaluation.timesteps
    if bins > timesteps:
        yield f"evaluation.bins={bins}: expected at most evaluation.timesteps={timesteps}"
    if evaluation.clip_path is not None:
        yield from (
            f"evaluation.clip_path={evaluation.clip_path}: {p}" for p in weights.clip_problems(evaluation.clip_path)
        )
        if not evaluation.clip:
            yield _inert(config, "evaluation.clip_path", "while evaluation.clip is false")
    wanted = [(key, value_at(config, key)) for key in ("objective", "evaluation.select_by")]
    for key, metric in [*wanted, *(("further_objectives", metric) for metric in config.further_objectives)]:
        if metric is None or (metric == LAST and key == "evaluation.select_by"):
            continue
        if metric not in OBJECTIVES:
            known = [*OBJECTIVES, *([LAST] if key == "evaluation.select_by" else [])]
            yield f"{key}={metric}: expected one of {', '.join(known)}{did_you_mean(metric, known)}"
            continue
        needs = " and ".join(_unmeasured(config, metric))
        if needs:
            yield f"{key}={metric} would never be measured: set {needs}, or choose another metric"


def _samples(config: Config) -> Iterator[str]:
    sampling = config.sampling
    if not sampling.every_epochs:
        return
    for key in ("prompts", "seeds"):
        if not getattr(sampling, key):
            yield f"sampling.{key}=[]: expected at least one; sampling.every_epochs=0 switches samples off"
    if not config.dataset.trigger and any("{trigger}" in prompt for prompt in sampling.prompts):
        yield (
            "dataset.trigger is not set, but sampling.prompts call {trigger}: set dataset.trigger=WORD, or "
            "prompts without it, such as 'sampling.prompts=[a portrait]'"
        )


def _unmeasured(config: Config, metric: str) -> Iterator[str]:
    """Yield the settings that `metric` needs and the config lacks."""
    data, evaluation = config.dataset, config.evaluation
    drawn = data.path is None  # themes come with held-out drawings of their own
    heldout = drawn or data.validation_path is not None or data.folds is not None or data.holdout > 0
    if metric in ("val/loss", "val/loss_ratio", "image/clip_image") and not heldout:
        yield "dataset.holdout=0.1"
    if metric.startswith("val/") and not evaluation.heldout_loss:
        yield "evaluation.heldout_loss=true"
    if metric.startswith("image/"):
        if not evaluation.clip:
            yield "evaluation.clip=true"
        if config.base_model.path is not None and evaluation.clip_path is None:
            yield "evaluation.clip_path=openai/clip-vit-large-patch14"
        if not config.sampling.every_epochs:
            yield "sampling.every_epochs=1"


def _training(config: Config) -> Iterator[str]:
    if config.training.mixed_precision == "fp16" and config.training.device == "cpu":
        yield "training.mixed_precision=fp16 with training.device=cpu: a CPU trains in bf16 or no (auto)"


def _default(key: str) -> Any:
    return schema_keys()[key].default


def _inert(config: Config, key: str, because: str) -> str:
    return f"{key}={written(value_at(config, key))} changes nothing {because}"


_RULES = (
    _name,
    _output,
    _base_model,
    _images,
    _sizes,
    _captions,
    _network,
    _optimizer,
    _scheduler,
    _loss,
    _measures,
    _samples,
    _training,
)
