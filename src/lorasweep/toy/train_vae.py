"""Training of the toy base's VAE: 64x64 pixels to 16x16x4 latents and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from lorasweep.randomness import generator, random_for
from lorasweep.toy.everything import draw_anything
from lorasweep.toy.fitting import Fitting, fit
from lorasweep.toy.humanoids import draw_humanoid
from lorasweep.toy.models import write_half
from lorasweep.toy.pictures import Pixels, as_tensor, draw_cached

KL_WEIGHT = 1e-6
EDGE_WEIGHT = 0.15
"""Weight of the differences of neighbours along each axis: it keeps eyes and mouths crisp."""

COLOR_WEIGHT = 5.0
"""Weight of the squared error of the mean colour of each 4x4 pixels. Without it all four latent channels go to edges
and one axis of colour (orange to blue): greens came back brown after a thousand steps of L1 and edges alone."""

HUMANOIDS = 12_000
"""Whole humanoids that the VAE sees, all of them from the training range."""

SHARES = (0.6, 0.14, 0.18, 0.08)
"""Of all pictures: whole humanoids, close-ups of them, anything at all, photographs."""


def new_vae() -> AutoencoderKL:
    """Return an untrained VAE of SDXL's kind, narrower and with one halving less.

    Its norms have two groups only: with two or three channels in a group, a norm wipes out the colours themselves.
    """
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(24, 48, 64),
        layers_per_block=1,
        norm_num_groups=2,
        latent_channels=4,
        sample_size=64,
        mid_block_add_attention=False,
        force_upcast=False,
    )


def vae_pictures(cache: Path, seed: int, humanoids: int) -> list[Pixels]:
    """Return what the VAE is trained on: humanoids at 64, small parts of large ones, and anything at all."""
    anything = humanoids // 2
    return [
        draw_cached(cache, "humanoids", humanoids, lambda i: draw_humanoid(i, seed=seed).image),
        draw_cached(cache, "close", anything // 2, lambda i: _close_up(i, seed)),
        draw_cached(cache, "anything", anything, lambda i: draw_anything(i, seed=seed)),
        draw_cached(cache, "photographs", anything // 4, lambda i: _photograph(i, seed)),
    ]


def _close_up(index: int, seed: int) -> Image.Image:
    draw = random_for(seed, "close-up", index)
    side = draw.choice((80, 96, 128, 160))
    image = draw_humanoid(index, size=(side, side), seed=seed).image
    left, top = draw.randint(0, side - 64), draw.randint(0, side - 64)
    return image.crop((left, top, left + 64, top + 64))


def _photograph(index: int, seed: int) -> Image.Image:
    """Return a part, at some scale, of one of the sample photographs that come with scikit-image."""
    from skimage import data

    draw = random_for(seed, "photograph", index)
    photo = Image.fromarray(draw.choice((data.astronaut, data.coffee, data.chelsea))())
    side = round(min(photo.size) * draw.uniform(0.2, 1.0))
    left, top = draw.randint(0, photo.width - side), draw.randint(0, photo.height - side)
    return photo.crop((left, top, left + side, top + side)).resize((64, 64), Image.Resampling.BOX)


def edges(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the differences of neighbours along each axis."""
    return pixels[..., 1:] - pixels[..., :-1], pixels[..., 1:, :] - pixels[..., :-1, :]


def picture_loss(decoded: Tensor, pixels: Tensor) -> Tensor:
    """Return L1 + L2 + colour + edges for pictures (images, 3, height, width) in -1..1."""
    error = decoded - pixels
    loss = 0.5 * error.abs().mean() + 2 * error.square().mean()
    loss = loss + COLOR_WEIGHT * functional.avg_pool2d(error, 4).square().mean()
    for mine, theirs in zip(edges(decoded), edges(pixels), strict=True):
        loss = loss + EDGE_WEIGHT * (mine - theirs).abs().mean()
    return loss


def vae_loss(vae: AutoencoderKL, pixels: Tensor, noise: Tensor) -> Tensor:
    """Return the loss of giving `pixels` back from noised latents, with a tiny KL."""
    posterior = vae.encode(pixels).latent_dist
    decoded = vae.decode(posterior.mean + posterior.std * noise).sample.float()
    return picture_loss(decoded, pixels) + KL_WEIGHT * posterior.kl().mean()


def _batch(sets: list[Pixels], seed: int, purpose: str, step: int, rows: int, worker: int = 0) -> Tensor:
    """Return a batch (rows, 3, 64, 64) in -1..1, half of the batches mirrored."""
    draw = random_for(seed, purpose, step, worker)
    picked = draw.choices(sets, SHARES, k=rows)
    pixels = as_tensor(np.stack([pictures[draw.randrange(len(pictures))] for pictures in picked]))
    if draw.random() < 0.5:
        pixels = pixels.flip(-1)
    return pixels.contiguous(memory_format=torch.channels_last)


def train_vae(out: Path, cache: Path, *, seed: int, steps: int, batch: int = 16, lr: float = 1.5e-3,
              humanoids: int = HUMANOIDS, worker: int = 0, workers: int = 1,
              start: Path | None = None) -> float:  # fmt: skip
    """Train the VAE and write it to `out`, a folder in diffusers' layout; `batch` is per worker.

    `start` is the folder of a finished VAE to begin from.

    Returns:
        Seconds of training.
    """
    torch.manual_seed(seed)
    vae = new_vae()
    if start is not None:
        vae.load_state_dict(load_file(start / "diffusion_pytorch_model.safetensors"))
    vae = vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    sets = vae_pictures(cache, seed, humanoids)

    def loss_of(step: int) -> Tensor:
        pixels = _batch(sets, seed, "vae-batch", step, batch, worker)
        noise = torch.randn(batch, 4, 16, 16, generator=generator(seed, "vae-noise", step, worker))
        # Half the time on a CPU that knows bfloat16; the last rounding is less than one step of 8 bits.
        with torch.autocast("cpu", torch.bfloat16):
            return vae_loss(vae, pixels, noise)

    def export(model: nn.Module) -> None:
        measure = as_tensor(sets[0][:256])
        with torch.no_grad():
            latents = vae.encode(measure).latent_dist.mean
        vae.register_to_config(scaling_factor=round(1 / float(latents.std()), 5))
        half = new_vae()
        half.register_to_config(scaling_factor=vae.config.scaling_factor)
        write_half(vae, half, out)

    state = cache / "vae.safetensors"
    plan = Fitting(steps=steps, lr=lr, decay=0.995, export_every=200, state=state, worker=worker, workers=workers)
    return fit(vae, loss_of, export, plan)


def train_decoder(out: Path, cache: Path, *, seed: int, steps: int, batch: int = 16, lr: float = 1e-3,
                  humanoids: int = HUMANOIDS) -> float:  # fmt: skip
    """Train the decoder of the finished VAE in `out` further; latents, and so the UNet, stay as they are.

    Returns:
        Seconds of training.
    """
    vae: AutoencoderKL = AutoencoderKL.from_pretrained(out, local_files_only=True)
    vae = vae.float().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    sets = vae_pictures(cache, seed, humanoids)

    def loss_of(step: int) -> Tensor:
        pixels = _batch(sets, seed, "decoder-batch", step, batch)
        noise = torch.randn(batch, 4, 16, 16, generator=generator(seed, "decoder-noise", step))
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                posterior = vae.encode(pixels).latent_dist
            return picture_loss(vae.decode(posterior.mean + posterior.std * noise).sample.float(), pixels)

    def export(model: nn.Module) -> None:
        half = new_vae()
        half.register_to_config(scaling_factor=vae.config.scaling_factor)
        write_half(vae, half, out)

    plan = Fitting(steps=steps, lr=lr, decay=0.995, export_every=200, state=cache / "decoder.safetensors")
    return fit(vae, loss_of, export, plan)
