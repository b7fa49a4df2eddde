"""Captions in tokens, before anything heavy is loaded: as the base will count them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from lorasweep.errors import UserError
from lorasweep.families.sdxl.layout import TOKENIZERS
from lorasweep.families.sdxl.vocabulary import CLIPVocabulary
from lorasweep.families.shipped import BASE_PATH
from lorasweep.schema import BaseModelConfig

TEXTS = [
    "",
    "a bear, in snow",
    "a   bear\n\tin snow , ,,",
    "Ünïcödé, e\u0301 and \u00e9, it's 1girl, 12345",
    r"((x:1.2)) {a|b} \(series\) __colour__",
    "熊のぬいぐるみ, 雪 😀",
    "a bear <|endoftext|> in snow",
    "don't they're I'll",
    "x" * 300,
]


@pytest.fixture(scope="module")
def tokenizers() -> list[CLIPTokenizer]:
    return [CLIPTokenizer.from_pretrained(BASE_PATH, subfolder=name) for name in TOKENIZERS]


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_are_those_of_transformers(tokenizers, text):
    counts = [len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]) for tokenizer in tokenizers]
    assert CLIPVocabulary.of(BaseModelConfig()).count(text) == max(counts)


def test_a_tokenizer_in_one_file_is_the_same(tokenizers, tmp_path):
    for tokenizer, name in zip(tokenizers, TOKENIZERS, strict=True):
        (tmp_path / name).mkdir()
        tokenizer.backend_tokenizer.save(str(tmp_path / name / "tokenizer.json"))
    saved, shipped = CLIPVocabulary.of(BaseModelConfig(path=str(tmp_path))), CLIPVocabulary.of(BaseModelConfig())
    assert [saved.count(text) for text in TEXTS] == [shipped.count(text) for text in TEXTS]


@pytest.mark.parametrize(
    ("most", "kept"), [(9, "a bear, in snow, at night"), (5, "a bear, in snow"), (4, "a bear, in"), (0, "")]
)
def test_what_is_within_the_first_tokens(most, kept):
    assert CLIPVocabulary.of(BaseModelConfig()).kept("a bear, in snow, at night", most) == kept


def test_what_is_kept_is_what_the_encoders_get(toy_base):
    from lorasweep.families.sdxl.tokens import chunk_ids

    text = ", ".join(f"tag {number}" for number in range(60))
    kept = CLIPVocabulary.of(BaseModelConfig()).kept(text, 75)
    for tokenizer in toy_base.tokenizers:
        assert chunk_ids(tokenizer, kept, 75).equal(chunk_ids(tokenizer, text, 75))
        assert not chunk_ids(tokenizer, kept + ", more", 150).equal(chunk_ids(tokenizer, kept, 150))


def test_damaged_tokenizers_are_told_in_words(tmp_path):
    for name in TOKENIZERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "vocab.json").write_text("{")
    with pytest.raises(UserError, match="its tokenizers cannot be read"):
        CLIPVocabulary.of(BaseModelConfig(path=str(tmp_path)))


def test_it_takes_neither_torch_nor_transformers():
    code = (
        "import sys; from lorasweep.families.sdxl.vocabulary import CLIPVocabulary; "
        "from lorasweep.schema import BaseModelConfig;"
        "CLIPVocabulary.of(BaseModelConfig()).count('a bear'); print(*{'torch', 'transformers'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.strip() == ""
