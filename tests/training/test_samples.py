"""Sample pictures: the bare base's are drawn once for all versions of a process that ask for the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from PIL import Image

from lorasweep.schema import Config
from lorasweep.training.samples import Samples


class Drawer(SimpleNamespace):
    """Stands in for a base, and counts what it samples."""

    def latent_shape(self, width, height):
        return 4, height // 4, width // 4

    def __hash__(self):
        return id(self)

    def sample(self, prompts, **settings):
        self.drawn.append((tuple(prompts), settings["steps"]))
        return [Image.new("RGB", (64, 64), (10 * len(self.drawn), 0, 0)) for _ in prompts]


def test_the_bases_samples_are_drawn_once_and_an_epochs_every_time(short_config: Config, tmp_path: Path) -> None:
    base = Drawer(drawn=[])
    short_config.sampling = replace(
        short_config.sampling, prompts=["{trigger}, waving", "standing"], seeds=[1], steps=4
    )

    def samples(version: str, **changes: object) -> Samples:
        config = replace(short_config, sampling=replace(short_config.sampling, **changes))  # type: ignore[arg-type]
        return Samples(config, 6, base, tmp_path / version)  # type: ignore[arg-type]

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
