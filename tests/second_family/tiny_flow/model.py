"""The base in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lorasweep import files
from lorasweep.errors import UserError
from lorasweep.families.base import Family, FileHashes, ImageFacts
from lorasweep.families.conditioning import Conditioning
from lorasweep.families.identity import Identity
from lorasweep.families.offloading import Offloader
from lorasweep.families.probe import Probe, Shape
from lorasweep.process.flow import RectifiedFlow
from lorasweep.schema import BaseModelConfig
from tiny_flow.naming import TinyNaming
from tiny_flow.networks import PADDING, TextEncoder, Transformer

NETWORKS = {"transformer": Transformer, "letters": TextEncoder}
FILE = "tiny.safetensors"


class TinyFlow:
    """A transformer that turns noise into pixels, told by another one that reads letters."""

    identity = Identity("tiny", "tiny_flow_v1", "tiny-flow", published=False)
    pixels_per_latent = 1
    process = RectifiedFlow("logit_normal")

    def __init__(self, family: Family, path: str, sha256: str, modules: dict[str, nn.Module]) -> None:
        self.family, self.path, self.sha256, self.modules = family, path, sha256, modules
        self.file_hashes: dict[str, FileHashes] = {}
        self.naming = TinyNaming(family.parts)
        for module in modules.values():
            module.requires_grad_(False).eval()
        self.offloader = Offloader(modules, self.device)
        self.probes = dict(PROBES)

    @property
    def device(self) -> torch.device:
        return next(self.modules["transformer"].parameters()).device

    @property
    def image_key(self) -> list[str]:
        return ["pixels"]

    def encode_images(self, pixels: Tensor) -> dict[str, Tensor]:
        return {"pixels": pixels}

    def latents(self, encoded: Mapping[str, Tensor], draws: torch.Generator | None) -> Tensor:
        return encoded["pixels"]

    @property
    def text_key(self) -> list[str]:
        return [self.sha256, str(next(self.modules["letters"].parameters()).dtype)]

    def length(self, captions: Sequence[str], most: int) -> int:
        return min(most, max(1, *(len(caption.encode()) for caption in captions)))

    def encode_text(self, captions: Sequence[str], length: int) -> Conditioning:
        ids = torch.full((len(captions), length), PADDING)
        for row, caption in zip(ids, captions, strict=True):
            letters = list(caption.encode()[:length])
            row[: len(letters)] = torch.tensor(letters, dtype=torch.long)
        with self.offloader.onload("letters"):
            return Conditioning({"letters": self.modules["letters"](ids.to(self.device))})

    def with_facts(self, text: Conditioning, facts: Sequence[ImageFacts]) -> Conditioning:
        return text

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        dtype = next(self.modules["transformer"].parameters()).dtype
        found: Tensor = self.modules["transformer"](
            noisy.to(dtype), timesteps, conditioning.tensors["letters"].to(dtype)
        )
        return found

    @property
    def sample_key(self) -> list[str]:
        return ["flow euler"]

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        return 3, height, width

    @torch.no_grad()
    def sample(
        self,
        prompts: list[str],
        *,
        negative_prompt: str,
        latents: Tensor,
        steps: int,
        guidance: float,
        max_tokens: int,
    ) -> list[Image.Image]:
        length = self.length([*prompts, negative_prompt], max_tokens)
        positive, negative = (self.encode_text(texts, length) for texts in (prompts, [negative_prompt] * len(prompts)))
        scheduler = FlowMatchEulerDiscreteScheduler()
        scheduler.set_timesteps(steps)
        pixels = latents.to(self.device)
        for timestep in scheduler.timesteps:
            times = timestep.expand(len(prompts)).to(self.device)
            wanted, unwanted = (self.predict(pixels, times, text) for text in (positive, negative))
            direction = unwanted + guidance * (wanted - unwanted)
            pixels = scheduler.step(direction, timestep, pixels, return_dict=False)[0]
        levels = (127.5 * (pixels.float() + 1)).clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        return [Image.fromarray(image) for image in levels]

    def set_checkpointing(self, parts: Sequence[str], *, on: bool) -> None:
        if on:
            raise UserError("training.gradient_checkpointing=true: a tiny flow keeps everything")

    def repeated_blocks(self) -> list[nn.Module]:
        return list(self.modules["transformer"].blocks)  # type: ignore[arg-type]

    def file_tensors(self) -> dict[str, Tensor]:
        return {
            f"{part}.{name}": tensor.to("cpu", torch.float16)
            for part, module in self.modules.items()
            for name, tensor in module.state_dict().items()
        }

    def write_folder(self, folder: Path) -> None:
        with files.writing_folder(folder) as temporary:
            save_file(self.file_tensors(), temporary / FILE)


@dataclass(frozen=True)
class NetworkProbe:
    """A network without weights."""

    part: str
    blocks = ("Block",)

    def build(self) -> nn.Module:
        with torch.device("meta"):
            network: nn.Module = NETWORKS[self.part]()
        return network

    def run(self, module: nn.Module, shape: Shape, dtype: torch.dtype) -> None:
        letters = torch.zeros(shape.batch, shape.tokens, dtype=torch.long)
        if self.part == "letters":
            module(letters)
            return
        context = torch.empty(*letters.shape, 40, dtype=dtype)
        module(torch.empty(shape.batch, 3, shape.side, shape.side, dtype=dtype), torch.empty(shape.batch), context)

    def checkpoint(self, module: nn.Module) -> None:
        """Do nothing: it keeps everything."""


PROBES: dict[str, Probe] = {part: NetworkProbe(part) for part in NETWORKS}


def make(folder: Path) -> None:
    """Write a base of random weights."""
    folder.mkdir()
    torch.manual_seed(0)
    tensors = {
        f"{part}.{name}": tensor for part, kind in NETWORKS.items() for name, tensor in kind().state_dict().items()
    }
    save_file(tensors, folder / FILE)


def load(family: Family, config: BaseModelConfig, device: str, dtype: torch.dtype) -> TinyFlow:
    """Load a base."""
    path = Path(str(config.path))
    file = path if path.is_file() else path / FILE
    tensors, modules = load_file(file), {}
    for part, kind in NETWORKS.items():
        module = kind()
        module.load_state_dict(
            {name.removeprefix(f"{part}."): value for name, value in tensors.items() if name.startswith(f"{part}.")}
        )
        modules[part] = module.to(device, dtype)
    return TinyFlow(family, str(config.path), files.sha256_of(file), modules)
