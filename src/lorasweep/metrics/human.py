"""What people say of a version's pictures (`lorasweep vote`), as an objective of searches: nothing here measures it."""

from __future__ import annotations

from lorasweep.metrics.metric import Metric

HUMAN = Metric(
    direction="maximize",
    label="votes",
    meaning="by how much people prefer its pictures to the base's, in log odds",
    margin=1.0,  # of the larger value: votes have intervals of their own, which `lorasweep vote` prints
    needs={"sampling.every_epochs=1": "sampling.every_epochs"},
)
