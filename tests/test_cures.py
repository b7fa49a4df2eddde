"""Every cure that a message offers is applied, and the problem is gone.

A case is a command line that is refused, what the message says to leave out or to replace, and what it says to type
instead: that must stand in the message, and with it the command line must be sound.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import pytest

from lorasweep import arguments, overrides
from lorasweep.compose import CONF, load
from lorasweep.config import schema_keys
from lorasweep.config.kohya import INSTEAD
from lorasweep.errors import Problem, UserError

pytestmark = pytest.mark.usefixtures("composed_configs", "elsewhere")


def refusal(line: Sequence[str]) -> list[Problem]:
    with pytest.raises(UserError) as caught:
        load(line)
    return caught.value.problems


def cured(line: Sequence[str], instead_of: Sequence[str], typed: Sequence[str]) -> None:
    """Hold the one problem of a command line to its cure."""
    [problem] = refusal(line)
    for text in typed:
        assert text in problem or shlex.quote(text) in problem, f"{text} is not in: {problem}"
    load([*(text for text in line if text not in instead_of), *typed])


MISTYPED = [
    ("network.rnak=4", "network.rank=4"),
    ("rank=4", "network.rank=4"),
    ("network.lora_dim=8", "network.rank=8"),
    ("lora_alpha=2", "network.alpha=2"),
    ("steps=100", "training.max_steps=100"),
    ("cfg_scale=4", "sampling.guidance=4"),
    ("food", "lora=food"),
    ("adamw", "optimizer=adamw"),
    ("dataset.trigger=sage,bear", 'dataset.trigger="sage,bear"'),
    ("sampling.seeds=1,2", "sampling.seeds=[1,2]"),
    ("network_dim=16", "network.rank=16"),
    ("learning_rate=1e-4", "optimizer.lr=1e-4"),
    ("network_module=LoHa", "network=loha"),
    ("optimizer_type=AdamW8bit", "optimizer=adamw8bit"),
    ("lr_scheduler=constant_with_warmup", "scheduler=constant"),
    ("loss_type=smooth_l1", "loss=smooth_l1"),
    ("shuffle_caption=true", "dataset.shuffle_tags=true"),
    ("max_train_steps=1000", "training.max_steps=1000"),
    ("max_token_length=225", "dataset.max_tokens=225"),
]


@pytest.mark.parametrize(("typed", "meant"), MISTYPED, ids=[typed for typed, _ in MISTYPED])
def test_what_was_meant_by_a_name_that_does_not_exist(typed: str, meant: str) -> None:
    cured([typed], [typed], [meant])


CHOICES = [
    ("lora=fuzzybaer", "lora=fuzzybear"),
    ("lora=robots/v3", "lora=robots/v2"),
    ("optimizer=AdamW", "optimizer=adamw"),
    ("scheduler=constant_with_warmup", "scheduler=constant"),
    ("training.device=gpu", "training.device=cuda"),
    ("training.mixed_precision=fp32", "training.mixed_precision=no"),
    ("tracker.wandb.mode=off", "tracker.wandb.mode=disabled"),
    ("base_model.quantization=fp8", "base_model.quantization=int8"),
    ("objective=val/los", "objective=val/loss"),
    ("dataset.max_tokens=77", "dataset.max_tokens=75"),
]


@pytest.mark.parametrize(("typed", "meant"), CHOICES, ids=[typed for typed, _ in CHOICES])
def test_what_was_meant_by_a_word_that_is_no_choice(typed: str, meant: str) -> None:
    [problem] = refusal([typed])
    value = meant.partition("=")[2]
    assert re.search(rf"(did you mean|expected one of) {re.escape(value)}\b", problem), problem
    try:
        load([meant])
    except UserError as error:  # such as cuda on a machine without one
        assert all(found != problem for found in error.problems)


def names_of_the_kohya_page() -> dict[str, str]:
    """Return what stands in the left column of docs/coming-from-kohya.md, with a value: `conv_dim=4` or any other."""
    page = (CONF.parent / "docs" / "coming-from-kohya.md").read_text().partition("## Repeating an old run")[0]
    left = [line.split("|")[1] for line in page.splitlines() if line.startswith("| ")]
    words = [word for cell in left for quoted in re.findall("`([^`]+)`", cell) for word in quoted.split()]
    given = dict(re.findall(r"^([a-z]\w+)(?:=(.*))?$", "\n".join(words), re.MULTILINE))
    return given | dict.fromkeys(re.findall(r"`([a-z]\w+_\w+)`", page.partition("## Not there yet")[2]), "")


def test_every_name_of_the_kohya_page_is_answered_with_ours() -> None:
    names = names_of_the_kohya_page()
    assert len(names) > 100 and names["conv_dim"] == "4"
    no_setting = {"accelerate", "launch", "boft", "custom_attributes"}  # a command, kinds of networks, kohya's own data
    for name, value in names.items():
        problems = overrides.judge([f"{name}={value or 1}"]).problems
        if name in schema_keys():
            continue  # it is called the same here
        [problem] = problems
        known = "kohya" in problem or "did you mean" in problem or "expected one of" in problem
        assert known or name in no_setting, problem


@pytest.mark.parametrize("name", INSTEAD)
def test_what_stands_in_for_kohyas_names(name: str) -> None:
    [problem] = refusal([f"{name}=1"])
    assert INSTEAD[name] in problem
    told = re.findall(r"[\w.]+=(?:\['[^']*'\]|[\w.]+)", INSTEAD[name].replace("key=value", ""))
    typed = [text for shown in told for text in shlex.split(shown)]
    assert not overrides.judge(typed).problems


def test_options_with_dashes() -> None:
    line = ["--network_dim", "16", "--train_batch_size=2", "--cache_latents", "--resume", "latest", "--lr", "1e-4"]
    given = arguments.read([*line, "--xformers", "lora=food", "-m", "--config-dir", "mine"])
    assert given.argv[:3] + given.argv[4:] == ["-m", "--config-dir", "mine", "lora=food"] and given.several
    problems = overrides.options(given.foreign)
    told = [problem.rpartition(" ")[2].rstrip("?") for problem in problems]
    assert told[0:2] == ["network.rank=16", "training.batch_size=2"] and told[3:5] == [
        "resume=latest",
        "optimizer.lr=1e-4",
    ]
    assert [problem.partition(":")[0] for problem in problems][2::3] == ["--cache_latents", "--xformers"]
    load([*told[:2], told[4]])
