"""The training loss, which the training measures by itself."""

from __future__ import annotations

from lorasweep.metrics.metric import Metric

LOSS = Metric(direction="minimize", label="training loss", meaning="error on the training images", margin=0.25)
