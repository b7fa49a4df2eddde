"""Sample pictures are cells: the bare base's are drawn once for all versions, an epoch's for who has its weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch
from PIL import Image
from safetensors.torch import save_file

from lorasweep.evaluation.cell_keys import Applied, BaseKey, requests_of
from lorasweep.evaluation.cells import Cells
from lorasweep.evaluation.weights import weights_digest
from lorasweep.schema import Config
from lorasweep.training.samples import Samples


class Sampling(SimpleNamespace):
    """Stands in for a base, and counts what it samples."""

    def latent_shape(self, width, height):
        return 4, height // 4, width // 4

    def sample(self, prompts, **settings):
        self.drawn.append((tuple(prompts), settings["steps"]))
        return [Image.new("RGB", (64, 64), (10 * len(self.drawn), 0, 0)) for _ in prompts]


BASE_KEY = BaseKey("base", ("euler",), "no", 225)


def test_the_bases_samples_are_drawn_once_and_an_epochs_every_time(short_config: Config, tmp_path: Path) -> None:
    base = Sampling(drawn=[])
    short_config.sampling = replace(
        short_config.sampling, prompts=["{trigger}, waving", "standing"], seeds=[1], steps=4
    )

    def samples(version: str, **changes: object) -> Samples:
        config = replace(short_config, sampling=replace(short_config.sampling, **changes))  # type: ignore[arg-type]
        return Samples(config, 6, base, BASE_KEY, tmp_path / version)  # type: ignore[arg-type]

    first, second = samples("v6").draw(0), samples("v7").draw(0)
    assert len(base.drawn) == 1 and [i.tobytes() for i in first] == [i.tobytes() for i in second]
    assert (tmp_path / "v7" / "samples" / "000000_01.png").exists()
    for version in ("v6", "v7"):
        samples(version).draw(1)
    assert len(base.drawn) == 3
    for changes in ({"steps": 5}, {"guidance": 9.0}, {"seeds": [2]}, {"prompts": ["else"]}, {"negative_prompt": "bad"}):
        before = len(base.drawn)
        samples("v8", **changes).draw(0)
        assert len(base.drawn) == before + 1, changes


def test_the_samples_of_a_saved_epoch_are_cells_of_its_file(short_config: Config, tmp_path: Path) -> None:
    base, file = Sampling(drawn=[]), tmp_path / "a.safetensors"
    save_file({"x": torch.ones(1)}, file)
    short_config.sampling = replace(short_config.sampling, prompts=["standing"], seeds=[1, 2], steps=4)
    samples = Samples(short_config, 6, base, BASE_KEY, tmp_path / "v6")  # type: ignore[arg-type]
    samples.draw(0)
    images = samples.draw(1, file)
    cells = Cells(short_config.output_root)
    found = [cells.find(BASE_KEY.key(r, [Applied(weights_digest(file))])) for r in requests_of(short_config)]
    assert [cell.image().tobytes() for cell in found if cell] == [image.tobytes() for image in images]
    assert [cell.distance for cell in found if cell] == [10 / 255 / 3] * 2
    assert samples.path(1, 1).samefile(found[1].path)  # type: ignore[union-attr]
