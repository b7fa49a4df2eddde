"""The toy CLIP as a judge: which choice of each attribute does a picture show?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPModel

from lorasweep.families.shipped import CLIP_PATH
from lorasweep.toy.attributes import CHOICES, questions
from lorasweep.toy.tokenizer import load_tokenizer


@lru_cache(maxsize=2)
def _load(folder: Path) -> tuple[CLIPModel, CLIPImageProcessorPil, dict[str, Tensor]]:
    """Return the CLIP in `folder` with the normalised embeddings of all questions."""
    model = CLIPModel.from_pretrained(folder, local_files_only=True).float().eval()
    processor = CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)
    tokenizer = load_tokenizer(folder)
    texts = {}
    with torch.no_grad():
        for attribute in CHOICES:
            tokens = tokenizer(questions(attribute), padding=True, return_tensors="pt")
            texts[attribute] = _unit(model.get_text_features(**tokens))
    return model, processor, texts


def _unit(features: object) -> Tensor:
    """Return projected features normalised; transformers hands them bare or within an output object."""
    values = features if isinstance(features, Tensor) else features.pooler_output  # type: ignore[attr-defined]
    return values / values.norm(dim=-1, keepdim=True)


def classify(images: Sequence[Image.Image], clip: Path = CLIP_PATH) -> list[dict[str, str]]:
    """Return, for each picture, the choice of every attribute whose caption fits it best.

    Args:
        images: RGB pictures of any size; they are resized to 64 pixels and cropped to the middle.
        clip: folder of the CLIP.
    """
    model, processor, texts = _load(clip)
    answers: list[dict[str, str]] = []
    for start in range(0, len(images), 64):
        pixels = processor(images=list(images[start : start + 64]), return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            seen = _unit(model.get_image_features(pixel_values=pixels))
        best = {attribute: (seen @ text.T).argmax(dim=-1).tolist() for attribute, text in texts.items()}
        answers += [{a: CHOICES[a][best[a][row]] for a in CHOICES} for row in range(len(seen))]
    return answers


def judge(images: Sequence[Image.Image], attributes: Sequence[Mapping[str, str]],
          clip: Path = CLIP_PATH) -> dict[str, float]:  # fmt: skip
    """Return the share of pictures, 0..1, that show the wanted choice, for each attribute that was asked for.

    Args:
        images: the pictures.
        attributes: what each should show, by attribute name; names outside `attributes.CHOICES` are ignored, and a
            picture need not ask for all of them.

    Raises:
        ValueError: when there are not as many records as pictures.
    """
    if len(images) != len(attributes):
        raise ValueError(f"{len(images)} pictures, but {len(attributes)} records of what they should show")
    answers = classify(images, clip)
    shares: dict[str, float] = {}
    for attribute in CHOICES:
        asked = [(a[attribute], w[attribute]) for a, w in zip(answers, attributes, strict=True) if attribute in w]
        if asked:
            shares[attribute] = sum(answer == wanted for answer, wanted in asked) / len(asked)
    return shares


def overall(shares: Mapping[str, float]) -> float:
    """Return the mean over attributes of what `judge` returned."""
    return sum(shares.values()) / len(shares)
