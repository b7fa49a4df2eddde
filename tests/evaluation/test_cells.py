"""Cells: drawn once, found by all that decides them, whole or not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from lorasweep.evaluation.cell_keys import Applied, CellKey, Request
from lorasweep.evaluation.cells import Cells, distance
from lorasweep.evaluation.drawing import Drawer, batches, changed_nothing
from lorasweep.pictures.prompts import Prompt, prompts_of
from lorasweep.schema import Config

KEY = CellKey("base", ("euler",), "no", 225, (), "a bear", 0, "", 64, 64, 30, 5.0)


def test_everything_that_decides_an_image_is_in_its_name() -> None:
    changes: dict[str, object] = {
        "base": "other",
        "sampler": ("heun",),
        "precision": "bf16",
        "max_tokens": 75,
        "applied": (Applied("x"),),
        "prompt": "a cat",
        "seed": 1,
        "negative_prompt": "bad",
        "width": 72,
        "height": 72,
        "steps": 31,
        "guidance": 5.5,
    }
    assert changes.keys() == vars(KEY).keys()
    names = {KEY.digest, *(replace(KEY, **{key: value}).digest for key, value in changes.items())}  # type: ignore[arg-type]
    names.add(replace(KEY, applied=(Applied("x", 0.5),)).digest)
    assert len(names) == len(changes) + 2
    assert replace(KEY, guidance=5).digest == KEY.digest and CellKey.parse(KEY.plain()) == KEY


def test_a_cell_knows_how_far_it_is_from_the_bases_picture(tmp_path: Path) -> None:
    cells, grey = Cells(tmp_path), Image.new("RGB", (64, 64), (100, 100, 100))
    assert cells.find(KEY) is None
    assert cells.add(KEY, grey).distance is None
    with_lora = replace(KEY, applied=(Applied("x"),))
    assert cells.add(with_lora, Image.new("RGB", (64, 64), (100, 100, 151))).distance == pytest.approx(51 / 255 / 3)
    found = cells.find(with_lora)
    assert found is not None and found == cells.get(found.digest) and found.image().getpixel((0, 0)) == (100, 100, 151)
    assert sorted(cell.digest for cell in cells) == sorted([KEY.digest, with_lora.digest])
    found.path.with_suffix(".json").write_text('{"key": 3}')
    assert cells.find(with_lora) is None, "no whole cell"
    assert changed_nothing([cells.add(with_lora, grey)]) and not changed_nothing([cells.find(KEY)])  # type: ignore[list-item]
    assert distance(grey, Image.new("RGB", (8, 8))) == 1


def test_batches_hold_what_can_be_drawn_side_by_side() -> None:
    small = [Request(Prompt(f"p{n}", 0, False), "", 64, 64, 30, 5.0) for n in range(6)]
    wide = [Request(Prompt("wide", 0, False), "", 96, 64, 30, 5.0)]
    found = list(batches([*small[:3], *wide, *small[3:]], size=4))
    assert sorted(map(len, found)) == [1, 2, 4] and {r for batch in found for r in batch} == {*small, *wide}
    assert all(len({request.batchable for request in batch}) == 1 for batch in found)


class Base(SimpleNamespace):
    """Stands in for a base: what it draws depends on prompt and noise alone."""

    sha256, sample_key = "b" * 64, ["euler"]

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        return 4, height // 4, width // 4

    def sample(self, prompts, *, latents, **settings):  # type: ignore[no-untyped-def]
        self.drawn.append(len(prompts))
        if len(self.drawn) == self.fails_at:
            raise KeyboardInterrupt
        levels = (latents[:, :3].abs() * 60).clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
        return [Image.fromarray(np.repeat(np.repeat(level, 4, 0), 4, 1)) for level in levels]


def drawer(tmp_path: Path, **more: int) -> Drawer:
    accelerator = SimpleNamespace(mixed_precision="no", autocast=torch.no_grad)
    base = Base(drawn=[], **{"fails_at": 0, **more})
    return Drawer(base, Cells(tmp_path), accelerator, Config(name="A"))  # type: ignore[arg-type]


def test_nothing_is_drawn_twice_and_a_kill_costs_one_batch(tmp_path: Path) -> None:
    prompts = prompts_of(["a", "b"], [0, 1, 2, 3, 4], "")
    requests = [Request(prompt, "", 64, 64, 30, 5.0) for prompt in prompts]
    first = drawer(tmp_path, fails_at=2)
    with pytest.raises(KeyboardInterrupt):
        first.draw(requests)
    second = drawer(tmp_path)
    assert second.missing(requests) == 6
    told: list[int] = []
    cells = second.draw(requests, advance=lambda: told.append(1))
    assert second.base.drawn == [4, 2] and len(told) == 6  # type: ignore[attr-defined]
    assert [(c.key.prompt, c.key.seed) for c in cells] == [(p.text, p.seed) for p in prompts]
    third = drawer(tmp_path)
    assert third.draw(requests) == cells and not third.base.drawn  # type: ignore[attr-defined]
