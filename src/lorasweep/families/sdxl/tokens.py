"""Captions of up to 225 tokens for encoders that read 77: cut into chunks of 75, each framed for itself.

The layout is that of kohya's sd-scripts: every chunk is BOS + 75 tokens + EOS; the encoded chunks are joined again as
the first BOS, all inner positions, and the last position: 77, 152 or 227 in all.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK = 75


def count_tokens(tokenizer: Any, caption: str) -> int:
    """Return the number of tokens of `caption` without BOS and EOS."""
    return len(tokenizer(caption, add_special_tokens=False, verbose=False)["input_ids"])


def chunk_ids(tokenizer: Any, caption: str, max_tokens: int) -> Tensor:
    """Return the token ids of `caption` as (max_tokens / 75, 77); what is longer is cut off.

    A chunk that the text does not reach is BOS EOS and padding; the padding is the tokenizer's own (EOS for SDXL's
    first encoder, id 0 for its second).
    """
    ids = tokenizer(caption, add_special_tokens=False, verbose=False)["input_ids"][:max_tokens]
    chunks = []
    for start in range(0, max_tokens, CHUNK):
        chunk = [tokenizer.bos_token_id, *ids[start : start + CHUNK], tokenizer.eos_token_id]
        chunks.append(chunk + [tokenizer.pad_token_id] * (CHUNK + 2 - len(chunk)))
    return torch.tensor(chunks)


def join_chunks(states: Tensor) -> Tensor:
    """Join encoded chunks (B, chunks, 77, dim) into (B, 75 * chunks + 2, dim)."""
    inner = states[:, :, 1:-1].flatten(1, 2)
    return torch.cat([states[:, 0, :1], inner, states[:, -1, -1:]], dim=1)
