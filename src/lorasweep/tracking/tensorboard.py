"""TensorBoard event files: scalars, sample images, and where the weights are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lorasweep.tracking.tracker import TrackerKind


class TensorBoard:
    """Writes event files into `folder`.

    Args:
        folder: the folder of event files; created if need be.
        resumed_step: hide what an earlier process logged beyond this step. None: a fresh version.

    Raises:
        ImportError: TensorBoard is not installed.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path, resumed_step: int | None = None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._resumed = resumed_step is not None
        purge = None if resumed_step is None else resumed_step + 1
        self._writer = SummaryWriter(str(folder), purge_step=purge)

    def has(self, name: str, step: int) -> bool:
        """Whether it is there already: what was logged is written at once, so that a resumed version lacks nothing."""
        return self._resumed

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Add one scalar per metric."""
        for name, value in values.items():
            self._writer.add_scalar(name, float(value), step)
        self._writer.flush()  # or a kill would cost the last two minutes

    def images(self, images: Mapping[str, Path], step: int) -> None:
        """Add one image per file; its tag is the key with the caption, which TensorBoard shows as its title."""
        import numpy
        from PIL import Image

        for name, path in images.items():
            with Image.open(path) as image:
                self._writer.add_image(name, numpy.asarray(image.convert("RGB")), step, dataformats="HWC")
        self._writer.flush()

    def weights(self, path: Path, aliases: Sequence[str], metadata: Mapping[str, Any]) -> None:
        """Add a note that names the file; TensorBoard keeps no files."""
        self._writer.add_text("weights", f"{path.name} ({', '.join(aliases)})", metadata.get("step"))

    def finish(self, status: str, summary: Mapping[str, float]) -> None:
        """Add the status and the summary as a note, and close the event file."""
        figures = "".join(f"  \n{name}: {value:.6g}" for name, value in summary.items())
        self._writer.add_text("status", status + figures)
        self._writer.close()


TRACKER = TrackerKind(
    title="TensorBoard",
    open=lambda tracked: TensorBoard(tracked.folder / "tensorboard", tracked.resumed_step),
    is_on=lambda config: config.tensorboard,
)
