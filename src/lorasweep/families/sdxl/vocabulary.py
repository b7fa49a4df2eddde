"""The tokenizers of a base without the base: what captions are in tokens, before torch is loaded.

They are CLIP's, put together as transformers does it (a test holds them to be equal): loading that library takes longer
than all else that the data room does with a folder of a few images.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lorasweep.errors import UserError
from lorasweep.families.sdxl.layout import TOKENIZERS, config_source
from lorasweep.schema import BaseModelConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_SPECIAL = ("<|startoftext|>", "<|endoftext|>")


class CLIPVocabulary:
    """Counts tokens as the text encoders of a base get them.

    Args:
        tokenizers: one per text encoder.
    """

    def __init__(self, tokenizers: Sequence[Tokenizer]) -> None:
        self._tokenizers = tokenizers

    @classmethod
    def of(cls, base: BaseModelConfig) -> CLIPVocabulary:
        """Return a base's vocabulary; of a model of the hub, the tokenizers alone are downloaded.

        Raises:
            UserError: its files are not there, cannot be had or cannot be read.
        """
        source = config_source(base)
        if Path(source).is_dir():
            folder = Path(source)
        else:
            from lorasweep.families.hub import snapshot

            advice = "give base_model.config_path the path of a folder with SDXL's configs and tokenizers"
            folder = snapshot(source, "base_model.path", allow=["tokenizer*/*"], advice=advice)
        try:
            return cls([_load(folder / name) for name in TOKENIZERS])
        except Exception as error:  # of files that are missing or damaged; the loaders raise many kinds
            raise UserError(f"{source}: its tokenizers cannot be read ({error})") from error

    def count(self, text: str) -> int:
        """Return the number of tokens of a text, without those that begin and end it; the most of all encoders."""
        return max(len(tokenizer.encode(text, add_special_tokens=False).ids) for tokenizer in self._tokenizers)

    def kept(self, text: str, most: int) -> str:
        """Return the part of a text that is within its first `most` tokens, whole ones, for every encoder."""
        end = len(text)
        for tokenizer in self._tokenizers:
            offsets = tokenizer.encode(text, add_special_tokens=False).offsets
            if len(offsets) > most:
                end = min(end, offsets[most][0])
        return text[:end].rstrip()


def _load(folder: Path) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(
        models.BPE(*_words(folder), continuing_subword_prefix="", end_of_word_suffix="</w>", unk_token=_SPECIAL[1])
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.add_special_tokens(list(_SPECIAL))
    return tokenizer


def _words(folder: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return the vocabulary of a tokenizer's folder and its merges, in order."""
    if not (folder / "tokenizer.json").exists():
        from tokenizers import models

        vocabulary, merges = models.BPE.read_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
        return vocabulary, merges
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"])
    return model["vocab"], [(left, right) for left, right in pairs]
