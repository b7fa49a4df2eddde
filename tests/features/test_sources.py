"""What an item of features.models means, and what is said of one that means nothing."""

import shutil

import pytest

from lorasweep.errors import UserError
from lorasweep.families.shipped import CLIP_PATH
from lorasweep.features import sources
from lorasweep.features.clip import CLIP_L, TOY


def test_names_folders_and_hub_ids() -> None:
    toy = sources.source_of("toy")
    assert (toy.name, toy.path, toy.kind) == ("toy", str(CLIP_PATH), TOY)
    folder = sources.source_of(str(CLIP_PATH))
    assert (folder.name, folder.path, folder.kind) == ("clip", str(CLIP_PATH), CLIP_L)
    assert sources.short_name("facebook/dinov2-base") == "dinov2_base"
    assert sources.short_name("my_package.sight:MINE") == "mine"
    for item in ("toy", str(CLIP_PATH), "openai/clip-vit-large-patch14"):
        assert not list(sources.problems(item))
    assert sources.names_twice(["toy", "a/clip", "/b/CLIP"]) == ["clip"]


def test_what_is_no_feature_model(tmp_path) -> None:
    shutil.copytree(CLIP_PATH, tmp_path / "clip")

    def said(item: object) -> str:
        (problem,) = sources.problems(str(item))
        return problem

    assert "expected one of toy, clip_l" in said("tay") and "did you mean toy?" in said("tay")
    (tmp_path / "clip" / "model.safetensors").rename(tmp_path / "clip" / "pytorch_model.bin")
    assert "its weights are pickled" in said(tmp_path / "clip")
    assert "this is a pickled file" in said(tmp_path / "clip" / "pytorch_model.bin")
    assert "it has no config.json with a model_type" in said(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert "its model_type is llama; expected a transformers folder of one of clip" in said(tmp_path)
    with pytest.raises(UserError, match="its model_type is llama"):
        sources.source_of(str(tmp_path))
