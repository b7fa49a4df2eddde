from __future__ import annotations

import pytest
import torch

from lorasweep.data.cache import TensorCache
from lorasweep.data.text import TextCache

LONG = " ".join(f"word{number}" for number in range(100))


@pytest.fixture
def cached(tmp_path, base):
    def make(base=base, max_tokens=75) -> TextCache:
        """A new one each time, as a new process would have."""
        return TextCache(base, TensorCache(tmp_path / "cache"), max_tokens)

    return make


def test_cached_embeddings_are_the_encoders_own(base, cached, make_base):
    captions = ["a bear", "", "a hat", "a bear"]
    text = cached()(captions)
    expected = make_base().encode_text(captions, 75)
    assert torch.equal(text.tensors["hidden"], expected.tensors["hidden"])
    assert torch.equal(text.tensors["pooled"], expected.tensors["pooled"])
    assert text.tensors["hidden"].shape == (4, 77, 6)
    assert text.tensors["pooled"].shape == (4, 6)


def test_warmed_captions_are_encoded_once_for_all_versions(base, cached):
    cached().warm(["a bear", "a hat", ""])
    assert sorted(base.encoded_captions) == ["", "a bear", "a hat"]
    second = cached()
    second.warm(["a bear", "a hat", ""])
    second(["", "a hat"])
    assert len(base.encoded_captions) == 3


def test_padded_captions_have_the_full_length_whatever_they_need(base, cached, make_base, tmp_path):
    padded = TextCache(base, TensorCache(tmp_path / "cache"), 225, padded=True)
    padded.warm(["a bear"])
    text = padded(["a bear"])
    assert text.tensors["hidden"].shape == (1, 227, 6)  # BOS, 3 x 75, the last EOS
    assert torch.equal(text.tensors["hidden"], make_base().encode_text(["a bear"], 225).tensors["hidden"])
    assert base.encoded_captions == ["a bear"], "warmed at the length that is asked for"
    assert cached(max_tokens=225)(["a bear"]).tensors["hidden"].shape == (1, 77, 6)


def test_a_new_caption_is_encoded_when_it_comes(base, cached):
    text = cached()
    text.warm(["a, b"])
    text(["b, a", "a, b"])
    assert base.encoded_captions == ["a, b", "b, a"]
    cached()(["b, a"])
    assert len(base.encoded_captions) == 2


def test_every_difference_is_encoded_anew(base, cached, make_base):
    cached()(["a bear"])
    cached()(["a bear "])
    assert len(base.encoded_captions) == 2
    other = make_base(text="text-2")
    cached(other)(["a bear"])
    assert other.encoded_captions == ["a bear"]
    for encoder in ("text_encoder", "text_encoder_2"):
        narrow = make_base()
        narrow.modules[encoder].to(torch.bfloat16)
        cached(narrow)(["a bear"])
        assert narrow.encoded_captions == ["a bear"]
    only_vae = make_base(vae="vae-2")
    cached(only_vae)(["a bear"])
    assert only_vae.encoded_captions == []


def test_a_batch_is_as_long_as_its_longest_caption_needs(base, cached):
    text = cached(max_tokens=225)
    text.warm(["a bear", LONG])
    assert text(["a bear"]).tensors["hidden"].shape[1] == 77
    assert text([LONG]).tensors["hidden"].shape[1] == 152
    assert sorted(base.encoded_captions) == ["a bear", "a bear", LONG], "at all lengths that occur, before training"
    both = text(["a bear", LONG])
    assert len(base.encoded_captions) == 3
    assert both.tensors["hidden"].shape[:2] == (2, 152)
    assert torch.equal(both.tensors["hidden"][0], base.encode_text(["a bear"], 150).tensors["hidden"][0])
    assert cached(max_tokens=75)([LONG]).tensors["hidden"].shape[1] == 77


def test_no_gradient_is_kept(base, cached):
    assert base.encode_text(["a bear"], 75).tensors["hidden"].requires_grad
    assert not cached()(["a bear"]).tensors["hidden"].requires_grad
