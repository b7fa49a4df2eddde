"""Weights & Biases: online when there is a key and a network, offline otherwise, and never in the way."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omegaconf import OmegaConf

from lorasweep import files
from lorasweep.runs import paths
from lorasweep.runs.record import Record
from lorasweep.schema import Config, slug
from lorasweep.schema.measures import METRICS
from lorasweep.text.encoding import all_readable
from lorasweep.text.shell import shell_quoted
from lorasweep.tracking.sample_table import SampleTable, sample_table
from lorasweep.tracking.tracker import PrintLine, Tracked, TrackerKind, split_key
from lorasweep.tracking.wandb_server import obstacle

if TYPE_CHECKING:
    import wandb

INIT_TIMEOUT = 15.0  # seconds that a server may take to accept a run
INSPECT_TIMEOUT = 60.0  # seconds to read what an earlier process logged
FINISH_TIMEOUT = 120.0  # seconds to upload what is left; `wandb sync` uploads the rest later


class Wandb:
    """One W&B run.

    Args:
        run: the run, online or offline.
        name: name of the artifact that the weights belong to.
        sync: the command that uploads what is on disk.
        print_line: tells the user one line.
        in_study: tag the run with how it ended whatever that is; else only with an end that is not `complete`.
        earlier: folders of the parts that earlier processes logged.
        table: returns the table of samples that is logged at the end; None logs none.

    Attributes:
        run: likewise.
    """

    def __init__(
        self,
        run: wandb.Run,
        name: str,
        sync: str,
        print_line: PrintLine,
        *,
        in_study: bool = False,
        earlier: Sequence[Path] = (),
        table: Callable[[], SampleTable | None] | None = None,
    ) -> None:
        self.run = run
        self._name = name
        self._sync = sync
        self._print_line = print_line
        self._in_study = in_study
        self._earlier = earlier
        self._table = table
        self._epochs = {0: 0}  # optimizer step -> epoch that ends there
        # W&B's own step counts log() calls; ours is the optimizer step, so a resumed run draws over itself.
        run.define_metric("step")
        for group in dict.fromkeys([*(name.partition("/")[0] for name in METRICS), "time"]):
            run.define_metric(f"{group}/*", step_metric="step")
        # Versions are logged at different steps, and compared at the same epochs: that is what media are moved by.
        run.define_metric("samples/*", step_metric="epoch")
        for name in METRICS:  # while it runs, its best value so far stands for it; at the end, the selected epoch's
            run.define_metric(name, step_metric="step", summary=METRICS[name].direction[:3])

    def has(self, name: str, step: int) -> bool:
        """Whether an earlier process logged a metric or an image at an optimizer step."""
        return (name, step) in self._logged

    @cached_property
    def _logged(self) -> set[tuple[str, int]]:
        """What the earlier parts hold on disk: each metric, and each image by its key, with its optimizer step.

        W&B writes in blocks, and a process that is killed takes its last one with it.
        """
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json"]
        found: set[tuple[str, int]] = set()
        for part in self._earlier:
            try:
                done = subprocess.run([*command, str(part)], capture_output=True, text=True, timeout=INSPECT_TIMEOUT)
                items = [json.loads(line).get("history", {}).get("item", {}) for line in done.stdout.splitlines()]
            except (OSError, subprocess.SubprocessError, ValueError):
                continue  # what is then logged twice is drawn over itself
            found |= {(name.partition(".")[0], item["step"]) for item in items if "step" in item for name in item}
        return found

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Log metrics against the optimizer step."""
        if "epoch" in values:
            self._epochs[step] = int(values["epoch"])
        self.run.log({**values, "step": step})

    def images(self, images: Mapping[str, Path], step: int) -> None:
        """Log sample images with their prompts as captions."""
        import wandb

        media = {
            key: wandb.Image(str(path), caption=caption)
            for (key, caption), path in ((split_key(name), path) for name, path in images.items())
        }
        epoch = self._epochs.get(step)
        self.run.log({**media, "step": step, **({} if epoch is None else {"epoch": epoch})})

    def weights(self, path: Path, aliases: Sequence[str], metadata: Mapping[str, Any]) -> None:
        """Log a weights file as an artifact of type model; the alias `v6` becomes `fuzzybear-v6`.

        W&B counts the versions of an artifact as v0, v1, ... by itself, and its client refuses to read an artifact
        that has two aliases of that form.

        The file is read where it lies, now or at the sync: W&B would otherwise copy every one into the home folder.
        """
        import wandb

        artifact = wandb.Artifact(self._name, "model", metadata=dict(metadata))
        artifact.add_file(str(path.absolute()), policy="immutable", skip_cache=True)
        named = [f"{self._name}-{alias}" if re.fullmatch(r"v\d+", alias) else alias for alias in aliases]
        self.run.log_artifact(artifact, aliases=named)

    def finish(self, status: str, summary: Mapping[str, float]) -> None:
        """Set the summary and close the run, within `FINISH_TIMEOUT` seconds; an ended one has its table of samples."""
        ended = status in ("complete", "pruned")
        if ended and self._table is not None and (table := self._table()) is not None:
            self._log_table(table)
        self.run.summary.update({**summary, "status": status})
        if self._in_study or status != "complete":
            self.run.tags = (*(self.run.tags or ()), status)
        try:
            self.run.finish(exit_code=1 if status == "failed" else 0)
        except TimeoutError:
            self._print_line(f"W&B: the upload is not finished. Upload the rest with: {self._sync}")

    def _log_table(self, table: SampleTable) -> None:
        import wandb

        def cell(value: object) -> object:
            return wandb.Image(str(value)) if isinstance(value, Path) else value

        rows = [[cell(value) for value in row] for row in table.rows]
        self.run.log({"samples/table": wandb.Table(columns=list(table.columns), data=rows)})


def open_wandb(tracked: Tracked, *, again: bool = False) -> Wandb | None:
    """Start the W&B run of a version; `wandb/` comes to lie in its folder.

    Goes offline, and says so once with the commands that show the run and that upload it later, when asked to, without
    a key, without a network and when the server does not take the run.

    Args:
        tracked: the version. All of its config becomes the run's; a resumed one continues the run whose id the folder
            keeps; a study is the group and a tag, and all of `trial` stands under that name in the run's config.
        again: whether the run has ended, and is opened once more to add to it.

    Returns:
        The tracker, or None where the environment says `WANDB_MODE=disabled` and the config does not disagree.
    """
    config, folder, print_line, trial = tracked.config, tracked.folder, tracked.print_line, tracked.trial
    job_type, resumed = tracked.job_type, tracked.resumed_step is not None
    import wandb

    options = config.tracker.wandb
    mode = options.mode if options.mode != "auto" else os.environ.get("WANDB_MODE", "auto")
    if mode == "disabled":
        return None
    # W&B writes a traceback to the terminal for each refused connection of its telemetry.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    settings = wandb.setup(wandb.Settings(silent=True)).settings
    reason = "you asked for it" if mode in ("offline", "dryrun") else obstacle(settings)

    run_id = _run_id(folder / "wandb" / f"{job_type}.id", resumed)
    earlier = sorted((folder / "wandb").glob(f"*run-*-{run_id}*")) if resumed else []
    if trial:  # for `mark_best`, which opens the run again
        files.write_json(folder / "wandb" / "trial.json", dict(trial))

    def init(mode: Literal["online", "offline"], run_id: str) -> wandb.Run:
        return wandb.init(
            project=options.project,
            entity=options.entity,
            group=options.group or (trial["study"] if trial else config.name),
            job_type=job_type,
            name=f"{config.name} {'review' if job_type == 'review' else f'v{tracked.version}'}",
            id=run_id,
            # Offline W&B cannot look a run up: its parts are joined by their id at the sync.
            resume="allow" if mode == "online" else None,
            tags=_tags(config, trial),
            config=all_readable(dataclasses.asdict(config) | ({"trial": dict(trial)} if trial else {})),
            dir=str(folder),
            mode=mode,
            reinit="create_new",
            settings=wandb.Settings(
                console="off",
                init_timeout=INIT_TIMEOUT,
                finish_timeout=FINISH_TIMEOUT,
                finish_timeout_raises=True,
            ),
        )

    offline_id = run_id
    run = None
    if reason is None:
        try:
            run = init("online", run_id)
        except Exception as error:
            reason = _first_line(error) or "the server did not take the run"
            # W&B's service does not give an id free that failed; the sync command puts the part right.
            offline_id = f"{run_id}-{_new_id()}"
    if run is None:
        run = init("offline", offline_id)
    sync = _sync_command(folder / "wandb", run_id, offline=reason is not None)
    if reason is None:
        print_line(f"W&B: {run.url}")
    else:
        part = shell_quoted(os.path.relpath(Path(run.dir).parent))
        print_line(
            f"W&B logs offline ({reason}). Read it at any time with: wandb leet {part}. Upload it later with: {sync}"
        )
    table = None if again or job_type == "evaluate" else partial(sample_table, config, folder)
    return Wandb(run, slug(config.name), sync, print_line, in_study=trial is not None, earlier=earlier, table=table)


def mark_best(folder: Path, print_line: PrintLine) -> None:
    """Give the alias `best` to the weights of the best version of a study: its run is resumed for that.

    W&B knows the same file again by its content, so this moves the alias (and `latest`, which W&B gives to whatever
    is logged last). Offline it adds a part of the same run, which the same sync command uploads. Without effect where
    the version was not logged to W&B.

    Args:
        folder: the version folder of the best version, which has ended.
        print_line: tells the user one line: where W&B logs to, or why it did not.
    """
    try:
        record = Record.read(folder)
        kept = folder / "wandb" / "trial.json"
        trial = json.loads(kept.read_text()) if kept.exists() else None
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), record.config))
        assert isinstance(config, Config)
        job_type = "trial" if trial else "train"
        weights = paths.selected(folder, record.stem)
        logged = (folder / "wandb" / f"{job_type}.id").exists() and config.tracker.wandb.mode != "disabled"
        if not logged or not weights.exists():
            return
        tracker = open_wandb(Tracked(config, folder, record.version, print_line, 0, job_type, trial), again=True)
        if tracker is None:
            return
        metrics = record.metrics.selected or {}
        aliases = [f"v{record.version}", "best"]
        tracker.weights(weights, aliases, {"epoch": record.selected_epoch, **metrics})
        tracker.finish(record.status, metrics)
    except Exception as error:  # a finished study is not lost for an alias
        print_line(f"W&B: {folder.name} cannot be marked as the best ({_first_line(error)})")


def log_page(folder: Path, page: Path, name: str, print_line: PrintLine) -> None:
    """Log a review page as an artifact of type `review`, in a run of its own (job_type review).

    Args:
        folder: of a version that the page shows; project, entity and group are its own, the run's files lie there.
        page: the file.
        name: of the study or LoRA that it shows.
        print_line: tells the user one line.
    """
    import wandb

    record = Record.read(folder)
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), record.config))
    assert isinstance(config, Config)
    trial = {"study": record.study} if record.study else None
    tracker = open_wandb(Tracked(config, folder, record.version, print_line, None, "review", trial), again=True)
    if tracker is None:
        return
    artifact = wandb.Artifact(f"review-{slug(name)}", "review")
    artifact.add_file(str(page.absolute()), name="review.html", policy="immutable", skip_cache=True)
    tracker.run.log_artifact(artifact)
    tracker.finish("complete", {})


def hindrance() -> str | None:
    """Return why nothing can be saved to W&B from here, or None: no key, or no network."""
    import wandb

    return obstacle(wandb.setup(wandb.Settings(silent=True)).settings)


def _run_id(path: Path, resumed: bool) -> str:
    """Return the id that the version folder keeps, or a new one that it keeps from now on."""
    if resumed and path.exists():
        return path.read_text().strip()
    run_id = _new_id()
    files.write_atomic(path, run_id + "\n")
    return run_id


def _new_id() -> str:
    return secrets.token_hex(5)


def _sync_command(folder: Path, run_id: str, *, offline: bool) -> str:
    """Return the command that uploads all parts of a run: one part per process that worked on the version."""
    parts = f"{'offline-run' if offline else 'run'}-*-{run_id}*"
    renamed = any(not part.name.endswith(run_id) for part in folder.glob(parts))
    return f"wandb sync {f'--id {run_id} ' if renamed else ''}{shell_quoted(os.path.relpath(folder))}/{parts}"


def _tags(config: Config, trial: Mapping[str, Any] | None) -> list[str]:
    base = config.base_model.family if config.base_model.path else "toy"
    tags = [slug(config.name), config.recipe, base, f"rank {config.network.rank}", *config.tracker.wandb.tags]
    tags += [trial["study"]] if trial else []
    # W&B takes tags of 1 to 64 characters and refuses the whole run for another one.
    return list(dict.fromkeys(tag[:64] for tag in tags if tag))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else ""


TRACKER = TrackerKind(
    title="W&B",
    open=open_wandb,
    is_on=lambda config: config.wandb.mode != "disabled",
    mark_best=mark_best,
    takes_evaluations=True,
)
