"""Stable Diffusion XL, and the toy base, which has all of its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from lorasweep.families.base import Family, FileHashes, ImageFacts
from lorasweep.families.checkpointing import set_checkpointing
from lorasweep.families.conditioning import Conditioning
from lorasweep.families.identity import Identity
from lorasweep.families.offloading import Offloader
from lorasweep.families.probe import Probe
from lorasweep.families.sdxl.checkpoint import sgm_tensors, write_diffusers
from lorasweep.families.sdxl.identity import identity
from lorasweep.families.sdxl.naming import SDXLNaming
from lorasweep.families.sdxl.parts import PARTS
from lorasweep.families.sdxl.probes import probes_of
from lorasweep.families.sdxl.tokens import CHUNK, chunk_ids, count_tokens, join_chunks
from lorasweep.process.ddpm import DDPM
from lorasweep.transfer import sent

UNET, *ENCODERS = (part.name for part in PARTS)
VAE = "vae"


class SDXL:
    """Two CLIP text encoders, a UNet that is told sizes, and a VAE: a `lorasweep.families.base.Base`.

    Its conditioning has the tensors `hidden` (B, tokens, dim), the per-token states of both encoders side by side,
    with 77, 152 or 227 tokens; `pooled` (B, dim); and, with facts of the images, `size_ids` (B, 6).

    Args:
        family: what it is a base of.
        path: where it was loaded from, as the user wrote it.
        sha256: digest of all weights files.
        digests: "vae" and "text", of these parts alone.
        vae: as diffusers loads it.
        unet: as diffusers loads it.
        text_encoders: as transformers loads them.
        tokenizers: one for each encoder.
        scheduler: its noise schedule.
        prediction_type: "epsilon" or "v_prediction", what the UNet was trained to predict.
        zero_terminal_snr: whether the noise schedule ends in pure noise, for training, evaluation and sampling alike.
        file_hashes: of those of "base" and "vae" (one that replaces the base's own) that are single files.
    """

    def __init__(
        self,
        *,
        family: Family,
        path: str,
        sha256: str,
        digests: dict[str, str],
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        text_encoders: tuple[CLIPTextModel, CLIPTextModelWithProjection],
        tokenizers: tuple[Any, Any],
        scheduler: EulerDiscreteScheduler,
        prediction_type: str,
        zero_terminal_snr: bool = False,
        file_hashes: Mapping[str, FileHashes] | None = None,
    ) -> None:
        self.family, self.path, self.sha256, self.digests = family, path, sha256, digests
        self.file_hashes = dict(file_hashes or {})
        self.vae, self.unet = vae, unet
        self.text_encoders, self.tokenizers = text_encoders, tokenizers
        schedule: dict[str, Any] = {"prediction_type": prediction_type, "rescale_betas_zero_snr": zero_terminal_snr}
        if zero_terminal_snr:  # a sampler that never visits the last timestep would not begin where training ends
            schedule["timestep_spacing"] = "trailing"
        self.scheduler = EulerDiscreteScheduler.from_config(scheduler.config, **schedule)
        self.modules: dict[str, nn.Module] = {
            UNET: unet,
            **dict(zip(ENCODERS, text_encoders, strict=True)),
            VAE: vae,
        }
        for module in self.modules.values():
            module.requires_grad_(False).eval()
        vae.enable_slicing()  # one image at a time: four decoded side by side would take more memory than training
        self.offloader = Offloader(self.modules, self.device)
        self._scaling_factor: float = vae.config.scaling_factor
        self.process = DDPM(self.scheduler.alphas_cumprod.clone(), prediction_type)

    @property
    def device(self) -> torch.device:
        """Where the UNet is."""
        return next(self.unet.parameters()).device

    def to(self, device: str | torch.device, dtype: torch.dtype) -> SDXL:
        """Move all parts; the VAE stays in 32 bit, as SDXL's overflows in 16."""
        self.unet.to(device=device, dtype=dtype)
        for encoder in self.text_encoders:
            encoder.to(device=device, dtype=dtype)
        self.vae.to(device=device, dtype=torch.float32)
        self.offloader = Offloader(self.modules, self.device)
        self.process = self.process.to(device)
        return self

    @property
    def pixels_per_latent(self) -> int:
        """Side in pixels of a latent pixel."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def image_key(self) -> list[str]:
        """The VAE's digest and precision."""
        return [self.digests["vae"], _precision(self.vae)]

    @torch.no_grad()
    def encode_images(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return the posterior's `mean` and `std`, each (B, 4, h, w), unscaled, of pixels (B, 3, H, W) in [-1, 1]."""
        with self.offloader.onload(VAE):
            posterior = self.vae.encode(pixels.to(self.vae.device, self.vae.dtype)).latent_dist
            return {"mean": posterior.mean, "std": posterior.std}

    def latents(self, encoded: Mapping[str, Tensor], draws: torch.Generator | None) -> Tensor:
        """Return a sample of an image's posterior, or its mean, as the UNet takes it."""
        mean = encoded["mean"]
        if draws is None:
            return self._scaling_factor * mean
        return (mean + encoded["std"] * torch.randn(mean.shape, generator=draws)) * self._scaling_factor

    @property
    def text_key(self) -> list[str]:
        """The text encoders' digest and precisions."""
        return [self.digests["text"], *map(_precision, self.text_encoders)]

    def length(self, captions: Sequence[str], most: int) -> int:
        """Return 75, 150 or 225: the shortest length that holds all captions, at most `most`.

        Short captions are trained at the length at which they will be used: an image generator does not append empty
        chunks to a short prompt.
        """
        longest = max(count_tokens(tokenizer, text) for tokenizer in self.tokenizers for text in captions)
        return min(most, CHUNK * max(1, -(-longest // CHUNK)))

    def encode_text(self, captions: Sequence[str], length: int) -> Conditioning:
        """Encode captions padded to `length`; each encoder's last layer but one, and the second one's projection.

        The pooled vector is that of the first chunk, as in every SDXL program.
        """
        hidden = []
        with self.offloader.onload(*ENCODERS):
            for encoder, tokenizer in zip(self.text_encoders, self.tokenizers, strict=True):
                ids = sent(torch.stack([chunk_ids(tokenizer, text, length) for text in captions]), self.device)
                output = encoder(ids.flatten(0, 1), output_hidden_states=True)
                hidden.append(join_chunks(output.hidden_states[-2].unflatten(0, ids.shape[:2])))
        pooled = output.text_embeds.unflatten(0, ids.shape[:2])[:, 0]
        return Conditioning({"hidden": torch.cat(hidden, dim=-1), "pooled": pooled})

    def with_facts(self, text: Conditioning, facts: Sequence[ImageFacts]) -> Conditioning:
        """Add SDXL's size conditioning: original h, w; crop top, left; target h, w."""
        numbers = [(*each.original[::-1], *each.crop[::-1], *each.target[::-1]) for each in facts]
        size_ids = sent(torch.tensor(numbers, dtype=torch.float32), text.tensors["pooled"].device)
        return Conditioning({**text.tensors, "size_ids": size_ids})

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """Return the UNet's prediction (B, 4, h, w) in its own precision."""
        dtype, tensors = self.unet.dtype, conditioning.tensors
        # Sizes stay exact: in bf16 1500 would be 1504, of which the UNet makes other sinusoids before it rounds them.
        added = {"text_embeds": tensors["pooled"].to(dtype), "time_ids": tensors["size_ids"].float()}
        return self.unet(
            noisy.to(dtype),
            timesteps,
            encoder_hidden_states=tensors["hidden"].to(dtype),
            added_cond_kwargs=added,
            return_dict=False,
        )[0]

    def set_checkpointing(self, parts: Sequence[str], *, on: bool) -> None:
        """Let parts keep fewer activations in training and compute them again in the backward pass, or stop that."""
        for part in parts:
            set_checkpointing(self.modules[part], on=on)

    def repeated_blocks(self) -> list[nn.Module]:
        """Return the UNet's transformer blocks."""
        return [block for block in self.unet.modules() if type(block).__name__ in self.unet._repeated_blocks]

    @property
    def sample_key(self) -> list[str]:
        """The sampler, what the UNet predicts, and the noise schedule's end."""
        config = self.scheduler.config
        terminal = ["zero terminal SNR"] if config.rescale_betas_zero_snr else []
        return ["euler", config.prediction_type, *terminal]

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """Return (4, h, w), the latents' shape of an image of that size in pixels."""
        channels: int = self.vae.config.latent_channels
        return channels, height // self.pixels_per_latent, width // self.pixels_per_latent

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
        """Return one image per prompt, denoised by diffusers' own SDXL pipeline from latents (B, 4, h, w)."""
        length = self.length([*prompts, negative_prompt], max_tokens)
        with self.offloader.onload(*ENCODERS):
            positive = self.encode_text(prompts, length).tensors
            negative = self.encode_text([negative_prompt] * len(prompts), length).tensors
        pipeline = self.pipeline()
        with self.offloader.onload(VAE):  # from here, as the pipeline computes where the VAE is
            denoised = pipeline(
                prompt_embeds=positive["hidden"],
                pooled_prompt_embeds=positive["pooled"],
                negative_prompt_embeds=negative["hidden"],
                negative_pooled_prompt_embeds=negative["pooled"],
                latents=latents.to(self.device, self.unet.dtype),
                height=latents.shape[-2] * self.pixels_per_latent,
                width=latents.shape[-1] * self.pixels_per_latent,
                num_inference_steps=steps,
                guidance_scale=guidance,
                output_type="latent",
            ).images
            # The pipeline would decode in the UNet's precision, in which SDXL's VAE overflows to black images.
            with torch.autocast(self.device.type, enabled=False):
                pixels = self.vae.decode(denoised.to(self.vae.dtype) / self._scaling_factor).sample
        return list(pipeline.image_processor.postprocess(pixels))

    @property
    def naming(self) -> SDXLNaming:
        """The names that layers of this base's UNet and text encoders have in files."""
        return SDXLNaming.of(self.unet.config)

    @property
    def probes(self) -> dict[str, Probe]:
        """Every part by name, without its weights."""
        return probes_of(self.modules, self.pixels_per_latent)

    @property
    def identity(self) -> Identity:
        """What files for this base say of its kind."""
        return identity(self.unet.config, self.scheduler.config.prediction_type)

    def file_tensors(self) -> dict[str, Tensor]:
        """Return all weights in fp16 by their names in a single file of Stability's layout."""
        return sgm_tensors(
            self.unet,
            self.vae,
            self.text_encoders,
            prediction_type=self.scheduler.config.prediction_type,
            zero_terminal_snr=self.scheduler.config.rescale_betas_zero_snr,
        )

    def write_folder(self, folder: Path) -> None:
        """Write everything in diffusers' layout, in fp16; `folder` appears whole or not at all.

        Raises:
            UserError: a weight is not finite, or too large for fp16.
            OSError: the disk is full or the like.
        """
        write_diffusers(folder, self.modules, self.tokenizers, self.pipeline())

    def pipeline(self) -> StableDiffusionXLPipeline:
        """Return the parts put together; the scheduler keeps state while sampling, so each pipeline has its own."""
        pipeline = StableDiffusionXLPipeline(
            vae=self.vae,
            text_encoder=self.text_encoders[0],
            text_encoder_2=self.text_encoders[1],
            tokenizer=self.tokenizers[0],
            tokenizer_2=self.tokenizers[1],
            unet=self.unet,
            scheduler=EulerDiscreteScheduler.from_config(self.scheduler.config),
            add_watermarker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


def _precision(module: nn.Module) -> str:
    """Return the number format that a module computes in."""
    return str(next(module.parameters()).dtype)
