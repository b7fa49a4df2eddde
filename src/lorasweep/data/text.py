"""Text embeddings of captions, encoded once for all versions (while the text encoders are frozen)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from lorasweep.data.cache import TensorCache, precision
from lorasweep.families.base import Base, TextEmbeddings

# Part of every key: raise it when what an entry holds, or how it is made, changes.
VERSION = 1


class TextCache:
    """Captions in, embeddings out; the empty caption is an entry like any other, so caption dropout needs no
    care.

    Args:
        base: its frozen text encoders encode. cache: where the results are kept.
        max_tokens: 75, 150 or 225, the length that no caption exceeds.
        padded: pad every caption to that length.
    """

    def __init__(self, base: Base, cache: TensorCache, max_tokens: int, *, padded: bool = False) -> None:
        self._base, self._cache, self._max_tokens, self._padded = base, cache, max_tokens, padded
        self._text = [
            base.digests["text"],
            precision(base.modules["text_encoder"]),
            precision(base.modules["text_encoder_2"]),
        ]
        self._lengths: dict[str, int] = {}

    def warm(self, captions: Iterable[str]) -> None:
        """Encode what is not there yet, so that the encoders can leave the GPU afterwards.

        A batch pads its captions to the longest one's length: each caption is encoded at every such length.
        """
        needed = {caption: self._length(caption) for caption in captions}
        lengths = sorted(set(needed.values()))
        for caption, own in needed.items():
            for tokens in lengths:
                if tokens >= own:
                    self._entry(caption, tokens)

    def __call__(self, captions: list[str], company: Iterable[str] = ()) -> TextEmbeddings:
        """Return the embeddings of a batch, padded to the shortest length that holds all captions and those of
        `company`, on the CPU.

        What was never encoded (a newly shuffled caption) is encoded and stored now.
        """
        tokens = max(self._length(caption) for caption in [*captions, *company])
        entries = [self._entry(caption, tokens) for caption in captions]
        return TextEmbeddings(
            torch.stack([entry["hidden"] for entry in entries]),
            torch.stack([entry["pooled"] for entry in entries]),
        )

    def _length(self, caption: str) -> int:
        if self._padded:
            return self._max_tokens
        if caption not in self._lengths:
            self._lengths[caption] = self._base.tokens_needed([caption], self._max_tokens)
        return self._lengths[caption]

    def _entry(self, caption: str, tokens: int) -> dict[str, Tensor]:
        """Encode one caption by itself, so that an entry never depends on what happened to be encoded beside it."""
        parts: dict[str, object] = {
            "kind": "text",
            "version": VERSION,
            "caption": caption,
            "tokens": tokens,
            "encoders": self._text,
        }

        def encode() -> dict[str, Tensor]:
            with torch.no_grad():
                text = self._base.encode_text([caption], tokens)
            return {"hidden": text.hidden[0], "pooled": text.pooled[0]}

        return self._cache.fetch(parts, encode, f'the caption "{caption}", encoded by the text encoders')
