"""Stable Diffusion XL, and the toy base, which has all of its parts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from lorasweep.families.base import FileHashes, TextEmbeddings
from lorasweep.families.placement import Placement
from lorasweep.families.sdxl.tokens import CHUNK, chunk_ids, count_tokens, join_chunks
from lorasweep.transfer import sent


class SDXL:
    """Two CLIP text encoders, a UNet with size conditioning and a VAE.

    Args:
        path: where it was loaded from, as the user wrote it.
        sha256: digest of all weights files. digests: "vae" and "text", of these parts alone.
        vae, unet, text_encoders, tokenizers, scheduler: the parts, as diffusers and transformers load them.
        prediction_type: "epsilon" or "v_prediction", what the UNet was trained to predict.
        file_hashes: of those of "base" and "vae" (one that replaces the base's own) that are single files.
        zero_terminal_snr: whether the noise schedule ends in pure noise, for training, evaluation and sampling alike.
    """

    family = "sdxl"

    def __init__(
        self,
        *,
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
        self.path, self.sha256, self.digests = path, sha256, digests
        self.file_hashes = dict(file_hashes or {})
        self.vae, self.unet = vae, unet
        self.text_encoders, self.tokenizers = text_encoders, tokenizers
        schedule: dict[str, Any] = {"prediction_type": prediction_type, "rescale_betas_zero_snr": zero_terminal_snr}
        if zero_terminal_snr:  # a sampler that never visits the last timestep would not begin where training ends
            schedule["timestep_spacing"] = "trailing"
        self.scheduler = EulerDiscreteScheduler.from_config(scheduler.config, **schedule)
        self.modules: dict[str, nn.Module] = {
            "unet": unet,
            "text_encoder": text_encoders[0],
            "text_encoder_2": text_encoders[1],
            "vae": vae,
        }
        for module in self.modules.values():
            module.requires_grad_(False).eval()
        vae.enable_slicing()  # one image at a time: four decoded side by side would take more memory than training
        self.placement = Placement(self.modules, self.device)
        self.latent_factor = 2 ** (len(vae.config.block_out_channels) - 1)
        self.scaling_factor: float = vae.config.scaling_factor
        self.alphas_cumprod: Tensor = self.scheduler.alphas_cumprod.clone()
        # What it sampled with no adapter, by prompts and settings: a search's next trial need not draw it again.
        self.bare_samples: dict[Hashable, list[Image.Image]] = {}

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
        self.placement = Placement(self.modules, self.device)
        self.alphas_cumprod = self.alphas_cumprod.to(device)
        return self

    @torch.no_grad()
    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the posterior's mean and standard deviation, (B, 4, H/f, W/f), of pixels (B, 3, H, W) in [-1, 1]."""
        with self.placement.awake("vae"):
            posterior = self.vae.encode(pixels.to(self.vae.device, self.vae.dtype)).latent_dist
            return posterior.mean, posterior.std

    def tokens_needed(self, captions: list[str], max_tokens: int) -> int:
        """Return 75, 150 or 225: the shortest length that holds all captions, at most `max_tokens`.

        Short captions are trained at the length at which they will be used: an image generator does not append empty
        chunks to a short prompt.
        """
        longest = max(count_tokens(tokenizer, text) for tokenizer in self.tokenizers for text in captions)
        return min(max_tokens, CHUNK * max(1, -(-longest // CHUNK)))

    def encode_text(self, captions: list[str], max_tokens: int) -> TextEmbeddings:
        """Encode captions padded to `max_tokens`; each encoder's last layer but one, and the second one's projection.

        The pooled vector is that of the first chunk, as in every SDXL program.
        """
        hidden = []
        with self.placement.awake("text_encoder", "text_encoder_2"):
            for encoder, tokenizer in zip(self.text_encoders, self.tokenizers, strict=True):
                ids = sent(torch.stack([chunk_ids(tokenizer, text, max_tokens) for text in captions]), self.device)
                output = encoder(ids.flatten(0, 1), output_hidden_states=True)
                hidden.append(join_chunks(output.hidden_states[-2].unflatten(0, ids.shape[:2])))
        pooled = output.text_embeds.unflatten(0, ids.shape[:2])[:, 0]
        return TextEmbeddings(torch.cat(hidden, dim=-1), pooled)

    def predict(self, noisy: Tensor, timesteps: Tensor, text: TextEmbeddings, size_ids: Tensor) -> Tensor:
        """Return the UNet's prediction (B, 4, h, w) in its own precision."""
        dtype = self.unet.dtype
        # Sizes stay exact: in bf16 1500 would be 1504, of which the UNet makes other sinusoids before it rounds them.
        conditions = {"text_embeds": text.pooled.to(dtype), "time_ids": size_ids.float()}
        return self.unet(
            noisy.to(dtype),
            timesteps,
            encoder_hidden_states=text.hidden.to(dtype),
            added_cond_kwargs=conditions,
            return_dict=False,
        )[0]

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
        tokens = self.tokens_needed([*prompts, negative_prompt], max_tokens)
        with self.placement.awake("text_encoder", "text_encoder_2"):
            positive = self.encode_text(prompts, tokens)
            negative = self.encode_text([negative_prompt] * len(prompts), tokens)
        pipeline = self.pipeline()
        with self.placement.awake("vae"):  # from here, as the pipeline computes where the VAE is
            denoised = pipeline(
                prompt_embeds=positive.hidden,
                pooled_prompt_embeds=positive.pooled,
                negative_prompt_embeds=negative.hidden,
                negative_pooled_prompt_embeds=negative.pooled,
                latents=latents.to(self.device, self.unet.dtype),
                height=latents.shape[-2] * self.latent_factor,
                width=latents.shape[-1] * self.latent_factor,
                num_inference_steps=steps,
                guidance_scale=guidance,
                output_type="latent",
            ).images
            # The pipeline would decode in the UNet's precision, in which SDXL's VAE overflows to black images.
            with torch.autocast(self.device.type, enabled=False):
                pixels = self.vae.decode(denoised.to(self.vae.dtype) / self.scaling_factor).sample
        return list(pipeline.image_processor.postprocess(pixels))

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
