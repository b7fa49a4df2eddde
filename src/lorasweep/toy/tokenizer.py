"""The toy's CLIP tokenizers: a small byte-pair encoding learnt on the world's captions.

The format is CLIP's own (`vocab.json`, `merges.txt`, words ending in `</w>`), all 256 bytes are in the vocabulary, so
any text can be encoded; the captions' words are one token each.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77
MERGES = 2000
"""Tokens of every prompt, as in SDXL."""


def byte_letters() -> list[str]:
    """Return the 256 letters that stand for the 256 bytes in CLIP's and GPT-2's vocabularies."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    letters = {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(rest)}
    return [letters[byte] for byte in (*plain, *rest)]


def learn_merges(words: Counter[str], count: int) -> list[tuple[str, str]]:
    """Return up to `count` merges, the most frequent pair of neighbours first."""
    parts = {word: (*word[:-1], word[-1] + "</w>") for word in words}
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, pieces in parts.items():
            for pair in pairwise(pieces):
                pairs[pair] += words[word]
        if not pairs:
            break
        # Ties are broken by the letters, so that the same captions always give the same vocabulary.
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        parts = {word: _merged(pieces, best) for word, pieces in parts.items()}
    return merges


def _merged(pieces: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    result: list[str] = []
    for piece in pieces:
        if result and (result[-1], piece) == pair:
            result[-1] += piece
        else:
            result.append(piece)
    return tuple(result)


def words_of(texts: Iterable[str]) -> Counter[str]:
    """Count the words of ASCII captions, split the way CLIP splits them (letters apart from digits and signs)."""
    words: Counter[str] = Counter()
    for text in texts:
        spaced = "".join(c if c.isalpha() else f" {c} " for c in text.lower())
        words.update(spaced.split())
    return words


def write_tokenizer(folder: Path, captions: Iterable[str], *, pad: str = END) -> Path:
    """Learn a tokenizer from `captions` and write it to `folder`.

    Args:
        pad: the padding token: the end token for SDXL's first tokenizer, `!` (number 0) for its second.
    """
    learnt = learn_merges(words_of(captions), MERGES)
    letters = byte_letters()
    tokens = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in learnt), START, END]
    tokens = list(dict.fromkeys(tokens))
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in learnt)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": LENGTH,
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": pad,
        "add_prefix_space": False,
        "do_lower_case": True,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return folder


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """Return the tokenizer in `folder`; it never asks the network."""
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
