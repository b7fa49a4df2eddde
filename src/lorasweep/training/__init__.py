"""Training: from a checked config to a version folder with weights, samples and a record."""

from lorasweep.training.cohort import run, run_cohort
from lorasweep.training.job import Job, Outcome

__all__ = ["Job", "Outcome", "run", "run_cohort"]
