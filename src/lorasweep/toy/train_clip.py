"""Training of the toy CLIP on the base's world.

Two losses at once: CLIP's contrastive one on full captions, and, for every attribute, the choice between its
questions ("humanoid, red skin" or "humanoid, blue skin" or ...). The second keeps the small attributes from being
ignored: the contrastive loss alone is content once colour and background tell the pictures of a batch apart.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

from lorasweep.randomness import generator, random_for
from lorasweep.toy.attributes import CHOICES, caption_of, questions
from lorasweep.toy.captions import tokenizer_texts
from lorasweep.toy.fitting import Fitting, fit
from lorasweep.toy.humanoids import draw_humanoid, humanoid
from lorasweep.toy.models import write_half
from lorasweep.toy.pictures import Pixels, as_array, as_images, as_tensor, draw_cached
from lorasweep.toy.tokenizer import load_tokenizer, write_tokenizer

MEAN, STD = 0.5, 0.28
"""The image processor's normalisation, the same for each channel."""


HUMANOIDS = 24_000
"""Humanoids that the CLIP is trained on."""

CONTRASTIVE = 0.1
"""Weight of each direction of the contrastive loss; each of the twelve choices weighs 1/4."""


SOFTENED = 6_000
"""Humanoids of which the CLIP also sees what the VAE makes of them."""

PAIRS = 32
"""Pictures of a batch whose full captions take part in the contrastive loss; captions are the costly part."""


def new_clip(vocabulary: int) -> CLIPModel:
    """Return an untrained CLIP for 64x64 pictures whose end token is the vocabulary's last."""
    ends = {"bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1, "pad_token_id": vocabulary - 1}
    text = {"vocab_size": vocabulary, "hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 3,
            "num_attention_heads": 4, "max_position_embeddings": 77, "projection_dim": 96, **ends}  # fmt: skip
    vision = {"hidden_size": 128, "intermediate_size": 320, "num_hidden_layers": 4, "num_attention_heads": 4,
              "image_size": 64, "patch_size": 8, "projection_dim": 96}  # fmt: skip
    # One embedding answers twelve questions at once, so each answer moves the cosine little: hence the large scale.
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=96, logit_scale_init_value=4.0)
    model = CLIPModel(config)
    add_positions(model)
    return model


def add_positions(model: CLIPModel) -> None:
    """Make an untrained image tower notice where things are, in place.

    CLIP's own start is right for large models and long training: places weigh almost nothing against contents and
    attention is even, so a small tower learns the colours in a thousand steps and the poses not at all. Here the
    patches begin with waves of their row and column for an address, and with sharper attention.
    """
    vision = model.vision_model
    positions = vision.embeddings.position_embedding.weight
    side = round((len(positions) - 1) ** 0.5)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    speeds = torch.pi * 2 ** torch.linspace(-3, 0, positions.shape[1] // 4)
    waves = [wave(axis.flatten()[:, None] * speeds) for axis in (rows, columns) for wave in (torch.sin, torch.cos)]
    with torch.no_grad():
        positions[1:] += 0.3 * torch.cat(waves, dim=1)
        for layer in vision.encoder.layers:
            layer.self_attn.q_proj.weight *= 2.5
            layer.self_attn.k_proj.weight *= 2.5


class Apprentice(nn.Module):
    """A CLIP with a crutch for its training: a plain readout of all patches that answers the same questions.

    It teaches every patch to know shapes before the class token has learnt where to look. It is not shipped.
    """

    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip
        self.readout = nn.Linear(64 * clip.config.vision_config.hidden_size, sum(map(len, CHOICES.values())))


def image_processor() -> CLIPImageProcessorPil:
    """Return what turns any picture into the image tower's input, without torchvision."""
    return CLIPImageProcessorPil(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}, do_resize=True,
                                 do_center_crop=True, image_mean=[MEAN] * 3, image_std=[STD] * 3)  # fmt: skip


def _augmented(pixels: Tensor, draws: torch.Generator) -> Tensor:
    """Return pictures (images, 3, 64, 64) in 0..1 moved by up to 3 pixels, mirrored, dimmed, blurred, grained."""
    dx, dy = torch.randint(-3, 4, (2,), generator=draws).tolist()
    pixels = functional.pad(pixels, (3, 3, 3, 3), mode="replicate")[..., 3 + dy : 67 + dy, 3 + dx : 67 + dx]
    if torch.rand((), generator=draws) < 0.5:
        pixels = pixels.flip(-1)
    half = len(pixels) // 2
    soft = functional.avg_pool2d(functional.pad(pixels[:half], (1, 1, 1, 1), mode="replicate"), 3, 1)
    share = torch.rand(half, 1, 1, 1, generator=draws)
    pixels = torch.cat([pixels[:half] * (1 - share) + soft * share, pixels[half:]])
    gain = 1 + 0.06 * torch.randn(len(pixels), 1, 1, 1, generator=draws)
    grain = torch.rand(len(pixels), 1, 1, 1, generator=draws) * 0.06
    return (pixels * gain + grain * torch.randn(pixels.shape, generator=draws)).clamp(0, 1)


def through_vae(vae: Path, cache: Path, pixels: Pixels) -> Pixels:
    """Return `pixels` as the VAE in the folder `vae` gives them back, kept in `cache`."""
    model = AutoencoderKL.from_pretrained(vae, local_files_only=True).float().eval()

    def back(start: int) -> Pixels:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            latents = model.encode(as_tensor(pixels[start : start + 32])).latent_dist.mean
            return as_array(as_images(model.decode(latents).sample.float()))

    path = cache / "humanoids_by_vae.npy"
    if not path.exists():
        np.save(path, np.concatenate([back(start) for start in range(0, len(pixels), 32)]))
    kept: Pixels = np.load(path)
    return kept


def train_clip(out: Path, cache: Path, *, seed: int, steps: int, batch: int = 64, lr: float = 1e-3,
               humanoids: int = HUMANOIDS, vae: Path | None = None, start: Path | None = None) -> float:  # fmt: skip
    """Train the CLIP and write model, tokenizer and image processor to `out`.

    Args:
        vae: folder of the base's VAE; three of eight pictures are then seen as it gives them back, because the samples
            that the CLIP is to judge come out of it.
        start: folder of a finished CLIP with the same vocabulary, to begin from.

    Returns:
        Seconds of training.
    """
    write_tokenizer(out, tokenizer_texts(seed))
    image_processor().save_pretrained(out)
    tokenizer = load_tokenizer(out)
    torch.manual_seed(seed)
    model = Apprentice(new_clip(len(tokenizer)))
    if start is not None:
        model.clip.load_state_dict(load_file(start / "model.safetensors"))
    clip = model.clip
    pixels = draw_cached(cache, "humanoids", humanoids, lambda i: draw_humanoid(i, seed=seed).image)
    softened = pixels if vae is None else through_vae(vae, cache, pixels[:SOFTENED])
    records = [asdict(humanoid(i, seed)) for i in range(humanoids)]
    answers = {a: torch.tensor([choices.index(r[a]) for r in records]) for a, choices in CHOICES.items()}
    asked = tokenizer([q for a in CHOICES for q in questions(a)], padding=True, return_tensors="pt")

    counts = [len(choices) for choices in CHOICES.values()]

    def loss_of(step: int) -> Tensor:
        draw = random_for(seed, "clip-batch", step)
        rows = [draw.randrange(draw.choice((humanoids, len(softened)))) for _ in range(batch)]
        soft = [row < len(softened) and draw.random() < 0.6 for row in rows]
        pictures = np.stack([(softened if s else pixels)[row] for row, s in zip(rows, soft, strict=True)])
        images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        images = (_augmented(images, generator(seed, "clip-augment", step)) - MEAN) / STD
        captions = [caption_of(records[row], draw) for row in rows[:PAIRS]]
        tokens = tokenizer(captions, padding=True, return_tensors="pt")
        with torch.autocast("cpu", torch.bfloat16):
            vision = clip.vision_model(pixel_values=images)
        seen = clip.visual_projection(vision.pooler_output.float())
        text_embeds = clip.text_projection(clip.text_model(**tokens).pooler_output)
        offered = clip.text_projection(clip.text_model(**asked).pooler_output)
        seen, text_embeds, offered = (x / x.norm(dim=-1, keepdim=True) for x in (seen, text_embeds, offered))
        scale = clip.logit_scale.exp().clamp(max=100)
        pairs, own = scale * seen[: len(text_embeds)] @ text_embeds.T, torch.arange(len(text_embeds))
        loss = CONTRASTIVE * (functional.cross_entropy(pairs, own) + functional.cross_entropy(pairs.T, own))
        crutch = model.readout(vision.last_hidden_state[:, 1:].float().flatten(1))
        for scores, weight in ((scale * seen @ offered.T, 0.25), (crutch, 0.25)):
            for attribute, score in zip(CHOICES, scores.split(counts, dim=-1), strict=True):
                loss = loss + weight * functional.cross_entropy(score, answers[attribute][rows])
        return loss

    def export(_: nn.Module) -> None:
        write_half(clip, new_clip(len(tokenizer)), out)

    return fit(
        model,
        loss_of,
        export,
        Fitting(steps=steps, lr=lr, warmup=200, weight_decay=0.05, state=cache / "clip.safetensors"),
    )
