"""What becomes of a version that is resumed: it goes on in place, a new one begins from it, or it is refused."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lorasweep.errors import UserError
from lorasweep.export.weights import read_weights
from lorasweep.families.sdxl.model import SDXL
from lorasweep.schema import Config
from lorasweep.training import loop
from lorasweep.training.member import Member
from lorasweep.training.start import setup

from ...training_on import run


class Killed(BaseException):
    """What a kill looks like from inside: nothing is tidied up but the adapter and the lock."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, toy_base: SDXL) -> Callable[[Config, int | None], Path]:
    """Train a config once for all tests, to its end or until it is killed after a step; return its output root."""
    known: dict[str, Path] = {}

    def train(config: Config, killed_after: int | None = None) -> Path:
        key = repr((replace(config, output_root="", dataset=replace(config.dataset, cache=None)), killed_after))
        if key not in known:
            known[key] = tmp_path_factory.mktemp("trained")
            _train(replace(config, output_root=str(known[key])), killed_after, toy_base)
        return known[key]

    return train


def _train(config: Config, killed_after: int | None, base: SDXL) -> None:
    step = loop.advance

    def dying(self: Member) -> None:
        step(self)
        if self.version.step == killed_after:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "advance", dying)
        if killed_after is None:
            run(config, overrides=[f"training.epochs={config.training.epochs}"], base=base)
        else:
            with pytest.raises(Killed):
                run(config, overrides=[f"training.epochs={config.training.epochs}"], base=base)


@pytest.fixture
def config(short_config: Config) -> Config:
    """6 steps in 3 epochs, a state after each epoch, a learning rate that stays, no samples."""
    config = short_config
    config.optimizer.text_encoder_lr, config.scheduler.name = 0, "constant"
    config.evaluation.timesteps, config.evaluation.bins, config.evaluation.max_images = 2, 1, 1
    config.training.batch_size, config.tracker.every_steps = 4, 1
    return config


@pytest.fixture
def begin(config: Config, trained: Callable[..., Path]) -> Callable[..., Config]:
    """Put a trained version where a test may do with it as it likes; return its config, to be resumed."""

    def put(killed_after: int | None = None, config: Config = config) -> Config:
        shutil.copytree(trained(config, killed_after), config.output_root)
        return replace(config, resume="v6")

    return put


def folder_of(config: Config, number: int = 6) -> Path:
    return Path(config.output_root) / "fuzzybear" / f"v{number}"


def record_of(config: Config, number: int = 6) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder_of(config, number) / "record.json").read_text())
    return record


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def rows(config: Config, number: int = 6) -> list[dict[str, Any]]:
    lines = (folder_of(config, number) / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if "time/" not in name} for line in lines]


def weights(config: Config, epoch: int, number: int = 6) -> dict[str, torch.Tensor]:
    return load_file(folder_of(config, number) / f"FuzzyBear_v{number}-{epoch:06d}.safetensors")


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def longer(config: Config, **training: Any) -> Config:
    return replace(config, training=replace(config.training, **training))


def refusal(config: Config, base: SDXL) -> UserError:
    """Return how a resume is refused, which leaves no trace."""
    before = content(Path(config.output_root) / "fuzzybear")
    with pytest.raises(UserError) as caught:
        run(config, base=base)
    assert content(Path(config.output_root) / "fuzzybear") == before
    return caught.value


def test_a_complete_version_is_refused_unless_it_is_to_be_longer(begin: Callable[..., Config], toy_base: SDXL) -> None:
    config = begin()
    error = refusal(config, toy_base)
    assert error.problems == ["v6 is complete (6 steps) and stays as it is; a longer training is a new version"]
    assert [command.split(" output_root")[0] for command in error.ways.values()] == [
        "python train.py lora=fuzzybear resume=v6 training.epochs=6",
        "python train.py training.epochs=3",
    ]
    error = refusal(longer(config, max_steps=4), toy_base)
    assert error.problems == ["training.max_steps=4: 4 steps in all, and v6 has done 6; give more"]


def test_a_longer_training_is_a_new_version_and_leaves_the_old_one_as_it_is(
    begin: Callable[..., Config], toy_base: SDXL, said: list[str], trained: Callable[..., Path]
) -> None:
    config = begin()
    before = content(folder_of(config))
    asked = longer(config, epochs=4)
    run(asked, overrides=["lora=fuzzybear", "resume=v6", "training.epochs=4"], base=toy_base)
    assert content(folder_of(config)) == before
    record = record_of(config, 7)
    assert record["continued_from"] == {"version": 6, "step": 6} and record["status"] == "complete"
    assert record["overrides"] == ["training.epochs=4"] and record["config"]["resume"] is None
    assert [(entry["epoch"], entry["step"]) for entry in record["epochs"]] == [(1, 2), (2, 4), (3, 6), (4, 8)]
    assert record["epochs"][:3] == [
        {**entry, "file": entry["file"].replace("v6", "v7")} for entry in record_of(config)["epochs"]
    ]
    assert any("v6 stays as it is; this is a new version, from step 6 to 8" in line for line in said)
    assert not any("is stretched" in line for line in said), "a constant rate stays what it was"
    # At a constant rate it is what it would have been if it had been begun for four epochs.
    straight = replace(asked, resume=None, output_root=str(trained(replace(asked, resume=None))))
    assert all(same(weights(straight, epoch), weights(config, epoch, 7)) for epoch in (1, 2, 3, 4))
    assert rows(straight) == rows(config, 7)


def test_a_stretched_schedule_is_told(
    config: Config, begin: Callable[..., Config], toy_base: SDXL, said: list[str]
) -> None:
    config.scheduler.name, config.evaluation.heldout_loss, config.objective = "cosine", False, "train/loss"
    asked = longer(begin(), max_steps=12)
    run(asked, base=toy_base)
    # (1 + cos(5 pi / 6)) / 2 and (1 + cos(6 pi / 12)) / 2
    expected = "the last step was taken at 6.7% of the learning rate, 6.7e-05, the next is at 50.0%, 0.0005"
    (line,) = [line for line in said if "is stretched" in line]
    assert line == f"the schedule (cosine) is stretched from 6 to 12 steps: {expected}"
    rates = {row["step"]: row["train/lr_unet"] for row in rows(asked, 7) if "train/lr_unet" in row}
    assert rates[6] == pytest.approx(6.7e-5, rel=1e-2) and rates[7] == pytest.approx(5e-4)


def test_an_epoch_that_was_cut_short_is_trained_to_its_end_in_the_longer_one(
    config: Config, begin: Callable[..., Config], toy_base: SDXL
) -> None:
    short = longer(config, max_steps=3)  # an epoch has 2 steps
    asked = longer(begin(config=short), max_steps=5)
    old = record_of(short)
    assert [(entry["epoch"], entry["step"]) for entry in old["epochs"]] == [(1, 2), (2, 3)]
    before = content(folder_of(short))
    run(asked, base=toy_base)
    new = record_of(short, 7)
    assert [(entry["epoch"], entry["step"]) for entry in new["epochs"]] == [(1, 2), (2, 4), (3, 5)]
    losses = {row["step"]: row["train/loss"] for row in rows(asked, 7) if "train/loss" in row}
    assert new["epochs"][1]["metrics"]["train/loss"] == pytest.approx((losses[3] + losses[4]) / 2)
    ratios = {entry["epoch"]: entry["metrics"]["val/loss_ratio"] for entry in new["epochs"]}
    assert ratios[new["selected_epoch"]] == min(ratios.values()) == new["objective"]["value"]
    assert same(load_file(folder_of(asked, 7) / "FuzzyBear_v7.safetensors"), weights(asked, new["selected_epoch"], 7))
    assert content(folder_of(short)) == before


def test_an_interrupted_version_goes_on_in_place_while_its_course_is_the_same(
    config: Config, begin: Callable[..., Config], toy_base: SDXL, trained: Callable[..., Path]
) -> None:
    asked = longer(begin(killed_after=5), max_steps=6)  # what its epochs come to
    took = {"seconds": {**record_of(asked)["seconds"], "total": 2000.0, "train": 1000.0}}
    (folder_of(asked) / "record.json").write_text(json.dumps(record_of(asked) | took))
    run(asked, base=toy_base)
    assert not folder_of(asked, 7).exists() and record_of(asked)["status"] == "complete"
    assert record_of(asked)["seconds"]["train"] > 1000 and record_of(asked)["seconds"]["total"] > 2000
    straight = replace(config, output_root=str(trained(config)))
    assert same(weights(straight, 3), weights(asked, 3)) and rows(straight) == rows(asked)
    run(longer(asked, max_steps=8), base=toy_base)
    assert record_of(asked, 7)["continued_from"] == {"version": 6, "step": 6}


def test_without_a_state_the_weights_lead_on(begin: Callable[..., Config], toy_base: SDXL) -> None:
    config = longer(begin(), epochs=6)
    shutil.rmtree(folder_of(config) / "state")
    error = refusal(config, toy_base)
    assert "has no saved state that a new version could begin from" in error.problems[0]
    command = error.ways["begin from its weights"]
    run(config_of(command, replace(config, resume=None)), base=toy_base)
    assert record_of(config, 7)["started_from"] is not None


def config_of(command: str, config: Config) -> Config:
    """Return a config with what a printed command sets of it."""
    for text in shlex.split(command)[2:]:
        key, _, value = text.partition("=")
        group, _, leaf = key.partition(".")
        assert group in ("training", "network"), text
        part = getattr(config, group)
        config = replace(config, **{group: replace(part, **{leaf: int(value) if value.isdigit() else value})})
    return config


@pytest.mark.parametrize("change", ["caption", "picture", "gone", "base", "rank"])
def test_what_is_another_training_is_not_continued(
    change: str, begin: Callable[..., Config], toy_base: SDXL, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = begin(killed_after=5)
    images = Path(config.output_root) / ".themes" / "fuzzybear-64" / "train"
    first, second = sorted(images.glob("*.png"))[:2]
    if change == "caption":
        first.with_suffix(".txt").write_text("another caption")
    elif change == "picture":
        shutil.copy(second, first)
    elif change == "gone":
        first.unlink()
        first.with_suffix(".txt").unlink()
    elif change == "base":
        monkeypatch.setattr(toy_base, "sha256", "another")
    else:
        config = replace(config, network=replace(config.network, rank=8))
    error = refusal(config, toy_base)
    expected = {
        "caption": f"theme:fuzzybear: 1 image with another caption: {first.name}",
        "picture": f"theme:fuzzybear: 1 image not there before: {first.name}",
        "gone": f"theme:fuzzybear: 1 image gone: {first.name}",
        "base": "base_model.path=toy: these are not the weights that it was begun on",
        "rank": "network.rank=8: it was begun with 4",
    }[change]
    assert error.problems[0] == expected
    assert error.title == "FuzzyBear v6 was begun with something else and cannot go on like this"
    assert [command.split(" output_root")[0] for command in error.ways.values()] == [
        "python train.py lora=fuzzybear resume=v6",
        "python train.py training.epochs=3",
    ]


def test_added_images_are_not_taken_up_by_a_version_that_has_begun(
    config: Config, begin: Callable[..., Config], toy_base: SDXL, tmp_path: Path
) -> None:
    drawn = Path(setup.with_images(config).dataset.path or "")
    photos = tmp_path / "photos"
    shutil.copytree(drawn, photos)
    config.dataset.theme, config.dataset.path, config.dataset.holdout = None, str(photos), 0.2
    shutil.rmtree(config.output_root)
    asked = begin(killed_after=3)
    for path in sorted((drawn.parent / "heldout").iterdir()) if (drawn.parent / "heldout").exists() else ():
        shutil.copy(path, photos / f"new_{path.name}")
    for number in range(6):
        from PIL import Image

        Image.new("RGB", (64, 64), (40 * number, 0, 0)).save(photos / f"new_{number}.png")
        (photos / f"new_{number}.txt").write_text("fortnite_fuzzy_bear_character, new")
    error = refusal(asked, toy_base)
    assert any("6 images not there before: new_" in problem for problem in error.problems)
    for added in photos.glob("new_*"):
        added.unlink()
    elsewhere = tmp_path / "elsewhere"  # put back, and moved as a whole: the same data
    photos.rename(elsewhere)
    run(replace(asked, dataset=replace(asked.dataset, path=str(elsewhere))), base=toy_base)
    assert record_of(asked)["status"] == "complete"


@pytest.fixture
def sampled(config: Config) -> Config:
    """The same with sample images."""
    sampling = {"prompts": ["humanoid"], "seeds": [0], "every_epochs": 1, "steps": 1}
    config.sampling = replace(config.sampling, **sampling)
    return config


def pictures(config: Config, folder: str = "") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder_of(config) / "samples" / folder).glob("0*.png")}


def test_other_prompts_are_drawn_anew_and_the_earlier_pictures_kept_apart(
    sampled: Config, begin: Callable[..., Config], toy_base: SDXL
) -> None:
    config = begin(killed_after=5)
    earlier = pictures(config)
    assert sorted(earlier) == ["000000_00.png", "000001_00.png", "000002_00.png"]
    run(replace(config, sampling=replace(config.sampling, prompts=["a red hat", "a blue hat"])), base=toy_base)
    assert pictures(config, "until_step_000004") == earlier
    now = pictures(config)
    assert sorted(now) == ["000000_00.png", "000000_01.png", "000003_00.png", "000003_01.png"]
    assert not set(now.values()) & set(earlier.values())
    assert (folder_of(config) / "samples" / "until_step_000004" / "grid.png").exists()
    assert record_of(config)["config"]["sampling"]["prompts"] == ["a red hat", "a blue hat"]
    # What it was changed to holds for the next time too.
    saved = (folder_of(config) / ".hydra" / "config.yaml").read_text()
    assert "a blue hat" in saved and "resume: null" in saved


@pytest.mark.parametrize("key", ["seed", "timesteps", "max_images"])
def test_what_other_draws_measured_does_not_compete(
    key: str, config: Config, begin: Callable[..., Config], toy_base: SDXL
) -> None:
    asked = begin(killed_after=5)
    before = record_of(asked)
    values = [entry["metrics"]["val/loss_ratio"] for entry in before["epochs"]]
    evaluation = replace(config.evaluation, **{key: getattr(config.evaluation, key) + 1})
    run(replace(asked, evaluation=evaluation), base=toy_base)
    record = record_of(asked)
    assert record["metrics"]["base"]["val/loss"] != before["metrics"]["base"]["val/loss"], "the base is measured anew"
    assert [entry["metrics"].get("earlier/val/loss_ratio") for entry in record["epochs"]] == [*values, None]
    assert ["val/loss_ratio" in entry["metrics"] for entry in record["epochs"]] == [False, False, True]
    assert record["selected_epoch"] == 3 and record["objective"]["value"] is not None
    measured = [(row["step"], "val/loss" in row, "earlier/val/loss" in row) for row in rows(asked) if "epoch" in row]
    assert {step for step, now, _ in measured if now} == {0, 6}
    assert {step for step, _, earlier in measured if earlier} == {0, 2, 4}


def test_what_is_measured_in_the_same_way_competes_on(
    config: Config, begin: Callable[..., Config], toy_base: SDXL
) -> None:
    asked = begin(killed_after=5)
    run(replace(asked, evaluation=replace(asked.evaluation, every_epochs=2)), base=toy_base)
    record = record_of(asked)
    assert ["val/loss_ratio" in entry["metrics"] for entry in record["epochs"]] == [True, True, True]
    ratios = {entry["epoch"]: entry["metrics"]["val/loss_ratio"] for entry in record["epochs"]}
    assert ratios[record["selected_epoch"]] == min(ratios.values())


def test_another_seed_of_the_held_out_split_is_another_training(
    config: Config, begin: Callable[..., Config], toy_base: SDXL
) -> None:
    config.dataset.path, config.dataset.theme = setup.with_images(config).dataset.path, None
    config.dataset.cache = str(Path(config.output_root).parent / "cache")
    shutil.move(str(Path(config.output_root)), str(Path(config.output_root).parent / "drawn"))
    config.dataset.path = str(config.dataset.path).replace(
        config.output_root, str(Path(config.output_root).parent / "drawn")
    )
    asked = begin(killed_after=3)
    other = next(
        seed
        for seed in range(1, 20)
        if "held out now" in str(_refused(replace(asked, evaluation=replace(asked.evaluation, seed=seed)), toy_base))
    )
    error = refusal(replace(asked, evaluation=replace(asked.evaluation, seed=other)), toy_base)
    assert any("1 image trained on now, held out before" in problem for problem in error.problems)
    assert any("1 image held out now, trained on before" in problem for problem in error.problems)


def _refused(config: Config, base: SDXL) -> UserError | None:
    try:
        setup.prepare_version(setup.Job(config), base, setup.Stopwatch()).version.remove()
    except UserError as error:
        return error
    return None


@pytest.mark.parametrize("wrong", ["rank", "pattern", "batch", "lr"])
def test_a_start_that_is_refused_takes_no_number(
    wrong: str, config: Config, begin: Callable[..., Config], toy_base: SDXL
) -> None:
    asked = replace(begin(killed_after=5), resume=None)
    network, before = asked.network, content(Path(asked.output_root) / "fuzzybear")
    if wrong == "rank":
        first = folder_of(asked) / "FuzzyBear_v6-000001.safetensors"
        asked.network = replace(network, start_from=str(first), rank=8)
    elif wrong == "pattern":
        asked.network = replace(network, ranks=["nothing is called so:2"])
    elif wrong == "batch":
        asked.training = replace(asked.training, batch_size=9)
    else:
        asked.optimizer = replace(asked.optimizer, lora_plus_ratio=16.0)
        asked.network = replace(network, type="loha")
    with pytest.raises(UserError):
        run(asked, base=toy_base)
    assert content(Path(asked.output_root) / "fuzzybear") == before
    assert not any("lora" in name for name, _ in toy_base.modules["unet"].named_parameters()), "the base is bare"


def test_a_state_holds_what_the_file_to_start_from_gave(
    config: Config, begin: Callable[..., Config], toy_base: SDXL, tmp_path: Path, trained: Callable[..., Path]
) -> None:
    source = tmp_path / "start.safetensors"
    shutil.copy(trained(config) / "fuzzybear" / "v6" / "FuzzyBear_v6.safetensors", source)
    config.network.start_from = str(source)
    asked = begin(killed_after=5)
    source.unlink()
    run(asked, base=toy_base)
    assert record_of(asked)["status"] == "complete"
    metadata = [read_metadata(folder_of(asked) / f"FuzzyBear_v6-{epoch:06d}.safetensors") for epoch in (1, 3)]
    assert metadata[0]["lorasweep.start_from_sha256"] == metadata[1]["lorasweep.start_from_sha256"]


def read_metadata(path: Path) -> dict[str, str]:
    return read_weights(path)[1]


def test_a_folder_of_an_earlier_program_goes_on(
    config: Config, begin: Callable[..., Config], toy_base: SDXL, trained: Callable[..., Path]
) -> None:
    asked = begin(killed_after=5)
    (folder_of(asked) / "data.json").unlink()
    record = record_of(asked)
    for key in ("started_from", "multirun"):
        del record[key]
    for key in ("heldout_sha256", "heldout"):
        del record["dataset"][key]
    del record["config"]["compat"]
    (folder_of(asked) / "record.json").write_text(json.dumps(record))
    run(asked, base=toy_base)
    straight = replace(config, output_root=str(trained(config)))
    assert same(weights(straight, 3), weights(asked, 3))
    assert (folder_of(asked) / "data.json").exists(), "from now on it knows its images"
