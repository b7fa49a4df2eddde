"""What the model hub may answer, each in one line that says what to do."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from lorasweep.errors import UserError
from lorasweep.export.checkpoint import write_checkpoint
from lorasweep.families.load import load_base
from lorasweep.families.sdxl.checkpoint import sgm_tensors
from lorasweep.families.sdxl.model import SDXL
from lorasweep.families.shipped import BASE_PATH
from lorasweep.schema import BaseModelConfig

NAME = "somebody/some-model"


def answer(kind: type[HfHubHTTPError], status: int) -> HfHubHTTPError:
    request = httpx2.Request("GET", f"https://huggingface.co/api/models/{NAME}")
    return kind(f"{status} error", response=httpx2.Response(status, request=request))


ANSWERS = [
    (
        answer(GatedRepoError, 403),
        f"gated: accept its terms at https://huggingface.co/{NAME}, then log in with `hf auth",
    ),
    (answer(RepositoryNotFoundError, 404), "no such model, or it is private: check the spelling"),
    (answer(HfHubHTTPError, 503), "the model hub refused (HfHubHTTPError, 503): try again later, or give"),
    (LocalEntryNotFoundError("not cached"), "cannot be reached (LocalEntryNotFoundError): check the network"),
    (
        OfflineModeIsEnabled("offline"),
        "cannot be reached (OfflineModeIsEnabled): check the network (HF_HUB_OFFLINE unset)",
    ),
    (httpx2.ConnectError("no route to host"), "cannot be reached (ConnectError)"),
    (OSError(errno.ENOSPC, "No space left on device"), "the disk of the hub's cache is full"),
]


def raising(error: Exception) -> Callable[..., str]:
    def download(*_: object, **__: object) -> str:
        raise error

    return download


@pytest.mark.parametrize(("error", "words"), ANSWERS, ids=[type(error).__name__ for error, _ in ANSWERS])
@pytest.mark.parametrize("key", ["path", "vae_path"])
def test_each_answer_is_one_line(error: Exception, words: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", raising(error))
    config = BaseModelConfig(resolution=64)
    setattr(config, key, NAME)
    with pytest.raises(UserError) as caught:
        load_base(config, "cpu", torch.float32)
    [problem] = caught.value.problems
    assert problem.startswith(f"base_model.{key}={NAME}: ") and words in problem and "\n" not in problem


@pytest.fixture
def single(toy_base: SDXL, tmp_path: Path) -> Path:
    path = tmp_path / "toy.safetensors"
    write_checkpoint(path, sgm_tensors(toy_base.unet, toy_base.vae, toy_base.text_encoders), {})
    return path


def test_a_single_file_without_a_network_says_how_to_get_its_tokenizers(
    single: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", raising(LocalEntryNotFoundError("not cached")))
    with pytest.raises(UserError) as caught:
        load_base(BaseModelConfig(path=str(single)), "cpu", torch.float32)
    [problem] = caught.value.problems
    assert "base_model.config_path=stabilityai/stable-diffusion-xl-base-1.0" in problem
    assert "hf download stabilityai/stable-diffusion-xl-base-1.0" in problem
    assert "set base_model.config_path=sdxl-configs" in problem


class Hub:
    """A hub that has one model and notes what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, {}

    def __call__(self, name: str, **asked: Any) -> str:
        self.asked = {"name": name, **asked}
        return str(self.folder)


def test_configs_come_from_sdxls_page_and_nothing_big_with_them(single: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(BASE_PATH)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    load_base(BaseModelConfig(path=str(single)), "cpu", torch.float32)
    assert hub.asked["name"] == "stabilityai/stable-diffusion-xl-base-1.0"
    assert not any("safetensors" in pattern and "index" not in pattern for pattern in hub.asked["allow_patterns"])


def downloaded(asked: dict[str, Any], names: list[str]) -> list[str]:
    from huggingface_hub.utils import filter_repo_objects

    patterns = {"allow_patterns": asked["allow_patterns"], "ignore_patterns": asked["ignore_patterns"]}
    return list(filter_repo_objects(names, **patterns))


def test_only_the_weights_that_are_read_are_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(BASE_PATH)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    plain = ["unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"]
    pieces = ["unet/diffusion_pytorch_model-00001-of-00002.safetensors"]
    half = ["unet/diffusion_pytorch_model.fp16.safetensors", "text_encoder/model.fp16.safetensors"]
    vae = ["vae/diffusion_pytorch_model.safetensors"]
    others = ["sd_xl_base_1.0.safetensors", "unet/model.onnx_data", "unet/diffusion_pytorch_model.bin"]
    configs = ["unet/config.json", "vae/config.json", "tokenizer/vocab.json", "model_index.json"]
    every = plain + pieces + half + vae + others + configs
    load_base(BaseModelConfig(path=NAME), "cpu", torch.float32)
    assert downloaded(hub.asked, every) == plain + pieces + vae + configs
    load_base(BaseModelConfig(path=NAME, vae_path=str(BASE_PATH)), "cpu", torch.float32)
    assert downloaded(hub.asked, every) == plain + pieces + configs
    with pytest.raises(UserError):  # the toy has no such weights
        load_base(BaseModelConfig(path=NAME, variant="fp16"), "cpu", torch.float32)
    assert downloaded(hub.asked, every) == half + configs


def test_a_cache_that_holds_a_part_only_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", Hub(tmp_path))
    with pytest.raises(UserError, match=r"has no unet/config\.json"):
        load_base(BaseModelConfig(path=NAME), "cpu", torch.float32)
