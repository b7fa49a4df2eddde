"""What people type is what they get: paths and texts as they are, numbers and lists where they are clear."""

import shlex

import pytest

from lorasweep.compose.composition import load_config
from lorasweep.compose.overrides import variants
from lorasweep.compose.typed import hydra_words
from lorasweep.errors import UserError
from lorasweep.schema import schema_keys, value_at
from lorasweep.text.grammar import parsed, quoted

pytestmark = pytest.mark.usefixtures("composed_configs", "elsewhere")

TEXTS = [
    "photos/sage/",
    "./a-b.c",
    "/data/my set (1)",
    "a[1]",
    "[old] set",
    "{x}",
    "it's",
    "'tis",
    'a "b" c',
    "a=b",
    "a#b",
    "a, b",
    "naïve/日本/é\u0301",
    "caf\udce9",  # a byte that is no UTF-8, as Python hands it over
    "2024_05_01",
    "007",
    "1e3",
    "true",
    "C:\\photos\\sage",
    "C:\\photos\\",
    "back\\slash",
    "fuzzy bear",
    "<lora:x:1>, (x:1.2), {a|b}",
    "50% & more; `x` | y > z",
    "$HOME",
    "café, 'x'",
    "choice(1",
    " spaces ",
    "",
]
TEXT_KEYS = [key.name for key in schema_keys().values() if key.kind is str and "choices" not in key.limits]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_what_was_typed(text):
    for key in TEXT_KEYS:
        override = parsed(hydra_words([f"{key}={text}"])[0])
        assert override is not None and override.value() == (text.strip() if schema_keys()[key].path else text), key


def test_what_hydra_reads_as_it_is_stays_as_it_was_typed():
    line = ["name=Sage", "dataset.path=photos/sage", "dataset.path='a, b'", 'dataset.path="it\'s"', "lora=food/v8",
            "dataset.cache=null", "dataset.path=${oc.env:HOME}/x", "dataset.path=a\\,b", "optimizer.lr=1e-4",
            "~preset", "network", "name=a,b", "optimizer.name=adamw,lion", "network.rank=[a"]  # fmt: skip
    assert hydra_words(line) == line
    assert hydra_words(hydra_words(["dataset.path=a[1]", "sampling.prompts=it's"])) == hydra_words(
        ["dataset.path=a[1]", "sampling.prompts=it's"]
    )


def test_numbers_and_lists_as_people_write_them():
    config = load_config(
        ["training.max_steps=1e3", "network.rank=8.0", "sampling.seeds=3", "sampling.prompts=a {trigger}, x"]
    )
    assert (config.training.max_steps, config.network.rank, config.sampling.seeds) == (1000, 8, [3])
    assert config.sampling.prompts == ["a {trigger}", "x"]  # a list's commas part its items
    config = load_config(
        ["sampling.prompts=['a, b', it's {trigger}, 007]", "tracker.wandb.tags=mine", "dataset.cache=None"]
    )
    assert config.sampling.prompts == ["a, b", "it's {trigger}", "007"]
    assert (config.tracker.wandb.tags, config.dataset.cache) == (["mine"], None)


def test_none_is_null_unless_a_file_is_called_so(tmp_path):
    (tmp_path / "none").mkdir()
    assert hydra_words(["training.max_steps=none", "base_model.quantization=None"]) == [
        "training.max_steps=null",
        "base_model.quantization=null",
    ]
    assert hydra_words(["dataset.path=none"]) == ["dataset.path=none"]


def test_each_value_of_a_sweep_is_what_was_typed():
    line = ["dataset.path=2024_05_01,a[1],it's", "name=choice(1e3, 'a, b')", "seed=1e1,2", "network.rank=range(4,9,4)"]
    expected = {"2024_05_01", "a[1]", "it's", "1e3", "a, b", 10, 2}
    swept = hydra_words([*line, "optimizer.lr=tag(log,interval(1e-5,1e-3))", "lora=glob(*)"], several=True)
    assert swept[-3:] == ["network.rank=range(4,9,4)", "optimizer.lr=tag(log,interval(1e-5,1e-3))", "lora=glob(*)"]
    read = [parsed(text) for variant in variants(swept[:3]) for text in variant]
    assert {override.value() for override in read if override is not None} == expected


def test_a_comma_without_a_space_may_be_a_forgotten_multirun(tmp_path):
    with pytest.raises(UserError) as caught:
        load_config(["dataset.trigger=sks,abc"])
    [problem] = caught.value.problems
    assert "add -m to train a version for each" in problem
    [cure] = shlex.split(problem.partition("one text: ")[2])
    assert load_config([cure]).dataset.trigger == "sks,abc"
    (tmp_path / "a,b").mkdir()
    line = ["lora=custom", "name=Sage", "dataset.trigger=x"]
    assert load_config([*line, "dataset.path=a,b"]).dataset.path == "a,b"


def test_a_recipe_of_any_name(tmp_path):
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "café (1).yaml").write_text("# @package _global_\ndefaults: [fuzzybear]\nname: Cafe\n")
    assert load_config([f"hydra.searchpath=['file://{tmp_path}']", "lora=café (1)"]).name == "Cafe"


@pytest.mark.parametrize("text", [text for text in TEXTS if text != ""])
def test_a_quoted_text_is_read_back(text):
    override = parsed(f"key={quoted(text)}")
    assert override is not None and override.value() == text
    assert value_at(load_config([f"dataset.caption_suffix={text}"]), "dataset.caption_suffix") == text


@pytest.mark.parametrize("several", [True, False])
def test_options_of_a_search_are_read_as_they_are_written(several):
    line = {
        "hydra.sweeper.constraints=[train/loss <= 0.2, seconds<=3]": ["train/loss <= 0.2", "seconds<=3"],
        "hydra.sweeper.constraints=train/loss <= 0.2": ["train/loss <= 0.2"],
        "hydra.sweeper.storage=postgresql://me:p=w,x@h/db": "postgresql://me:p=w,x@h/db",
        "hydra.sweeper.study_name=2024_05_01": "2024_05_01",
        "hydra.sweeper.n_trials=1e2": 100,
    }
    found = [parsed(text).value() for text in hydra_words(list(line), several)]
    plain = [list(map(_plain, value)) if isinstance(value, list) else _plain(value) for value in found]
    assert plain == list(line.values())


def _plain(value):
    return getattr(value, "text", value)
