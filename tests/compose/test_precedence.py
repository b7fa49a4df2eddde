"""Who wins where several parts of a config say something about one key."""

from pathlib import Path

import hydra
import pytest

from lorasweep.app import help
from lorasweep.app.reference import markdown
from lorasweep.compose.arguments import own_images, read_command_line
from lorasweep.compose.composition import CONF, load_config
from lorasweep.compose.precedence import BUNDLES, ORDER, given_way

pytestmark = pytest.mark.usefixtures("composed_configs", "elsewhere")

OWN = """\
# @package _global_
defaults:
  - custom
name: Sage
base_model: {path: null, resolution: 64, guidance: 3.0}
dataset: {theme: food, trigger: sage, repeats: 7}
optimizer: {lr: 2e-4, text_encoder_lr: 0}
tracker: {tensorboard: true, wandb: {mode: online}}
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    """The override that makes `lora=sage`, a recipe that says more than it should, known."""
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "sage.yaml").write_text(OWN)
    return f"hydra.searchpath=['file://{tmp_path}']"


def told(*line: str) -> list[str]:
    return given_way(line, hydra.compose("config", list(line)))


def test_a_group_on_the_command_line_wins_over_a_recipe(own: str) -> None:
    config = load_config([own, "lora=sage", "base_model=sdxl", "tracker=none"])
    base = config.base_model
    assert (base.path, base.resolution) == ("stabilityai/stable-diffusion-xl-base-1.0", 1024)
    assert (base.guidance, config.sampling.guidance) == (5.0, 5.0)
    assert (config.tracker.tensorboard, config.tracker.wandb.mode) == (False, "disabled")
    assert (config.optimizer.lr, config.dataset.repeats) == (2e-4, 7), "what the groups do not speak of stays"
    assert load_config([own, "lora=sage"]).base_model.resolution == 64


def test_a_group_on_the_command_line_wins_over_presets_and_searches_too() -> None:
    line = ["lora=food", "preset=quality", "optimizer=prodigy"]
    assert load_config(line).optimizer.lr == 1
    assert load_config([*line, "optimizer.lr=0.5"]).optimizer.text_encoder_lr == 0.5
    assert load_config(["sweeps=default", "scheduler=linear"]).scheduler.name == "linear"


def test_a_recipe_wins_over_the_groups_that_it_chooses(tmp_path: Path) -> None:
    (tmp_path / "lora").mkdir()
    text = "# @package _global_\ndefaults:\n  - custom\n  - _self_\n  - override /optimizer: prodigy\n"
    (tmp_path / "lora" / "sage.yaml").write_text(
        f"{text}name: Sage\ndataset: {{theme: food, trigger: x}}\noptimizer: {{lr: 0.5, text_encoder_lr: 0.5}}\n"
    )
    optimizer = load_config([f"hydra.searchpath=['file://{tmp_path}']", "lora=sage"]).optimizer
    assert (optimizer.lr, optimizer.d_coef) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("optimizer", "rates", "schedule"),
    [
        ("prodigy", (1, 1), "cosine"),
        ("lion", (3e-5, 1.5e-5), "cosine"),
        ("lion8bit", (3e-5, 1.5e-5), "cosine"),
        ("adamw", (1e-4, 5e-5), "cosine"),
        ("adamw_schedule_free", (1e-4, 5e-5), "constant"),
    ],
)
def test_an_optimizer_simply_works(optimizer: str, rates: tuple[float, float], schedule: str) -> None:
    config = load_config(["lora=fuzzybear", "base_model=sdxl", f"optimizer={optimizer}"])
    assert (config.optimizer.lr, config.optimizer.text_encoder_lr) == pytest.approx(rates)
    assert config.scheduler.name == schedule


def test_what_a_recipe_freezes_stays_frozen(own: str) -> None:
    for line in (["lora=humanoid"], ["lora=food", "preset=low_vram"], [own, "lora=sage"]):
        assert load_config([*line, "optimizer=prodigy"]).optimizer.text_encoder_lr == 0, line


def test_what_wins_over_what_is_told() -> None:
    assert told("lora=food/v8", "optimizer=prodigy") == [
        "optimizer=prodigy brings optimizer.lr=1 instead of 8e-05 (lora/food/v8), "
        "optimizer.text_encoder_lr=1 instead of 4e-05 (lora/food/v8)"
    ]
    assert told("optimizer=adamw_schedule_free") == [
        "optimizer=adamw_schedule_free brings scheduler.name=constant instead of cosine (scheduler/cosine)"
    ]
    assert told("lora=food", "optimizer=prodigy", "optimizer.lr=1", "optimizer.text_encoder_lr=1") == []
    assert told("lora=food", "base_model=sdxl", "tracker=none", "network=lora", "optimizer=adamw") == []


def test_the_rate_follows_the_base_where_no_recipe_has_one(tmp_path: Path) -> None:
    line = ["lora=custom", "name=Sage", f"dataset.path={tmp_path}", "dataset.trigger=sage_character"]
    toy, sdxl = load_config(line).optimizer, load_config([*line, "base_model=sdxl"]).optimizer
    assert (toy.lr, sdxl.lr, sdxl.text_encoder_lr) == (3e-3, 1e-4, 5e-5)
    assert load_config([*line, "base_model=sdxl", "base_model.lora_lr=2e-4"]).optimizer.lr == 2e-4
    assert load_config(["lora=fuzzybear"]).optimizer.lr == 1e-4, "a documented recipe keeps its own"


def test_paths_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PHOTOS", "photos of sage")
    (tmp_path / "photos of sage").mkdir()
    line = ["lora=custom", "name=Sage", "dataset.trigger=sage_character"]
    for typed in (
        "~/photos of sage",
        "$HOME/photos of sage/",
        "~/$PHOTOS",
        "'~/photos of sage'",
        "$HOME/${oc.env:PHOTOS}",
    ):
        assert Path(load_config([*line, f"dataset.path={typed}"]).dataset.path or "") == tmp_path / "photos of sage", (
            typed
        )
    assert load_config(["output_root=~/out", "dataset.cache=~"]).dataset.cache == str(tmp_path)


def test_the_order_is_the_same_wherever_it_is_told() -> None:
    assert all(f" {bundle}" in ORDER or f"({bundle})" in ORDER for bundle in BUNDLES)
    places = [
        help.text(CONF),
        markdown(CONF),
        (CONF / "config.yaml").read_text(),
        (CONF.parent / "README.md").read_text(),
    ]
    assert [ORDER in text.replace("\n# ", " ") for text in places] == [True] * 4


def test_images_of_ones_own_are_not_trained_under_another_recipes_name() -> None:
    assert own_images(["dataset.path=photos/sage", "seed=1"]) == ["lora=custom", "name=Sage"]
    assert own_images(['dataset.path="photos/10_my set (1)/"']) == ["lora=custom", "name=10_my set 1"]
    assert own_images(["dataset.path=photos/sage", "name=Bear"]) == ["lora=custom"]
    assert own_images(["dataset.path=a,b"]) == ["lora=custom"]
    for line in (["dataset.path=photos", "lora=food"], ["resume=v6", "dataset.path=photos"], ["network.rank=4"]):
        assert own_images(line) == []
    given = read_command_line(["dataset.path=photos/sage", "-m", "network.rank=4,8"])
    assert given.argv == ["-m", "lora=custom", "name=Sage", "dataset.path=photos/sage", "network.rank=4,8"]
