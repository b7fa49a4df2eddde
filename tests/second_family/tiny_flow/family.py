"""The family before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lorasweep.errors import Problem
from lorasweep.families.base import Family
from lorasweep.families.parts import Part
from lorasweep.process.flow import RectifiedFlow
from lorasweep.process.refusals import lacking
from lorasweep.schema import BaseModelConfig, Config
from tiny_flow.naming import TinyNaming

if TYPE_CHECKING:
    import torch

    from lorasweep.families.probe import Probe
    from tiny_flow.model import TinyFlow

ATTENTION = r"blocks\.\d+\.(attn|cross)\.to_(q|k|v|out)"
PARTS = (
    Part(
        "transformer",
        "transformer",
        ("lr",),
        {"attention": ATTENTION, "feed_forward": r"blocks\.\d+\.(up|down)"},
        "tiny.transformer",
        denoiser=True,
    ),
    Part("letters", "letters", ("text_encoder_lr",), {"": ATTENTION}, "tiny.letters"),
)


class Letters:
    """A token is a byte of a caption."""

    def count(self, text: str) -> int:
        return len(text.encode())

    def kept(self, text: str, most: int) -> str:
        return text.encode()[:most].decode(errors="ignore")


class Files:
    """A base is a folder with one file."""

    def kind(self, shapes: Mapping[str, Sequence[int]]) -> str | None:
        return "a tiny flow" if "transformer.patches.weight" in shapes else None

    def problems(self, base: BaseModelConfig) -> Iterator[Problem]:
        if base.path is None or not (Path(base.path) / "tiny.safetensors").exists():
            yield Problem(f"base_model.path={base.path}: no tiny.safetensors is there", "base_model.path")

    def config_source(self, base: BaseModelConfig) -> str:
        return str(base.path)

    def pixels_per_latent(self, base: BaseModelConfig) -> int | None:
        return 1

    def native_resolution(self, base: BaseModelConfig) -> int | None:
        return None


class TinyFlowFamily(Family):
    """A flow on pixels."""

    name = "tiny_flow:FAMILY"
    title = "tiny flow"
    noun = "a tiny flow"
    parts = PARTS
    image_parts = ()
    caption_lengths = ()
    timesteps = 1000
    files = Files()
    naming = TinyNaming(PARTS)

    def problems(self, config: Config) -> Iterator[Problem]:
        yield from self.files.problems(config.base_model)
        yield from lacking(RectifiedFlow, config)

    def resolution_step(self, base: BaseModelConfig, *, buckets: bool) -> int:
        return 4

    def vocabulary(self, config: BaseModelConfig) -> Letters:
        return Letters()

    def load(self, config: BaseModelConfig, device: str, dtype: torch.dtype) -> TinyFlow:
        from tiny_flow.model import load

        return load(self, config, device, dtype)

    def layer_name(self, part: str, path: str) -> str:
        return f"{part}.{path}"

    def choice_of(self, metadata: Mapping[str, str]) -> str | None:
        return None

    def probes(self, config: BaseModelConfig) -> dict[str, Probe] | None:
        from tiny_flow.model import PROBES

        return dict(PROBES)


FAMILY = TinyFlowFamily()
