"""A base whose encoders are arithmetic that can be followed by hand, and folders of small pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from lorasweep.families.conditioning import Conditioning
from lorasweep.schema import Config


class FakeBase:
    """Latents are the means of 4 x 4 pixels (red, green, blue, and red again), std 0.25; text is a digest of it."""

    SCALE = 0.5
    pixels_per_latent = 4

    def __init__(self, vae: str = "vae-1", text: str = "text-1") -> None:
        self.digests = {"vae": vae, "text": text}
        self.modules = {name: nn.Linear(1, 1) for name in ("vae", "text_encoder", "text_encoder_2")}
        self.encoded_images = 0
        self.encoded_captions: list[str] = []

    @property
    def image_key(self) -> list[str]:
        return [self.digests["vae"], self._precision("vae")]

    def encode_images(self, pixels: Tensor) -> dict[str, Tensor]:
        self.encoded_images += len(pixels)
        mean = avg_pool2d(pixels, 4)[:, [0, 1, 2, 0]] + self._nothing("vae")
        return {"mean": mean, "std": torch.full_like(mean, 0.25)}

    def latents(self, encoded: Mapping[str, Tensor], draws: torch.Generator | None) -> Tensor:
        if draws is None:
            return encoded["mean"] * self.SCALE
        return (encoded["mean"] + encoded["std"] * torch.randn(encoded["mean"].shape, generator=draws)) * self.SCALE

    @property
    def text_key(self) -> list[str]:
        return [self.digests["text"], self._precision("text_encoder"), self._precision("text_encoder_2")]

    def length(self, captions: Sequence[str], max_tokens: int) -> int:
        longest = max(len(caption.split()) for caption in captions)
        return min(max_tokens, 75 * max(1, -(-longest // 75)))

    def encode_text(self, captions: Sequence[str], max_tokens: int) -> Conditioning:
        self.encoded_captions += captions
        seeds = [int.from_bytes(hashlib.sha256(c.encode()).digest()[:4], "big") for c in captions]
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        hidden = torch.stack([torch.randn(max_tokens + 2, 6, generator=draw) for draw in draws])
        hidden = hidden + self._nothing("text_encoder")
        return Conditioning({"hidden": hidden, "pooled": hidden[:, 0]})

    def _precision(self, module: str) -> str:
        return str(self.modules[module].weight.dtype)

    def _nothing(self, module: str) -> Tensor:
        """Zero, with a gradient to the weights, as a real encoder's output has."""
        return self.modules[module].weight.float().sum() * 0


@pytest.fixture
def base() -> FakeBase:
    return FakeBase()


@pytest.fixture
def make_base() -> type[FakeBase]:
    return FakeBase


Draw = Callable[..., Path]


@pytest.fixture
def draw() -> Draw:
    """Write a picture of one colour, told apart by the colour, and its caption unless that is None."""

    def write(path: Path, colour: object = 0, size: tuple[int, int] = (64, 64), caption: str | None = "a bear") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(colour, int):
            colour = (colour, colour * 7 % 256, 255 - colour)
        Image.new("RGB", size, colour).save(path)
        if caption is not None:
            path.with_suffix(".txt").write_text(caption)
        return path

    return write


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A run on `tmp_path/images` in buckets of about 64 x 64."""
    config = Config(name="Bear", seed=1, output_root=str(tmp_path / "outputs"))
    rules = config.dataset
    rules.path = str(tmp_path / "images")
    rules.resolution, rules.bucket_min, rules.bucket_max, rules.bucket_step = 64, 32, 128, 8
    rules.holdout = 0.0
    return config
