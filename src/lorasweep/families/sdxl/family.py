"""SDXL as a family: what is asked of it before any of its weights are loaded. No torch until then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lorasweep.errors import Problem
from lorasweep.families.base import Family
from lorasweep.families.files import Files
from lorasweep.families.naming import Naming
from lorasweep.families.parts import Part
from lorasweep.families.probe import Probe
from lorasweep.families.sdxl import files
from lorasweep.families.sdxl.identity import choice_of
from lorasweep.families.sdxl.layout import LATENT_FACTOR, NOUN, config_source
from lorasweep.families.sdxl.naming import USUAL
from lorasweep.families.sdxl.parts import PARTS
from lorasweep.families.sdxl.vocabulary import CLIPVocabulary
from lorasweep.process.ddpm import DDPM
from lorasweep.process.refusals import lacking
from lorasweep.schema import BaseModelConfig, Config

if TYPE_CHECKING:
    import torch

    from lorasweep.families.sdxl.model import SDXL


class SDXLFamily(Family):
    """Stable Diffusion XL, and the toy base, which has all of its parts."""

    name = "sdxl"
    title = "SDXL"
    noun = NOUN
    naming: Naming = USUAL
    parts: tuple[Part, ...] = PARTS
    image_parts: tuple[str, ...] = ("vae",)
    caption_lengths = (75, 150, 225)  # CLIP's windows of 75 tokens, one to three side by side
    timesteps = 1000
    files: Files = files

    def problems(self, config: Config) -> Iterator[Problem]:
        """Yield what this family refuses in a config."""
        yield from files.problems(config.base_model)
        yield from lacking(DDPM, config)
        base = config.base_model
        if base.zero_terminal_snr and base.prediction_type == "epsilon":
            yield Problem(
                "base_model.zero_terminal_snr=true: in pure noise, predicting the noise (epsilon) teaches nothing and "
                "says nothing of the image; set base_model.prediction_type=v_prediction if the base is one, else take "
                "it away",
                "base_model.zero_terminal_snr",
                "base_model.prediction_type",
            )

    def resolution_step(self, base: BaseModelConfig, *, buckets: bool) -> int:
        """Return what the side of the square that is trained on is a multiple of.

        Args:
            base: which one.
            buckets: whether there are other sizes beside it. The UNet halves its 1/8-size latents twice and more: 64
                pixels keep every level whole.
        """
        return min(64, base.resolution) if buckets else 8

    def vocabulary(self, config: BaseModelConfig) -> CLIPVocabulary:
        """Return what counts the tokens of captions.

        Raises:
            UserError: its files cannot be had or read.
        """
        return CLIPVocabulary.of(config)

    def load(self, config: BaseModelConfig, device: str, dtype: torch.dtype) -> SDXL:
        """Load a base.

        Args:
            config: which one.
            device: where to.
            dtype: precision of its weights; the VAE stays in 32 bit.

        Raises:
            UserError: it is not there, damaged, or of another family.
        """
        from lorasweep.families.sdxl.load import load

        return load(self, config, device, dtype)

    def probes(self, config: BaseModelConfig) -> Mapping[str, Probe] | None:
        """Return every part of a base by name, without its weights; None if its configs are not on this machine."""
        from lorasweep.families.sdxl.probes import probes_in

        return probes_in(Path(config_source(config)), files.pixels_per_latent(config) or LATENT_FACTOR)

    def choice_of(self, metadata: Mapping[str, str]) -> str | None:
        """Return "sdxl" or "toy" for an adapter's file of one of them, by its metadata; None for any other."""
        return choice_of(metadata)

    def layer_name(self, part: str, path: str) -> str:
        """Return the name of a module that stays the same whichever release of transformers built it.

        transformers 5 keeps the layers of `CLIPTextModel` at `encoder.layers` and those of
        `CLIPTextModelWithProjection` at `text_model.encoder.layers`; earlier releases have `text_model` in both. Here,
        as in kohya's names, both have it: `text_encoder.text_model.encoder.layers.0.self_attn.q_proj`.

        Args:
            part: name of the part.
            path: the module's, inside of it.
        """
        if part != "unet" and not path.startswith("text_model."):
            path = f"text_model.{path}"
        return f"{part}.{path}"


FAMILY = SDXLFamily()
