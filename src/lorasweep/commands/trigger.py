"""`lorasweep trigger`: how a version's trigger must stand in a prompt, and whether the theme comes uncalled."""

from __future__ import annotations

import argparse
import json
from typing import Any

from lorasweep.errors import UserError
from lorasweep.evaluation.options import add_options


def add(verbs: Any) -> None:
    """Declare the verb.

    Args:
        verbs: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = verbs.add_parser(
        "trigger",
        help="measure a version's trigger: at the start, in the middle, at the end, alone, absent, misspelt",
        description="Draws the prompts that call the trigger with it at every position, at the same seeds as the base, "
        "and measures how much of the theme comes: a table, a picture, and advice. Four seeds of each prompt are drawn "
        "unless --seeds says otherwise; nothing is drawn twice. The result joins the version's record.",
        epilog="example: lorasweep trigger v6 --strengths 0.4,0.7,1",
    )
    parser.add_argument(
        "candidate", metavar="VERSION|FILE", help="v6, fuzzybear/v6, v6@12 (an epoch), a .safetensors file"
    )
    parser.add_argument("--trigger", default="", metavar="WORD", help="in place of the one that it was trained with")
    parser.add_argument(
        "--class-word",
        default="",
        metavar="WORD",
        help="what the trigger is a case of, such as person: drawn in its position",
    )
    add_options(parser)
    parser.add_argument("--json", action="store_true", help="print what was measured as JSON")
    parser.set_defaults(verb=run)


def run(args: argparse.Namespace) -> None:
    """Study the trigger that a command line asks for.

    Raises:
        UserError: there is no such version, no trigger, or nothing to measure with.
    """
    if not args.json:
        _analyse(args)
        return
    from lorasweep.console.lines import silenced

    with silenced():
        found = _analyse(args)
    print(json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False))


def _analyse(args: argparse.Namespace) -> dict[str, Any]:
    from lorasweep.console.lines import echo
    from lorasweep.evaluation.asking import EvaluationOptions
    from lorasweep.evaluation.candidates import find_candidates
    from lorasweep.evaluation.trigger import report
    from lorasweep.evaluation.trigger.advice import trigger_findings
    from lorasweep.evaluation.trigger.analysis import analyse_trigger
    from lorasweep.evaluation.trigger.asking import trigger_question

    [candidate] = find_candidates([args.candidate], args.output_root)
    asked = EvaluationOptions.of(args)
    question = trigger_question(candidate, asked, args.trigger, args.class_word)
    for note in asked.notes:
        echo(note)
    result = analyse_trigger(candidate, asked, question)
    found = trigger_findings(result.analysis, report.ways_of(result))
    try:
        picture = report.write_trigger_grid(result)
    except OSError as error:
        raise UserError(f"{result.grid} cannot be written ({error.strerror})", title="Nothing was drawn") from error
    before = "" if result.anew else f" (measured {result.analysis.finished}, under the same settings)"
    echo()
    echo(f"{candidate.label}: the trigger {question.config.dataset.trigger}{before}")
    for row in report.table_lines(result.analysis):
        echo(row)
    for note in report.note_lines(result.analysis):
        echo(f"  {note}")
    echo()
    for line in report.advice_lines(found):
        echo(line)
    echo(f"wrote {picture}")
    return report.analysis_as_json(result, found, picture)
