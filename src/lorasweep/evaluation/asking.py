"""What the verbs that draw are asked for: prompts, seeds, strengths, feature models, and changes of the config."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lorasweep.errors import UserError
from lorasweep.evaluation.candidates import Candidate
from lorasweep.evaluation.cell_keys import Request, requests_of
from lorasweep.evaluation.configs import TITLE, changed, config_of, like
from lorasweep.evaluation.options import STRENGTHS
from lorasweep.evaluation.prompt_file import read_prompts
from lorasweep.families.known import family_of
from lorasweep.pictures.prompts import prompts_of
from lorasweep.schema import Config


@dataclass(frozen=True)
class EvaluationOptions:
    """What is asked for besides the candidates.

    Attributes:
        prompts_file: prompts to draw in place of the config's.
        seeds: in place of the config's.
        strengths: of every candidate that has none of its own.
        features: feature models in place of the config's.
        changes: `key=value` for the config.
        output_root: folder of all versions, and of the cells.
    """

    prompts_file: Path | None = None
    seeds: Sequence[int] | None = None
    strengths: Sequence[float] = STRENGTHS
    features: Sequence[str] | None = None
    changes: Sequence[str] = ()
    output_root: str = "outputs"
    _notes: list[str] = field(default_factory=list, compare=False)

    @classmethod
    def of(cls, args: argparse.Namespace) -> EvaluationOptions:
        """Return what a command line asks for, whose options `add_options` declared.

        Args:
            args: parsed.
        """
        return cls(args.prompts_file, args.seeds, args.strengths, args.features, args.set, args.output_root)

    def config(self, candidate: Candidate, beside: Sequence[Candidate] = ()) -> Config:
        """Return the config under which a candidate is looked at.

        A file of no version is looked at as the first version beside it.

        Args:
            candidate: what is looked at.
            beside: the others of the command line.

        Raises:
            UserError: a change is wrong, or nothing says which base a file is for.
        """
        record = candidate.record or next((other.record for other in beside if other.record is not None), None)
        changes = [*self.changes, *([f"features.models=[{','.join(self.features)}]"] if self.features else [])]
        config = changed(config_of(record), changes) if record is not None else like(candidate, changes)
        seeds = config.sampling.seeds if self.seeds is None else list(self.seeds)
        every = max(1, config.sampling.every_epochs)
        sampling = replace(config.sampling, seeds=seeds, every_epochs=every)
        return replace(config, sampling=sampling, output_root=self.output_root)

    def requests(self, config: Config, asking: Config | None = None) -> list[Request]:
        """Return the images that are drawn of a candidate.

        Args:
            config: of the candidate, whose trigger is filled in.
            asking: whose prompts, seeds and settings they are; None: the candidate's own. With one for all candidates,
                their pictures can be compared.

        Raises:
            UserError: there are no prompts, or those of the file are wrong.
        """
        asking, trigger = asking or config, config.dataset.trigger
        seeds = asking.sampling.seeds
        if self.prompts_file is None:
            found = requests_of(asking, prompts_of(asking.sampling.prompts, seeds, trigger))
        else:
            step = family_of(config.base_model).resolution_step(config.base_model, buckets=False)
            lines, notes = read_prompts(self.prompts_file, step)
            self._notes[:] = notes
            common = requests_of(asking, prompts_of([""], [0], ""))[0]
            found = [request for line in lines for request in line.requests(common, seeds, trigger)]
        if not found:
            raise UserError(
                "no prompts are known to draw: give them with --prompts-file FILE, one a line, or with "
                "--set 'sampling.prompts=[a portrait]'",
                title=TITLE,
            )
        return list(dict.fromkeys(found))

    @property
    def notes(self) -> Sequence[str]:
        """What of the prompts file has no effect."""
        return tuple(self._notes)

    def strengths_of(self, candidate: Candidate) -> list[float]:
        """Return the strengths that a candidate is looked at with."""
        return list(self.strengths) if candidate.strength is None else [candidate.strength]
