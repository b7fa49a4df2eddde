import shutil

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from lorasweep.errors import UserError
from lorasweep.features import clip as kind

WORDS = ["a", "red", "green", "bear", "cube"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny random CLIP on disk."""
    path = tmp_path_factory.mktemp("clip")
    vocabulary = {"<|startoftext|>": 0, "<|endoftext|>": 1} | {f"{word}</w>": i + 2 for i, word in enumerate(WORDS)}
    letters = sorted({letter for word in WORDS for letter in word})
    for token in [*letters, *(f"{letter}</w>" for letter in letters)]:
        vocabulary.setdefault(token, len(vocabulary))
    merges = []
    for word in WORDS[1:]:  # merge from the left: r e -> re, re d</w> -> red</w>
        left = word[0]
        for i, letter in enumerate(word[1:], start=1):
            right = letter + ("</w>" if i == len(word) - 1 else "")
            merges.append((left, right))
            left += right
            vocabulary.setdefault(left, len(vocabulary))
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=12)
    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config=size
        | {
            "vocab_size": len(vocabulary),
            "max_position_embeddings": 12,
            "bos_token_id": 0,
            "eos_token_id": 1,
        },
        vision_config=size | {"image_size": 16, "patch_size": 4},
        projection_dim=8,
    )
    model = CLIPModel(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def clip(folder):
    return kind.load(str(folder))


def plain(*colours: str) -> list[Image.Image]:
    return [Image.new("RGB", (20, 30), colour) for colour in colours]


def test_features_have_unit_length_and_keep_the_order(clip):
    features = clip.images(plain("red", "green", "blue"))
    assert features.shape == (3, 8)
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(features[1:2], clip.images(plain("green")))
    texts = clip.texts(["a red bear", "a green cube"])
    assert texts.shape == (2, 8)
    torch.testing.assert_close(texts.norm(dim=-1), torch.ones(2))


def test_batches_change_nothing(clip):
    pictures = [Image.new("RGB", (16, 16), (i * 10, 255 - i * 10, 60)) for i in range(20)]
    alone = torch.cat([clip.images([picture]) for picture in pictures])
    torch.testing.assert_close(clip.images(pictures), alone, rtol=1e-4, atol=1e-5)


def test_pixels_are_normalised_as_clip_was_trained(folder, clip):
    model = CLIPModel.from_pretrained(folder)
    # OpenAI's mean and standard deviation for plain white
    mean, std = (
        torch.tensor([0.48145466, 0.4578275, 0.40821073]),
        torch.tensor([0.26862954, 0.26130258, 0.27577711]),
    )
    pixels = ((1 - mean) / std).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    expected = model.get_image_features(pixel_values=pixels).pooler_output[0]
    torch.testing.assert_close(clip.images(plain("white"))[0], expected / expected.norm(), rtol=1e-3, atol=1e-4)


def test_any_image_mode_is_read(clip):
    red = plain("red")[0]
    expected = clip.images([red])
    for mode in ("RGBA", "P"):
        torch.testing.assert_close(clip.images([red.convert(mode)]), expected, rtol=1e-3, atol=1e-4)


def test_padding_does_not_change_a_text(clip):
    short = clip.texts(["a red bear"])
    padded = clip.texts(["a red bear", "a green bear a red cube"])[:1]
    torch.testing.assert_close(padded, short)


def test_long_text_is_cut(clip):
    words = " ".join(["red"] * 10)  # with start and end, 12 tokens: all that fits
    torch.testing.assert_close(clip.texts([words + " bear cube"]), clip.texts([words]))


def test_a_folder_without_clip_is_refused_in_words(tmp_path):
    with pytest.raises(UserError, match=r"features\.models=\[.*no transformers CLIP"):
        kind.load(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(UserError, match="safetensors"):
        kind.load(str(tmp_path))


def test_damaged_weights_are_refused_in_words(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    weights = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(UserError, match=r"features\.models=\["):
        kind.load(str(tmp_path))


def test_weights_that_are_no_numbers_are_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "clip")
    weights = load_file(tmp_path / "clip" / "model.safetensors")
    weights["logit_scale"].fill_(float("nan"))
    save_file(weights, tmp_path / "clip" / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="tensors of its CLIP hold NaN or infinity, the first is logit_scale"):
        kind.load(str(tmp_path / "clip"))
