"""Captions encoded once for all versions, while the text encoders are frozen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from lorasweep.data.cache import TensorCache
from lorasweep.families.base import TextEncoder
from lorasweep.families.conditioning import Conditioning

# Part of every key: raise it when what an entry holds, or how it is made, changes.
VERSION = 1


class TextCache:
    """Captions in, conditioning out; the empty caption is an entry like any other, so caption dropout needs no care.

    Args:
        base: its frozen text encoders encode.
        cache: where the results are kept.
        max_tokens: the length that no caption exceeds.
        padded: pad every caption to that length.
    """

    def __init__(self, base: TextEncoder, cache: TensorCache, max_tokens: int, *, padded: bool = False) -> None:
        self._base, self._cache, self._max_tokens, self._padded = base, cache, max_tokens, padded
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

    def __call__(self, captions: Sequence[str], pad_to: Iterable[str] = ()) -> Conditioning:
        """Return a batch of captions encoded, on the CPU.

        What was never encoded (a newly shuffled caption) is encoded and stored now.

        Args:
            captions: a row for each.
            pad_to: captions that they are padded to the length of, besides their own.
        """
        tokens = max(self._length(caption) for caption in [*captions, *pad_to])
        return Conditioning.of_rows([self._entry(caption, tokens) for caption in captions])

    def _length(self, caption: str) -> int:
        if self._padded:
            return self._max_tokens
        if caption not in self._lengths:
            self._lengths[caption] = self._base.length([caption], self._max_tokens)
        return self._lengths[caption]

    def _entry(self, caption: str, tokens: int) -> dict[str, Tensor]:
        """Encode one caption by itself, so that an entry never depends on what happened to be encoded beside it."""
        parts: dict[str, object] = {
            "kind": "text",
            "version": VERSION,
            "caption": caption,
            "tokens": tokens,
            "encoders": self._base.text_key,
        }

        def encode() -> dict[str, Tensor]:
            with torch.no_grad():
                return self._base.encode_text([caption], tokens).row(0)

        return self._cache.fetch(parts, encode, f'the caption "{caption}", encoded by the text encoders')
