"""Training: from a checked config to a version folder with weights, samples and a record."""

from lorasweep.training.cohort import Outcome, run, run_cohort
from lorasweep.training.member import Job

__all__ = ["Job", "Outcome", "run", "run_cohort"]
