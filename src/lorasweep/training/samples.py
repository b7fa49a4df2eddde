"""Sample images: the same prompts, seeds and starting noise before training and after every epoch."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from PIL import Image

from lorasweep import files
from lorasweep.families.base import Sampler
from lorasweep.pictures import before_after, grid
from lorasweep.pictures.prompts import Prompt, labels_of, prompts_of
from lorasweep.randomness import generator
from lorasweep.runs import paths
from lorasweep.schema import Config
from lorasweep.schema.measures import METRICS

BATCH = 4  # images denoised side by side: enough to keep a GPU busy, few enough for 12 GB at 1024 px
_BARE: WeakKeyDictionary[Sampler, dict[Hashable, list[Image.Image]]] = WeakKeyDictionary()
"""What bases sampled with no adapter, by all that decides it: a search's next trial need not draw it again."""
MAX_TRAINING_IMAGES = 2  # training images that the picture of before and after shows; the grid has one in each row


class Samples:
    """The `samples/` folder of a version: one PNG per prompt and epoch, and `grid.png` over all of them."""

    def __init__(self, config: Config, number: int, base: Sampler, folder: Path) -> None:
        self.config, self.number, self.base, self.folder = config, number, base, folder
        self.prompts = prompts_of(config.sampling.prompts, config.sampling.seeds, config.dataset.trigger)

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

    def draw(self, epoch: int) -> list[Image.Image]:
        """Sample every prompt with the model as it is now and write the PNGs of `epoch`.

        Epoch 0 is the bare base, which always samples the same: it is drawn once for all versions of a process.
        """
        known, key = _BARE.setdefault(self.base, {}), self._settings()
        images = list(known.get(key, [])) if epoch == 0 else []
        for start in range(0, len(self.prompts) if not images else 0, BATCH):
            images += self._denoise(self.prompts[start : start + BATCH])
        if epoch == 0:
            known[key] = list(images)
        for index, image in enumerate(images):
            with files.writing(self.path(epoch, index)) as temporary:
                image.save(temporary, format="PNG")
        return images

    def load(self, epoch: int) -> list[Image.Image]:
        """Return the images that `draw(epoch)` wrote."""
        return [Image.open(self.path(epoch, index)).convert("RGB") for index in range(len(self.prompts))]

    def keep_training_images(self, images: Sequence[Image.Image]) -> None:
        """Write some of the images that are trained on, as the model sees them, for the sheets to show."""
        for index, image in enumerate(images):
            if not (path := paths.training_image(self.folder, index)).exists():
                with files.writing(path) as temporary:
                    image.save(temporary, format="PNG")

    def write_sheets(self, selected: int | None, metric: str, values: Mapping[int, float | None]) -> None:
        """Redraw `grid.png`, a row per prompt and a column per sampled epoch, and `before_after.png`.

        Args:
            selected: the selected epoch; when it was not sampled, the last sampled one stands in for it.
            metric: what is written under each epoch.
            values: of that metric, by epoch; 0 is the base.
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
        grid.write_grid(columns, labels, self.grid, title=name, notes=METRICS[metric].label)
        before_after.write_before_after(
            [(self.path(0, index), self.path(after, index)) for index in rows],
            labels,
            self.before_after,
            title=f"{name}: the base and epoch {after}",
            labels=("base", "fine-tuned" if self.config.network.type == "full" else "with the LoRA"),
            training=training,
        )

    def _settings(self) -> Hashable:
        """Return all that decides what a model samples."""
        sampling, dataset = self.config.sampling, self.config.dataset
        shape = (dataset.resolution, dataset.max_tokens, self.config.training.mixed_precision)
        return (tuple(self.prompts), sampling.negative_prompt, sampling.steps, sampling.guidance, *shape)

    def _denoise(self, prompts: Sequence[Prompt]) -> list[Image.Image]:
        sampling, side = self.config.sampling, self.config.dataset.resolution
        shape = self.base.latent_shape(side, side)
        noise = [torch.randn(shape, generator=generator(prompt.seed, "sample")) for prompt in prompts]
        return self.base.sample(
            [prompt.text for prompt in prompts],
            negative_prompt=sampling.negative_prompt,
            latents=torch.stack(noise),
            steps=sampling.steps,
            guidance=sampling.guidance,
            max_tokens=self.config.dataset.max_tokens,
        )
