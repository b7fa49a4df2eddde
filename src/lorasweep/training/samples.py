"""Sample images: the same prompts, seeds and starting noise before training and after every epoch."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from lorasweep import files
from lorasweep.evaluation.cell_keys import Applied, BaseKey, Request, requests_of
from lorasweep.evaluation.cells import Cells
from lorasweep.evaluation.drawing import batches, denoise
from lorasweep.evaluation.weights import weights_digest
from lorasweep.families.base import Sampler
from lorasweep.pictures import before_after, grid
from lorasweep.pictures.prompts import labels_of
from lorasweep.runs import paths
from lorasweep.schema import Config

MAX_TRAINING_IMAGES = 2  # training images that the picture of before and after shows; the grid has one in each row


class Samples:
    """The `samples/` folder of a version: one PNG per prompt and epoch, and `grid.png` over all of them."""

    def __init__(self, config: Config, number: int, base: Sampler, base_key: BaseKey, folder: Path) -> None:
        """Take what is sampled, and where its images go.

        Args:
            config: of the version.
            number: N of vN.
            base: with the version's adapter on it.
            base_key: what that base is to a cell's key.
            folder: of the version.
        """
        self.config, self.number, self.base, self.base_key, self.folder = config, number, base, base_key, folder
        self.requests = requests_of(config)
        self.prompts = [request.prompt for request in self.requests]
        self._cells = Cells(config.output_root)

    @property
    def grid(self) -> Path:
        """Path of the sheet of prompts x epochs."""
        return paths.grid(self.folder)

    @property
    def before_after(self) -> Path:
        """Path of the picture of the base beside the selected epoch."""
        return paths.before_after(self.folder)

    def path(self, epoch: int, index: int) -> Path:
        """Return the path of one sample; epoch 0 is the base before training."""
        return paths.sample(self.folder, epoch, index)

    def epochs(self) -> list[int]:
        """Return the epochs that have a full set of samples, in order."""
        return paths.sampled_epochs(self.folder, len(self.prompts))

    def draw(self, epoch: int, weights: Path | None = None) -> list[Image.Image]:
        """Sample every prompt with the model as it is now and write the PNGs of `epoch`.

        What can be said whose they are becomes a cell, which is drawn once: the bare base's (epoch 0) for all versions
        of an output root, an epoch's for whoever looks at its weights file later. That file holds the model in half
        precision, which moves a sample by some thousandths of a grey level.

        Args:
            epoch: its number; 0 is the bare base.
            weights: the file that the epoch was saved to, if it was.
        """
        applied = (Applied(weights_digest(weights)),) if weights is not None else ()
        keys = {request: self.base_key.key(request, applied) for request in self.requests}
        images: dict[Request, Image.Image] = {}
        if kept := epoch == 0 or weights is not None:
            images = {request: cell.image() for request, key in keys.items() if (cell := self._cells.find(key))}
        for batch in batches([request for request in keys if request not in images]):
            started = time.perf_counter()
            found = denoise(self.base, batch, self.config.dataset.max_tokens)
            images |= zip(batch, found, strict=True)
            seconds = (time.perf_counter() - started) / len(batch)
            for request in batch if kept else ():
                self._cells.add(keys[request], images[request], seconds)
        for index, request in enumerate(self.requests):
            if kept:
                files.link_or_copy(self._cells.path(keys[request].digest), self.path(epoch, index))
                continue
            with files.writing(self.path(epoch, index)) as temporary:
                images[request].save(temporary, format="PNG")
        return [images[request] for request in self.requests]

    def load(self, epoch: int) -> list[Image.Image]:
        """Return the images that `draw(epoch)` wrote."""
        return [Image.open(self.path(epoch, index)).convert("RGB") for index in range(len(self.prompts))]

    def keep_training_images(self, images: Sequence[Image.Image]) -> None:
        """Write some of the images that are trained on, as the model sees them, for the sheets to show."""
        for index, image in enumerate(images):
            if not (path := paths.training_image(self.folder, index)).exists():
                with files.writing(path) as temporary:
                    image.save(temporary, format="PNG")

    def write_sheets(self, selected: int | None, label: str, values: Mapping[int, float | None]) -> None:
        """Redraw `grid.png`, a row per prompt and seed, a column per sampled epoch, and `before_after.png`
        of the first seed.

        Args:
            selected: the selected epoch; when it was not sampled, the last sampled one stands in for it.
            label: what is written under each epoch.
            values: of it, by epoch; 0 is the base.
        """
        epochs, rows = self.epochs(), range(len(self.prompts))
        labels, training = labels_of(self.prompts), paths.training_images(self.folder)
        after = selected if selected in epochs else epochs[-1]
        name = f"{self.config.name} v{self.number}"

        def column(epoch: int) -> grid.Column:
            value = values.get(epoch)
            return grid.Column(
                head=f"epoch {epoch}" if epoch else "base",
                pictures=[self.path(epoch, index) for index in rows],
                notes=[] if value is None else [f"{value:.3f}"],
                mark="selected" if epoch == selected else "",
            )

        columns = [column(epochs[index]) for index in grid.choose_columns(epochs, selected)]
        if training:
            columns.insert(0, grid.Column("training images", training[: len(rows)], apart=True))
        grid.write_grid(columns, labels, self.grid, title=name, notes=label)
        first = [index for index in rows if self.prompts[index].seed == self.prompts[0].seed]
        before_after.write_before_after(
            [(self.path(0, index), self.path(after, index)) for index in first],
            labels_of([self.prompts[index] for index in first]),
            self.before_after,
            title=f"{name}: the base and epoch {after}",
            labels=("base", "fine-tuned" if self.config.network.type == "full" else "with the LoRA"),
            training=training,
        )
