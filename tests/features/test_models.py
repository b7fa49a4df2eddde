"""DINOv2, SigLIP and CLIP's patches, each as a tiny random model on disk; what a feature model remembers."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from lorasweep.errors import UserError
from lorasweep.features.kind import ImageFeatures
from lorasweep.features.lazy_image import LazyImage
from lorasweep.features.model import FeatureModel
from lorasweep.features.opening import open_models
from lorasweep.features.recent import Recent

SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def pattern(seed: int) -> Image.Image:
    values = torch.randint(0, 256, (24, 20, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return Image.fromarray(values.numpy())


@pytest.fixture(scope="module", params=["dinov2", "dinov2_with_registers"])
def dinov2(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel
    from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil

    folder = tmp_path_factory.mktemp(request.param)
    small = {**SMALL, "image_size": 16, "patch_size": 4}
    torch.manual_seed(0)
    if request.param == "dinov2":
        Dinov2Model(Dinov2Config(**small)).save_pretrained(folder)
    else:
        Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**small)).save_pretrained(folder)
    processor = BitImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast, SiglipConfig, SiglipModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    folder = tmp_path_factory.mktemp("siglip")
    words = {word: number for number, word in enumerate(["<pad>", "</s>", "a", "red", "bear"])}
    torch.manual_seed(0)
    text = {**SMALL, "vocab_size": len(words), "max_position_embeddings": 6, "projection_size": 16}
    SiglipModel(
        SiglipConfig(text_config=text, vision_config={**SMALL, "image_size": 16, "patch_size": 4})
    ).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(folder)
    tokenizer = Tokenizer(WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>").save_pretrained(folder)
    return folder


def opened(folder: Path) -> FeatureModel:
    (model,) = open_models([str(folder)])
    return model


def check_images_and_patches(model: FeatureModel, dim: int, side: int) -> None:
    images = [LazyImage.of(pattern(seed)) for seed in range(3)]
    seen = model.images(images)
    assert seen.shape == (3, dim) and seen.dtype == torch.float32
    torch.testing.assert_close(seen.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(opened_again(model, images[1]), seen[1:2], rtol=1e-4, atol=1e-5)
    patches = model.patches(images[:2])
    assert patches.shape[:3] == (2, side, side)
    torch.testing.assert_close(patches.norm(dim=-1), torch.ones(2, side, side))


def opened_again(model: FeatureModel, image: LazyImage) -> torch.Tensor:
    """Return what it sees of one image by itself, not remembered."""
    return FeatureModel("again", "", model._model).images([image])


def test_dinov2_sees_images_and_their_parts_and_no_texts(dinov2: Path) -> None:
    model = opened(dinov2)
    assert model.has_patches and not model.reads_texts
    check_images_and_patches(model, 16, 4)


def test_siglip_sees_texts_too(siglip: Path) -> None:
    model = opened(siglip)
    assert model.has_patches and model.reads_texts
    check_images_and_patches(model, 16, 4)
    short, long = model.texts(["a red bear", "a red bear " * 4])
    assert short.norm().item() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(model.texts(["a red bear a red bear"])[0], long)


def test_the_toys_clip_sees_parts() -> None:
    (model,) = open_models(["toy"])
    check_images_and_patches(model, 96, 8)
    assert model.title == "the toy's CLIP"


def test_a_model_without_all_that_belongs_to_it_is_refused(dinov2: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((dinov2 / "config.json").read_text())
    with pytest.raises(UserError, match=r"features.models=.*no transformers DINOv2 with safetensors weights"):
        open_models([str(tmp_path)])
    assert json.loads((tmp_path / "config.json").read_text())["model_type"].startswith("dinov2")


class Counting(ImageFeatures):
    """Counts what it looks at."""

    def __init__(self) -> None:
        self.seen = 0

    def images(self, images):
        self.seen += len(images)
        return torch.stack([torch.tensor([float(image.getpixel((0, 0))[0])]) for image in images])

    def to(self, device, dtype):
        pass


def test_nothing_is_seen_twice() -> None:
    counting, opens = Counting(), []
    model = FeatureModel("counting", "", counting)
    images = [LazyImage.of(Image.new("RGB", (4, 4), (shade, 0, 0))) for shade in (1, 2, 3)]
    assert model.images([*images, images[0]]).flatten().tolist() == [1, 2, 3, 1]
    again = LazyImage(images[2].key, lambda: opens.append(1))  # type: ignore[arg-type, return-value]
    assert model.images([again, images[1]]).flatten().tolist() == [3, 2]
    assert counting.seen == 3 and not opens
    assert images[0].mirrored().key != images[0].key == LazyImage.of(images[0].open().copy()).key
    assert LazyImage.of(Image.new("RGB", (2, 8), (1, 0, 0))) != images[0], "as many bytes in another size"


def test_the_store_lets_go_of_what_was_not_used_for_longest() -> None:
    store = Recent(room=100)
    for name in "abc":
        store[name] = torch.zeros(8)  # 32 bytes
    assert store["a"] is not None
    store["d"] = torch.zeros(8)
    assert list(store) == ["c", "a", "d"]
    store["a"] = torch.zeros(8)
    assert len(store) == 3
    store["e"] = torch.zeros(1000)
    assert list(store) == ["e"], "one that is larger than all the room is kept alone"


def test_one_model_is_told_from_another_by_what_it_sees(siglip: Path, dinov2: Path) -> None:
    assert opened(siglip).identity == opened(siglip).identity != opened(dinov2).identity
