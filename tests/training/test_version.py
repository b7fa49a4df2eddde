"""The loss of one batch of a version: every knob of the noise and of the loss reaches it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from lorasweep.data.batch import Batch
from lorasweep.data.dataset import Dataset
from lorasweep.data.providers import with_images
from lorasweep.data.text import TextCache
from lorasweep.errors import UserError
from lorasweep.families.device import open_accelerator
from lorasweep.families.sdxl.model import SDXL
from lorasweep.process import losses, noise
from lorasweep.schema import Config, LossConfig
from lorasweep.training.loop import train_step
from lorasweep.training.start.setup import read_data
from lorasweep.training.version import Version


@pytest.fixture
def version(short_config: Config, toy_base: SDXL) -> Iterator[Version]:
    short_config.optimizer.text_encoder_lr = 0.0
    config = with_images(short_config)
    dataset = Dataset.build(config, toy_base, print_line=lambda line: None)
    texts = TextCache(toy_base, dataset.cache, config.dataset.max_tokens)
    version = Version(config, 6, toy_base, dataset, texts, open_accelerator(config.training))
    yield version
    version.remove()


def losses_of(version: Version, batch: Batch, index: int) -> Tensor:
    noisy = version.objective.noise(batch, version.step, index)
    return version.objective.loss(version.objective.predict(noisy), noisy)


@pytest.mark.parametrize(
    "settings",
    [
        {"type": "l1"},
        {"debiased": True},
        {"noise_offset": 0.05, "noise_offset_random": True},
        {"noise_offset": 0.05, "adaptive_noise_scale": 0.1},
        {"multires_iterations": 4, "multires_discount": 0.5},
        {"input_perturbation": 0.1},
        {"min_timestep": 900},
        {"max_timestep": 100},
    ],
    ids=str,
)
def test_a_knob_changes_the_loss_as_its_formula_says(version: Version, settings: dict[str, object]) -> None:
    batch = version.dataset.batch(version.plan.batches(0)[0])
    version.config.loss = LossConfig()
    plain = losses_of(version, batch, 0).detach()
    loss = version.config.loss = LossConfig(**settings)
    found = losses_of(version, batch, 0).detach()
    assert not torch.allclose(found, plain, rtol=1e-3)
    process = version.base.process
    made = noise.noised(batch.rows, batch.latents, loss, version.config.seed, process, "cpu")
    prediction = version.model.predict(made.noisy, made.timesteps, version.model.condition(batch.captions, batch.facts))
    expected = losses.per_sample(prediction, made.target, loss, made.timesteps, process, batch.weights)
    torch.testing.assert_close(found, expected)


def test_the_pixels_are_weighed_by_the_masks(version: Version) -> None:
    batch = version.dataset.batch(version.plan.batches(0)[0])
    plain = losses_of(version, batch, 0).detach()
    full = torch.ones_like(batch.latents[:, :1])
    assert torch.equal(losses_of(version, replace(batch, masks=full), 0), plain)
    left = full.clone()
    left[..., left.shape[-1] // 2 :] = 0
    halves = [losses_of(version, replace(batch, masks=mask), 0).detach() for mask in (left, 1 - left)]
    assert not torch.allclose(halves[0], halves[1], rtol=1e-3)
    torch.testing.assert_close((halves[0] + halves[1]) / 2, plain)


def test_an_undivided_mask_makes_an_image_count_by_its_area(version: Version) -> None:
    batch = version.dataset.batch(version.plan.batches(0)[0])
    left = torch.ones_like(batch.latents[:, :1])
    left[..., left.shape[-1] // 2 :] = 0
    masked = replace(batch, masks=left)
    divided = losses_of(version, masked, 0).detach()
    version.config.compat.undivided_masks = True
    torch.testing.assert_close(losses_of(version, masked, 0), divided / 2)


def test_padded_captions_are_seen_at_full_length(version: Version) -> None:
    version.config.dataset.max_tokens = 225
    batch = version.dataset.batch(version.plan.batches(0)[0])
    short = losses_of(version, batch, 0).detach()
    version.config.compat.pad_captions = True
    _, version.model.text_cache = read_data(version.config, version.base)
    assert version.model.embed(batch.captions).tensors["hidden"].shape[1] == 227
    cached = losses_of(version, batch, 0).detach()
    assert not torch.allclose(cached, short, rtol=1e-4)
    version.model.trains_text = True
    torch.testing.assert_close(losses_of(version, batch, 0).detach(), cached, rtol=1e-3, atol=1e-5)


def test_shares_of_a_batch_have_the_whole_batchs_noise(version: Version) -> None:
    version.config.loss = LossConfig(noise_offset=0.1, noise_offset_random=True, multires_iterations=3)
    batch = version.dataset.batch(version.plan.batches(0)[0])
    by_image = losses_of(version, batch, 0).detach()
    version.config.compat.noise_by_batch = True
    whole = losses_of(version, batch, 0).detach()
    assert not torch.allclose(whole, by_image, rtol=1e-3)
    for rank in (0, 1):
        share = losses_of(version, batch.share(rank, 2), 0).detach()
        torch.testing.assert_close(share, whole[rank::2], rtol=1e-4, atol=1e-6)


def test_a_step_of_short_batches_weighs_them_as_it_is_told(version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [2, 1]  # of an epoch's last batches, where a full step has four
    rows = version.plan.batches(0)[0] + version.plan.batches(1)[0]
    batches = [rows[:2], rows[2:3]]
    monkeypatch.setattr(version.plan, "batches", lambda step: batches)
    monkeypatch.setattr(version.state.schedule, "step", lambda: None)
    version.config.training.gradient_accumulation = 4
    by_hand = [losses_of(version, version.dataset.batch(batch), 0).detach() for batch in batches]
    assert [len(values) for values in by_hand] == sizes

    def loss() -> float:
        monkeypatch.setattr(version.state, "update", lambda report: None)
        return train_step(version).loss

    assert loss() == pytest.approx(torch.cat(by_hand).mean().item(), rel=1e-5)
    version.state.step, version.config.compat.mean_of_batches = 0, True
    assert loss() == pytest.approx(sum(values.mean().item() for values in by_hand) / 4, rel=1e-5)


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_a_step_that_runs_out_of_memory_leaves_no_gradients(
    kind: str, short_config: Config, toy_base: SDXL, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_config.network.type, short_config.optimizer.text_encoder_lr = kind, 0.0
    config = with_images(short_config)
    dataset, texts = read_data(config, toy_base)

    def begun() -> Version:
        return Version(config, 6, toy_base, dataset, texts, open_accelerator(config.training))

    first = begun()
    expected = train_step(first).grad_norm
    first.remove()
    second = begun()
    backward = second.accelerator.backward

    def overflowing(loss: torch.Tensor) -> None:
        backward(loss)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(second.accelerator, "backward", overflowing)
    with pytest.raises(torch.OutOfMemoryError):
        train_step(second)
    assert all(parameter.grad is None for parameter in second.state.parameters.values())
    second.remove()
    third = begun()
    assert train_step(third).grad_norm == expected
    third.remove()


def test_a_version_that_cannot_start_leaves_nothing_on_the_base(
    version: Version, toy_base: SDXL, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(**changes: object) -> None:
        config = replace(version.config, network=replace(version.config.network, **changes))  # type: ignore[arg-type]
        Version(config, 7, toy_base, version.dataset, version.model.text_cache, version.accelerator)

    before = list(toy_base.unet.state_dict())
    with pytest.raises(UserError, match="no B to train faster"):
        version.config.optimizer.lora_plus_ratio = 16.0
        begin(type="lokr")
    version.config.optimizer.lora_plus_ratio = None
    assert list(toy_base.unet.state_dict()) == before
    made = nn.Parameter.__new__
    counted: list[int] = []

    def full(*arguments: object, **named: object) -> nn.Parameter:
        counted.append(1)
        if len(counted) == 50:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return made(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(nn.Parameter, "__new__", full)
    with pytest.raises(torch.OutOfMemoryError):
        begin()
    assert list(toy_base.unet.state_dict()) == before
    train_step(version)
