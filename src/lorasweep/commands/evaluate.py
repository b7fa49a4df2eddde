"""`lorasweep evaluate`: finished versions, single epochs and weights files from anywhere, measured."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from lorasweep.evaluation.options import add_options

if TYPE_CHECKING:
    from lorasweep.evaluation.evaluate import Evaluated


def add(verbs: Any) -> None:
    """Declare the verb.

    Args:
        verbs: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = verbs.add_parser(
        "evaluate",
        help="measure finished versions, epochs and weights files against the base: images, held-out loss",
        description="Draws each at the same prompts and seeds as the base and measures the difference. Nothing is "
        "drawn twice: a second run, or one that was stopped, takes what is there. The results join the version's "
        "record under their settings, its W&B run and its study.",
        epilog="example: lorasweep evaluate v6 v7@3 other.safetensors --seeds 0-3 --strengths 0.8,1",
    )
    parser.add_argument(
        "candidates",
        nargs="+",
        metavar="VERSION|FILE",
        help="v6, fuzzybear/v6, v6@12 (an epoch), v6@last, a .safetensors file; v6:0.8 at a strength",
    )
    add_options(parser)
    parser.add_argument("--json", action="store_true", help="print what was measured as JSON")
    parser.set_defaults(verb=run)


def run(args: argparse.Namespace) -> None:
    """Measure what a command line asks for.

    Raises:
        UserError: a candidate cannot be measured.
    """
    from lorasweep.evaluation import candidates, table
    from lorasweep.evaluation.asking import EvaluationOptions
    from lorasweep.evaluation.evaluate import evaluate

    found = candidates.find_candidates(args.candidates, args.output_root)
    if args.json:
        from lorasweep.console.lines import silenced

        with silenced():
            measured = evaluate(found, EvaluationOptions.of(args), _report)
        print(
            json.dumps(table.results_as_json(measured, args.output_root), indent=2, ensure_ascii=False, allow_nan=False)
        )
        return
    measured = evaluate(found, EvaluationOptions.of(args), _report)
    from lorasweep.console.lines import echo

    echo()
    for head in _heads(measured):
        echo(head)
    for line in table.table_lines(measured):
        echo(line)


def _report(each: Evaluated) -> None:
    """Let the trackers and the study of a version know what was measured of it now."""
    if each.anew and each.candidate.record is not None:
        from lorasweep.studies.evaluated import report_evaluation

        report_evaluation(each.candidate.record, each.config, each.evaluation)


def _heads(measured: list[Evaluated]) -> list[str]:
    """Return what was measured and how often, in a line for each."""
    from lorasweep.evaluation.table import label

    lines = []
    for each in measured:
        evaluation = each.evaluation
        prompts = len({request["prompt"] for request in evaluation.settings["requests"]})
        before = "" if each.anew else f" (measured {evaluation.finished}, under the same settings)"
        lines.append(
            f"{label(each)}: {len(evaluation.cells)} images of {prompts} prompts, "
            f"{evaluation.distance:.3f} from the base's{before}"
        )
    return lines
