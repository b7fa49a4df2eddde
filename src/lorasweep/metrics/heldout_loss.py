"""The held-out loss, and its ratio to the base's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorasweep.metrics.metric import Measured, Measuring, Metric
from lorasweep.metrics.needs import HELDOUT
from lorasweep.schema import Config

if TYPE_CHECKING:
    from lorasweep.metrics.heldout import HeldoutLoss


class HeldoutMeasuring(Measuring):
    """Measures the held-out loss; nothing where no image is held out."""

    def begin(self, measured: Measured) -> None:
        """Fix the draws that all epochs and the base are measured on."""
        from lorasweep.metrics.heldout import HeldoutLoss

        images, evaluation = measured.heldout(), measured.config.evaluation
        self._measured = measured
        self._loss: HeldoutLoss | None = (
            HeldoutLoss(measured.base, images, evaluation, evaluation.seed) if images else None
        )

    def base(self) -> dict[str, float]:
        """Measure the base, which the ratios are to."""
        return self._loss.measure_base(self._measured.predict, self._measured.embed) if self._loss else {}

    def model(self) -> dict[str, float]:
        """Measure the loss and its ratio, of all timesteps and of each bin."""
        return self._loss.measure(self._measured.predict, self._measured.embed) if self._loss else {}


def prepare(config: Config) -> Measuring | None:
    """Return what measures the held-out loss, if it is on."""
    return HeldoutMeasuring() if config.evaluation.heldout_loss else None


NEEDS = {**HELDOUT, "evaluation.heldout_loss=true": "evaluation.heldout_loss"}
LOSS = Metric(
    direction="minimize",
    label="held-out loss",
    meaning="error on images that were not trained on",
    margin=0.031,
    needs=NEEDS,
    binned=True,
    prepare=prepare,
)
RATIO = Metric(
    direction="minimize",
    label="held-out loss / base",
    meaning="the same error, the base's being 1",
    margin=0.031,
    needs=NEEDS,
    binned=True,
    prepare=prepare,
)
