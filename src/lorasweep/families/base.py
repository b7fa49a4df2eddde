"""What the rest of the program knows of a family of models: small protocols, each asked for by who needs it.

A `Family` answers without anything loaded, and imports no torch before it has to; `Family.load` gives a `Base`, its
frozen weights in memory. Who uses a base asks for the protocol of what it does with it: a cache of latents for an
`ImageEncoder`, the held-out loss for a `Denoiser`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lorasweep.families.parts import Part

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from PIL import Image
    from torch import Tensor, nn

    from lorasweep.errors import Problem
    from lorasweep.families.conditioning import Conditioning
    from lorasweep.families.files import Files
    from lorasweep.families.identity import Identity
    from lorasweep.families.naming import Naming
    from lorasweep.families.offloading import Offloader
    from lorasweep.families.probe import Probe
    from lorasweep.process.process import Process
    from lorasweep.schema import BaseModelConfig, Config


class FileHashes(NamedTuple):
    """What managers of models know a file by.

    Attributes:
        sha256: of the whole file.
        legacy: A1111's short hash, the first 8 hex digits of the SHA-256 of 64 KiB at 1 MiB.
    """

    sha256: str
    legacy: str


@dataclass(frozen=True)
class ImageFacts:
    """How an image was made to fit: what some families tell their denoiser. All in pixels, width or left first.

    Attributes:
        original: size of the image as it came, (width, height).
        crop: what was cut off at the left and at the top of the scaled image, (left, top); fractions with
            `compat.letterbox_offsets`.
        target: size of what is trained on, (width, height).
    """

    original: tuple[int, int]
    crop: tuple[float, float]
    target: tuple[int, int]


class Vocabulary(Protocol):
    """Counts the tokens of captions without loading the model."""

    def count(self, text: str) -> int:
        """Return the number of tokens of a text, without those that begin and end it; the most of all encoders."""
        ...

    def kept(self, text: str, most: int) -> str:
        """Return the part of a text that is within its first `most` tokens, whole ones, for every encoder."""
        ...


class Family(Protocol):
    """A kind of model, before any of its weights are loaded.

    Attributes:
        name: as `base_model.family` has it.
        title: what people call it: `SDXL`.
        noun: what a base of it is called, with its article: `an SDXL`.
        naming: names of its layers in weights files, for bases of the sizes that it was published in.
        files: how its bases lie on disk or on the model hub.
        parts: what can be trained, the denoiser first.
        image_parts: names of the modules that only encode and decode images, such as `vae`; none without latents.
        caption_lengths: the values that `dataset.max_tokens` may have, the shortest first; none: any.
        timesteps: of its process.
    """

    name: str
    title: str
    noun: str
    naming: Naming
    files: Files
    parts: tuple[Part, ...]
    image_parts: tuple[str, ...]
    caption_lengths: tuple[int, ...]
    timesteps: int

    def __hash__(self) -> int:
        """Return a number by which something can be remembered for a family, of which there is one object."""
        return id(self)

    @property
    def encoders(self) -> tuple[str, ...]:
        """Names of the parts that encode captions."""
        return tuple(part.name for part in self.parts if not part.denoiser)

    def problems(self, config: Config) -> Iterator[Problem]:
        """Yield what this family refuses in a config, such as a weighting of the loss that its process lacks."""
        ...

    def resolution_step(self, base: BaseModelConfig, *, buckets: bool) -> int:
        """Return what the side of the square that is trained on is a multiple of, in pixels.

        Args:
            base: which one.
            buckets: whether there are other sizes beside it.
        """
        ...

    def vocabulary(self, config: BaseModelConfig) -> Vocabulary:
        """Return what counts the tokens of captions.

        Raises:
            UserError: its files cannot be had or read.
        """
        ...

    def load(self, config: BaseModelConfig, device: str, dtype: torch.dtype) -> Base:
        """Load a base.

        Args:
            config: which one.
            device: where to.
            dtype: precision of its weights; a part that overflows in it may keep a wider one.

        Raises:
            UserError: it is not there, damaged, or of another family.
        """
        ...

    def probes(self, config: BaseModelConfig) -> Mapping[str, Probe] | None:
        """Return every part of a base by name, without its weights; None if its configs are not on this machine."""
        ...

    def choice_of(self, metadata: Mapping[str, str]) -> str | None:
        """Return which choice of the group base_model suits the base of an adapter's file; None: another family's.

        Args:
            metadata: of the file, whichever program wrote it; it may say nothing.
        """
        ...

    def layer_name(self, part: str, path: str) -> str:
        """Return the name of a module that stays the same whichever library's release built it.

        Args:
            part: name of the part.
            path: the module's, inside of it.
        """
        ...


class ImageEncoder(Protocol):
    """Images to latents. Where nothing is encoded, a latent pixel is a pixel and has three channels."""

    @property
    def pixels_per_latent(self) -> int:
        """Side in pixels of a latent pixel."""
        ...

    @property
    def image_key(self) -> list[str]:
        """What an encoded image depends on beside the image, for the names of cache entries."""
        ...

    def encode_images(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return all that a cache keeps of images: named tensors with a row for each of them.

        Args:
            pixels: (B, 3, H, W) in [-1, 1].
        """
        ...

    def latents(self, encoded: Mapping[str, Tensor], draws: torch.Generator | None) -> Tensor:
        """Return the latents of one image, (C, h, w) in fp32, as the denoiser takes them: shifted and scaled.

        Args:
            encoded: a row of what `encode_images` returned.
            draws: which sample of a posterior it is; None: its mean.
        """
        ...


class TextEncoder(Protocol):
    """Captions to conditioning, by the encoders as they are at the time."""

    @property
    def text_key(self) -> list[str]:
        """What encoded captions depend on beside their text and length, for the names of cache entries."""
        ...

    def length(self, captions: Sequence[str], most: int) -> int:
        """Return the length in tokens that captions are padded to together, at most `most`."""
        ...

    def encode_text(self, captions: Sequence[str], length: int) -> Conditioning:
        """Encode captions, a row for each; what exceeds `length` tokens is cut off. Gradients flow where enabled."""
        ...

    def with_facts(self, text: Conditioning, facts: Sequence[ImageFacts]) -> Conditioning:
        """Return encoded captions with what this family says of each row's image beside its caption, if anything."""
        ...


class Denoiser(Protocol):
    """Predicts what its process asks for."""

    @property
    def process(self) -> Process:
        """How noise is added, and what is to be predicted."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the denoiser is."""
        ...

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """Return the prediction (B, C, h, w), in the model's precision.

        Args:
            noisy: (B, C, h, w) noisy latents.
            timesteps: (B,) as the process draws them.
            conditioning: B rows on the denoiser's device.
        """
        ...


class Sampler(Protocol):
    """Draws images, with diffusers' pipeline where there is one."""

    @property
    def sample_key(self) -> list[str]:
        """What a sample depends on beside the weights and what is asked for, such as the sampler's name."""
        ...

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """Return (C, h, w) of the latents of an image of that size in pixels."""
        ...

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
        """Return one image per prompt.

        Args:
            prompts: B texts.
            negative_prompt: what guidance leads away from.
            latents: (B, C, h, w) standard normal noise that each begins with.
            steps: of the sampler.
            guidance: scale of classifier-free guidance.
            max_tokens: `dataset.max_tokens`.
        """
        ...


class Trainable(Protocol):
    """The modules of a base, for who puts adapters on them, moves them or compiles them.

    Attributes:
        modules: every part by name, trainable or not.
        offloader: which of them are on the device.
    """

    @property
    def family(self) -> Family:
        """What kind of model it is."""
        ...

    modules: dict[str, nn.Module]
    offloader: Offloader

    def set_checkpointing(self, parts: Sequence[str], *, on: bool) -> None:
        """Let parts keep fewer activations in training and compute them again in the backward pass, or stop that."""
        ...

    def repeated_blocks(self) -> list[nn.Module]:
        """Return the blocks of the denoiser that are worth compiling: those that it has many copies of."""
        ...


class Exportable(Protocol):
    """What weights files are made of."""

    @property
    def naming(self) -> Naming:
        """The names that its layers have in files of adapters."""
        ...

    @property
    def identity(self) -> Identity:
        """What files for this base say of its kind."""
        ...

    def file_tensors(self) -> dict[str, Tensor]:
        """Return all weights, in fp16 on the CPU, by their names in a single file that image generators load."""
        ...

    def write_folder(self, folder: Path) -> None:
        """Write everything in diffusers' layout, in fp16; `folder` appears whole or not at all.

        Raises:
            UserError: a weight is not finite, or too large for fp16.
            OSError: the disk is full or the like.
        """
        ...


class Base(ImageEncoder, TextEncoder, Denoiser, Sampler, Trainable, Exportable, Protocol):
    """A frozen model in memory, with digests that say exactly which weights it has.

    Attributes:
        path: where it was loaded from, as the user wrote it.
        sha256: digest of all weights files.
        file_hashes: of the parts that came as single files, by "base" and "vae".
    """

    path: str
    sha256: str
    file_hashes: dict[str, FileHashes]

    @property
    def probes(self) -> Mapping[str, Probe]:
        """Every part by name, without its weights, for forecasts of memory."""
        ...
