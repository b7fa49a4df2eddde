"""Everything that can be known of a run's data without its base: what it learns from, and what is wrong with it.

Nothing here loads torch, so that a run says this first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorasweep.data import report_captions, report_images
from lorasweep.data.buckets import Size
from lorasweep.data.folder import Progress
from lorasweep.data.gathering import gather
from lorasweep.data.items import Gathered, Item
from lorasweep.data.known import KnownFacts, Pictures, cache_folder
from lorasweep.data.plan import Plan
from lorasweep.data.report import Finding, Report
from lorasweep.data.roles import Roles, divide
from lorasweep.errors import UserError
from lorasweep.families.known import family_of
from lorasweep.optim.warmup import misfits
from lorasweep.schema import Config
from lorasweep.text.encoding import readable
from lorasweep.text.triggers import with_trigger

if TYPE_CHECKING:
    from lorasweep.families.base import Vocabulary


@dataclass(frozen=True)
class Survey:
    """The images of a run and what there is to say of them.

    Attributes:
        training: the items that are trained on; no picture of theirs has another role.
        heldout: the items that measure the loss, which no step sees.
        regularisation: the items of the class, trained on beside the others.
        images: usable images in `dataset.path`.
        skipped: what was left out because of `dataset.on_bad_file=skip`, and why.
        report: facts and warnings.
    """

    training: list[Item]
    heldout: list[Item]
    regularisation: list[Item]
    images: int
    skipped: list[str]
    report: Report


def survey(config: Config, *, keep: bool = True, progress: Progress = lambda things, description: things) -> Survey:
    """Read the folders of a run.

    Args:
        config: the run, checked; `config.dataset.path` is set.
        keep: whether what is learnt of each file is kept in the cache.
        progress: wraps lists that take long, as `rich.progress.track(things, description)` does.

    Raises:
        UserError: everything that is wrong with the data, at once.
    """
    pictures = Pictures(KnownFacts(cache_folder(config), write=keep), config.dataset.background)
    vocabulary = _vocabulary(config)

    def tokens(caption: str, most: int) -> tuple[int, str]:
        if isinstance(vocabulary, UserError):
            return 0, caption
        return vocabulary.count(caption), vocabulary.kept(caption, most)

    gathered = gather(config, pictures, tokens, progress)
    roles = divide(gathered, config, lambda item: pictures.likeness(item.sample.path, item.sample.facts.digest))
    return Survey(
        training=roles.training,
        heldout=roles.heldout,
        regularisation=gathered.regularisation,
        images=len(gathered.images),
        skipped=[str(fault) for fault in gathered.skipped],
        report=Report(tuple(_findings(config, gathered, roles, vocabulary))),
    )


def plan_of(config: Config, seen: Survey) -> Plan:
    """Return which image is trained at which step; its items are the training images, then those of regularisation.

    Args:
        config: the run.
        seen: its images.

    Raises:
        UserError: the learning rate's schedule cannot be meant for so many steps.
    """
    items = seen.training + seen.regularisation
    buckets: dict[Size, dict[int, int]] = {}
    for number, item in enumerate(items):
        buckets.setdefault(item.placement.bucket, {})[number] = item.sample.repeats
    plan = Plan(
        [repeats for _, repeats in sorted(buckets.items())],
        config.training.batch_size,
        config.training.gradient_accumulation,
        config.training.epochs,
        config.training.max_steps,
        config.seed,
        regularisation=frozenset(range(len(seen.training), len(items))),
        round_each_epoch=config.compat.round_each_epoch,
    )
    epochs, last = config.training.epochs, config.training.max_steps
    length = (
        f"the {plan.total_steps} steps of training.epochs={epochs}" if last is None else f"training.max_steps={last}"
    )
    if problems := list(misfits(config.scheduler, plan.total_steps, length)):
        raise UserError(problems)
    return plan


def _vocabulary(config: Config) -> Vocabulary | UserError:
    """Return the base's vocabulary, or why it cannot be had; who trains is told again when the base is loaded."""
    try:
        return family_of(config.base_model).vocabulary(config.base_model)
    except UserError as error:
        return error


def _findings(
    config: Config, gathered: Gathered, roles: Roles, vocabulary: Vocabulary | UserError
) -> Iterator[Finding]:
    rules = config.dataset
    roots = [Path(path) for path in (rules.path, rules.validation_path, rules.regularisation_path) if path is not None]

    def name(path: Path) -> str:
        root = next((root for root in roots if path.is_relative_to(root) and path != root), path.parent)
        return readable(path.relative_to(root))

    common = (gathered, config, name)
    yield from report_images.images(gathered, roles, config, name)
    yield from report_images.sizes(gathered, roles, config, name)
    for about in (report_captions.sources, report_captions.changed_text, report_captions.meaning):
        yield from about(*common)
    if not isinstance(vocabulary, UserError):
        yield from report_captions.losses(*common)
        sampling = config.sampling
        texts = [with_trigger(text, rules.trigger) for text in (*sampling.prompts, sampling.negative_prompt)]
        yield from report_captions.prompts([(text, vocabulary.count(text)) for text in texts], config)
    else:
        yield Finding("captions", "not counted in tokens", (), str(vocabulary.problems[0]))
    yield from report_images.masks(*common)
    masked = rules.alpha_mask or rules.mask_path is not None
    yield from report_images.files(gathered, roots[0], masked, name)
