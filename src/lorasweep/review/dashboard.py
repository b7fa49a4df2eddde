"""The W&B workspace of a study or a LoRA, as code: what was searched, curves, samples by epoch, versions compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from lorasweep.errors import UserError
from lorasweep.review.comparison.groups import compare
from lorasweep.runs.ledger import RecordedVersion
from lorasweep.schema import schema_keys
from lorasweep.schema.measures import METRICS, measures_of

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Section, Workspace

COLUMNS = 10
"""Settings in the parallel coordinates, at most."""
SPREAD = 20
"""A setting whose largest value is so many times its smallest gets a logarithmic axis."""
WIDE = 24  # columns of the canvas, all of them
INSTALL = "pip install lorasweep[review]"


@dataclass(frozen=True)
class Dashboard:
    """What a workspace shows.

    Attributes:
        title: its name in W&B.
        entity: the team or user; "" is the default of whoever saves it.
        project: of the runs.
        group: of the runs: the study, or the LoRA.
        objective: the metric that they are compared by.
        settings: keys that differ among them, and whether each one's axis is logarithmic.
        metrics: what was measured, the objective included.
        pictures: how many prompts and seeds were sampled.
        trials: whether the runs are trials of a study.
    """

    title: str
    entity: str
    project: str
    group: str
    objective: str
    settings: tuple[tuple[str, bool], ...]
    metrics: tuple[str, ...]
    pictures: int
    trials: bool


def dashboard(title: str, versions: Sequence[RecordedVersion], entity: str | None, project: str | None) -> Dashboard:
    """Return the workspace that suits versions.

    Args:
        title: what it is called.
        versions: at least one, the latest last; of what the latest says, the others are supposed to be alike.
        entity: the team or user; None takes the latest version's.
        project: W&B's; None takes the latest version's.
    """
    record = versions[-1].record
    setting = {key: record.setting(schema_keys()[key]) for key in schema_keys()}
    measured = {name for version in versions for name in version.record.metrics.selected or {}}
    objective = record.objective.name
    wandb = "tracker.wandb."
    return Dashboard(
        title=title,
        entity=entity or setting[f"{wandb}entity"] or "",
        project=project or setting[f"{wandb}project"],
        group=setting[f"{wandb}group"] or record.study or record.name,
        objective=objective,
        settings=tuple(_settings(versions)),
        metrics=tuple(dict.fromkeys([objective, *measures_of(measured)])),
        pictures=len(setting["sampling.prompts"]) * len(setting["sampling.seeds"]),
        trials=bool(record.study),
    )


def _settings(versions: Sequence[RecordedVersion]) -> Iterable[tuple[str, bool]]:
    """Yield the keys in which versions differ, and whether their values span so much that the axis is logarithmic."""
    differing = dict.fromkeys(key for one in compare(versions) for key in one.differing if key in schema_keys())
    for name in list(differing)[:COLUMNS]:
        values = [version.record.setting(schema_keys()[name]) for version in versions]
        numbers = [value for value in values if isinstance(value, int | float) and math.isfinite(value)]
        wide = len(numbers) == len(values) and min(numbers) > 0 and max(numbers) >= SPREAD * min(numbers)
        yield name, wide


def as_code(board: Dashboard) -> str:
    """Return a Python program that saves a workspace: to be read, changed and run."""
    values = "".join(f"    {field.name}={getattr(board, field.name)!r},\n" for field in fields(board))
    return (
        f'"""The W&B workspace {board.title!r}: running this saves it (as a new view, each time)."""\n\n'
        "from lorasweep.review.dashboard import Dashboard, workspace\n\n"
        f"BOARD = Dashboard(\n{values})\n\n"
        'if __name__ == "__main__":\n    print(workspace(BOARD).save().url)\n'
    )


def workspace(board: Dashboard) -> Workspace:
    """Return a workspace, not saved yet.

    Args:
        board: what it shows.

    Raises:
        UserError: the package that builds it is not installed.
    """
    try:
        import wandb_workspaces.workspaces as views
    except ImportError as error:
        raise UserError(f"{error}: {INSTALL}", title="The dashboard cannot be built") from None
    minimized = METRICS[board.objective].direction == "minimize" if board.objective in METRICS else True
    return views.Workspace(
        entity=board.entity,
        project=board.project,
        name=board.title,
        sections=[_search(board), _samples(board), _curves(board), _comparison()],
        settings=views.WorkspaceSettings(x_axis="step", max_runs=20),
        runset_settings=views.RunsetSettings(
            filters=[views.Metric("Group") == board.group],
            order=[views.Ordering(views.Summary(board.objective), ascending=minimized)],
            pinned_columns=[
                *(f"summary:{metric}" for metric in board.metrics[:4]),
                *(f"config:{_in_config(key)}" for key, _ in board.settings[:6]),
            ],
        ),
    )


def _in_config(key: str) -> str:
    """Return a dotted key as the columns of W&B's table of runs name it."""
    first, dot, rest = key.partition(".")
    return f"{first}.value{dot}{rest}"


def _search(board: Dashboard) -> Section:
    import wandb_workspaces.reports.v2 as panels
    import wandb_workspaces.workspaces as views

    value = panels.SummaryMetric(board.objective)
    columns = [panels.ParallelCoordinatesPlotColumn(panels.Config(key), log=wide) for key, wide in board.settings]
    found: list[Any] = [
        panels.ParallelCoordinatesPlot(
            title=f"settings and {board.objective}",
            columns=[*columns, panels.ParallelCoordinatesPlotColumn(value)],
            layout=panels.Layout(w=WIDE, h=9),
        ),
        panels.ParameterImportancePlot(with_respect_to=board.objective, layout=panels.Layout(y=9, w=12, h=8)),
    ]
    if board.trials:
        found.append(
            panels.ScatterPlot(
                title=f"{board.objective} by trial",
                x=panels.Config("trial.number"),
                y=value,
                layout=panels.Layout(x=12, y=9, w=12, h=8),
            )
        )
    others = [metric for metric in board.metrics if metric != board.objective]
    found += [
        panels.ScatterPlot(
            title=f"{metric} against {board.objective}",
            x=panels.SummaryMetric(metric),
            y=value,
            layout=panels.Layout(x=12 * (index % 2), y=17 + 8 * (index // 2), w=12, h=8),
        )
        for index, metric in enumerate(others)
    ]
    return views.Section(name="Search", panels=found, is_open=True)


def _samples(board: Dashboard) -> Section:
    import wandb_workspaces.reports.v2 as panels
    import wandb_workspaces.workspaces as views

    grids: list[Any] = [
        panels.MediaBrowser(
            title=f"picture {index}: epochs x versions",
            media_keys=[f"samples/{index}"],
            mode="grid",
            grid_x_axis="step",
            grid_y_axis="run",
            layout=panels.Layout(y=12 * index, w=WIDE, h=12),
        )
        for index in range(board.pictures)
    ]
    return views.Section(name="Samples", panels=grids, is_open=True)


def _curves(board: Dashboard) -> Section:
    import wandb_workspaces.reports.v2 as panels
    import wandb_workspaces.workspaces as views

    names = dict.fromkeys([*board.metrics, "train/loss"])
    lines: list[Any] = [
        panels.LinePlot(
            title=name, x="step", y=[name], layout=panels.Layout(x=8 * (index % 3), y=6 * (index // 3), w=8, h=6)
        )
        for index, name in enumerate(names)
    ]
    return views.Section(name="Curves", panels=lines)


def _comparison() -> Section:
    import wandb_workspaces.reports.v2 as panels
    import wandb_workspaces.workspaces as views

    comparer = panels.RunComparer(diff_only="split", layout=panels.Layout(w=WIDE, h=12))
    return views.Section(name="What differs", panels=[comparer])
