"""Training of the toy base's UNet together with its two text encoders, on the finished VAE's latents.

As SDXL was: noise prediction, size and crop conditioning, several aspect ratios, a share of empty captions for
classifier-free guidance. Half of the empty ones are zeros (what SDXL's pipeline gives for "no prompt"), the other
half the encoding of "" (what LoRA trainers give for a dropped caption), so both are known to the base.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from lorasweep import files
from lorasweep.randomness import generator, random_for
from lorasweep.toy.attributes import caption_of
from lorasweep.toy.captions import tokenizer_texts
from lorasweep.toy.fitting import Plan, fit
from lorasweep.toy.humanoids import draw_humanoid, humanoid
from lorasweep.toy.models import Denoiser, new_scheduler, write_denoiser
from lorasweep.toy.pictures import as_tensor, drawn
from lorasweep.toy.tokenizer import LENGTH, load_tokenizer, write_tokenizer

HUMANOIDS = 24_000
"""Humanoids that the base is trained on, each in several wordings."""

SIZES = ((48, 80), (80, 48), (56, 72), (72, 56))
"""(width, height) of the pictures that are not square."""

OTHER_SHAPES = 0.12
"""Share of the batches that have one of `SIZES`."""

EMPTY = 0.1
"""Share of the rows without a caption."""

SNR_LIMIT = 5.0
"""Min-SNR weighting: steps with little noise count less, from this signal-to-noise ratio on."""

NOISY_LIMIT = 20.0
"""Steps with much noise count up to this much more (as in velocity prediction). That is where colours, pose and
background are decided; with even weights the text had hardly any influence after a thousand steps."""


def loss_weight(alpha: Tensor) -> Tensor:
    """Return the weight of a squared error in the noise, where `alpha` (0..1) is the signal's share of the variance."""
    return (SNR_LIMIT * (1 - alpha) / alpha).clamp(max=1.0) * (1 / alpha).clamp(max=NOISY_LIMIT)


@dataclass(frozen=True)
class LatentSet:
    """Pictures of one size as latents: `latents` (pictures, 4, height / 4, width / 4).

    `sizes` (pictures, 6) are SDXL's size and crop numbers, `rows` the humanoids' indices. None is mirrored: things are
    held on the left of the picture, so that there is one place for them to learn.
    """

    latents: Tensor
    sizes: Tensor
    rows: range


def load_vae(base: Path) -> AutoencoderKL:
    """Return the finished VAE of the folder `base`, in single precision."""
    vae: AutoencoderKL = AutoencoderKL.from_pretrained(base / "vae", local_files_only=True)
    return vae.float().eval()


def write_tokenizers(base: Path, seed: int) -> None:
    """Write SDXL's two tokenizers into the folder `base`; they differ in their padding only."""
    texts = tokenizer_texts(seed)
    write_tokenizer(base / "tokenizer", texts)
    write_tokenizer(base / "tokenizer_2", texts, pad="!")


def encode(vae: AutoencoderKL, pixels: Tensor) -> Tensor:
    """Return the scaled latents of pictures (images, 3, height, width) in -1..1."""
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        parts = [vae.encode(part).latent_dist.mean.float() for part in pixels.split(32)]
    return torch.cat(parts) * vae.config.scaling_factor


def _latent_set(vae: AutoencoderKL, cache: Path, name: str, rows: range, draw: Callable[[int], Image.Image],
                sizes: Tensor) -> LatentSet:  # fmt: skip
    path = cache / f"latents_{name}.safetensors"
    if path.exists():
        return LatentSet(load_file(path)["latents"].float(), sizes, rows)
    pixels = as_tensor(drawn(cache, name, len(rows), lambda i: draw(rows[i])))
    latents = encode(vae, pixels)
    files.write_safetensors(path, {"latents": latents.half().contiguous()}, {})
    return LatentSet(latents, sizes, rows)


def _crop_box(index: int, seed: int) -> tuple[int, int, int]:
    draw = random_for(seed, "crop", index)
    side = draw.choice((72, 80, 96, 112))
    return side, draw.randint(0, side - 64), draw.randint(0, side - 64)


def _cropped(index: int, seed: int) -> Image.Image:
    side, left, top = _crop_box(index, seed)
    return draw_humanoid(index, size=(side, side), seed=seed).image.crop((left, top, left + 64, top + 64))


def _small_side(index: int, seed: int) -> int:
    return random_for(seed, "small", index).randint(24, 56)


def _enlarged(index: int, seed: int) -> Image.Image:
    side = _small_side(index, seed)
    small = draw_humanoid(index, size=(side, side), seed=seed).image
    return small.resize((64, 64), Image.Resampling.BICUBIC)


def _shaped(index: int, size: tuple[int, int], seed: int) -> Image.Image:
    return draw_humanoid(index, size=size, seed=seed).image


def latent_sets(vae: AutoencoderKL, cache: Path, *, seed: int,
                humanoids: int) -> tuple[list[LatentSet], list[LatentSet]]:  # fmt: skip
    """Return the square sets (whole, true crops, enlarged small ones) and those with the shapes of `SIZES`."""
    few = humanoids // 32
    all_rows, rows = range(humanoids), range(few)
    plain = torch.tensor([[64.0, 64, 0, 0, 64, 64]])
    boxes = [_crop_box(i, seed) for i in rows]
    crops = torch.tensor([[float(s), s, top, left, 64, 64] for s, left, top in boxes])
    sides = torch.tensor([[float(_small_side(i, seed))] * 2 + [0.0, 0, 64, 64] for i in rows])
    square = [
        _latent_set(vae, cache, "humanoids", all_rows, lambda i: draw_humanoid(i, seed=seed).image,
                    plain.repeat(humanoids, 1)),
        _latent_set(vae, cache, "cropped", rows, lambda i: _cropped(i, seed), crops),
        _latent_set(vae, cache, "enlarged", rows, lambda i: _enlarged(i, seed), sides),
    ]  # fmt: skip
    other = []
    for number, (width, height) in enumerate(SIZES):
        part = range(few * number, few * (number + 1))
        numbers = torch.tensor([[float(height), width, 0, 0, height, width]]).repeat(few, 1)
        shaped = partial(_shaped, size=(width, height), seed=seed)
        other.append(_latent_set(vae, cache, f"shape_{width}x{height}", part, shaped, numbers))
    return square, other


def train_unet(base: Path, cache: Path, *, seed: int, steps: int, batch: int = 16, lr: float = 1e-3,
               humanoids: int = HUMANOIDS, worker: int = 0, workers: int = 1,
               start: Path | None = None) -> float:  # fmt: skip
    """Train UNet and text encoders and write them, the tokenizers and the scheduler into the folder `base`.

    Args:
        base: holds the finished VAE as `vae`.
        batch: rows per step and worker.
        start: folder of a finished base with the same vocabulary, whose UNet and text encoders are begun from.

    Returns:
        Seconds of training.
    """
    if worker == 0:
        write_tokenizers(base, seed)
    square, other = latent_sets(load_vae(base), cache, seed=seed, humanoids=humanoids)
    tokenizers = [load_tokenizer(base / name) for name in ("tokenizer", "tokenizer_2")]
    vocabulary = len(tokenizers[0])
    torch.manual_seed(seed)
    model = Denoiser(vocabulary)
    if start is not None:
        model.unet.load_state_dict(load_file(start / "unet" / "diffusion_pytorch_model.safetensors"))
        model.text_encoder.load_state_dict(load_file(start / "text_encoder" / "model.safetensors"))
        model.text_encoder_2.load_state_dict(load_file(start / "text_encoder_2" / "model.safetensors"))
    records = [asdict(humanoid(index, seed)) for index in range(humanoids)]
    alphas = new_scheduler().alphas_cumprod

    def loss_of(step: int) -> Tensor:
        draw = random_for(seed, "unet-batch", step, worker)
        if draw.random() < OTHER_SHAPES:
            picked = [draw.choice(other)] * batch
        else:
            picked = draw.choices(square, (0.9, 0.06, 0.04), k=batch)
        latents, sizes, captions = [], [], []
        for latent_set in picked:
            row = draw.randrange(len(latent_set.rows))
            latents.append(latent_set.latents[row])
            size = latent_set.sizes[row].clone()
            if latent_set is square[0] and draw.random() < 0.25:
                # A picture that was scaled down looks like one drawn at 64; its original size may be any.
                size[:2] = float(round(64 * 2 ** draw.uniform(0, 5)))
            sizes.append(size)
            captions.append(caption_of(records[latent_set.rows[row]], draw))
        empty = [draw.random() < EMPTY for _ in range(batch)]
        blank = torch.tensor([e and draw.random() < 0.5 for e in empty])
        captions = ["" if e else caption for e, caption in zip(empty, captions, strict=True)]
        tokens = [t(captions, padding="max_length", max_length=LENGTH, truncation=True,
                    return_tensors="pt").input_ids for t in tokenizers]  # fmt: skip
        draws = generator(seed, "unet-noise", step, worker)
        clean = torch.stack(latents)
        noise = torch.randn(clean.shape, generator=draws)
        times = torch.randint(0, 1000, (batch,), generator=draws)
        alpha = alphas[times][:, None, None, None]
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        predicted = model(noisy, times, *tokens, torch.stack(sizes), blank)
        return (loss_weight(alpha) * (predicted - noise).square()).mean()

    def export(trained: nn.Module) -> None:
        write_denoiser(model, vocabulary, base)

    plan = Plan(steps=steps, lr=lr, warmup=300, decay=0.999, export_every=250, state=cache / "unet.safetensors",
                worker=worker, workers=workers)  # fmt: skip
    return fit(model, loss_of, export, plan)
