"""Every cure that a message offers is applied, and the problem is gone.

A case is a command line that is refused, what the message says to leave out or to replace, and what it says to type
instead: that must stand in the message, and with it the command line must be sound.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lorasweep.app import help
from lorasweep.compose import arguments, overrides, searches
from lorasweep.compose.composition import CONF, load_config
from lorasweep.errors import Problem, UserError
from lorasweep.schema import schema_keys
from lorasweep.schema.kohya import INSTEAD

pytestmark = pytest.mark.usefixtures("composed_configs", "elsewhere")


def refusal(line: Sequence[str]) -> list[Problem]:
    with pytest.raises(UserError) as caught:
        load_config(line)
    return caught.value.problems


def cured(line: Sequence[str], instead_of: Sequence[str], typed: Sequence[str]) -> None:
    """Hold the one problem of a command line to its cure."""
    [problem] = refusal(line)
    for text in typed:
        assert text in problem or shlex.quote(text) in problem, f"{text} is not in: {problem}"
    load_config([*(text for text in line if text not in instead_of), *typed])


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
        load_config([meant])
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
        problems = overrides.judge_overrides([f"{name}={value or 1}"]).problems
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
    assert not overrides.judge_overrides(typed).problems


def test_options_with_dashes() -> None:
    line = ["--network_dim", "16", "--train_batch_size=2", "--cache_latents", "--resume", "latest", "--lr", "1e-4"]
    given = arguments.read_command_line([*line, "--xformers", "lora=food", "-m", "--config-dir", "mine"])
    assert given.argv[:3] + given.argv[4:] == ["-m", "--config-dir", "mine", "lora=food"] and given.several
    problems = overrides.options(given.foreign)
    told = [problem.rpartition(" ")[2].rstrip("?") for problem in problems]
    assert told[0:2] == ["network.rank=16", "training.batch_size=2"] and told[3:5] == [
        "resume=latest",
        "optimizer.lr=1e-4",
    ]
    assert [problem.partition(":")[0] for problem in problems][2::3] == ["--cache_latents", "--xformers"]
    load_config([*told[:2], told[4]])


CUSTOM = ["lora=custom", "name=Sage"]
PAIRS = [  # what is refused, what of it is taken back, what is typed instead
    (["base_model.zero_terminal_snr=true"], [], ["base_model.prediction_type=v_prediction"]),
    (["dataset.folds=3"], [], ["dataset.fold=1"]),
    (["dataset.fold=1"], ["dataset.fold=1"], ["dataset.fold=null"]),
    ([*CUSTOM, "dataset.trigger=sage_character"], [], ["dataset.path=FOLDER"]),
    ([*CUSTOM, "dataset.path=FOLDER", "dataset.trigger="], ["dataset.trigger="], ["dataset.trigger=WORD"]),
    (
        [*CUSTOM, "dataset.path=FOLDER", "dataset.trigger="],
        [],
        ["sampling.prompts=[a portrait]"],
    ),
    (["loss=debiased", "loss.min_snr_gamma=5"], [], ["loss.debiased=false"]),
    (["loss=debiased", "loss.min_snr_gamma=5"], ["loss.min_snr_gamma=5"], ["loss.min_snr_gamma=null"]),
    (["sampling.seeds=[]"], [], ["sampling.every_epochs=0"]),
    (["sampling.prompts=[]"], [], ["sampling.every_epochs=0"]),
    (["evaluation.heldout_loss=false"], [], ["evaluation.heldout_loss=true"]),
    (["objective=image/adherence", "features=none"], ["features=none"], ["features=toy"]),
    (["objective=image/diversity", "sampling.seeds=[3]"], ["sampling.seeds=[3]"], ["sampling.seeds=[0,1]"]),
    (["objective=image/drift", "dataset.trigger=''"], ["dataset.trigger=''"], ["dataset.trigger=WORD"]),
    (
        ["objective=image/adherence", "sampling.every_epochs=0"],
        ["sampling.every_epochs=0"],
        ["sampling.every_epochs=1"],
    ),
    (["optimizer=adamw_schedule_free", "scheduler=cosine"], ["scheduler=cosine"], ["scheduler=constant"]),
    (
        ["scheduler.warmup_steps=100", "training.max_steps=50"],
        ["scheduler.warmup_steps=100"],
        ["scheduler.warmup_steps=5"],
    ),
    (["+optimizer._target_=os.system"], ["+optimizer._target_=os.system"], ["optimizer=adamw"]),
    (["nonsense"], ["nonsense"], ["network.rank=8"]),
]


@pytest.mark.parametrize(
    ("line", "instead_of", "typed"), PAIRS, ids=[f"{line[-1]}|{typed[0]}" for line, _, typed in PAIRS]
)
def test_what_a_refusal_says_to_type(line: list[str], instead_of: list[str], typed: list[str]) -> None:
    Path("FOLDER").mkdir()
    problems = refusal(line)
    for text in typed:
        offered = [problem for problem in problems if text in problem or text.replace("=", "='", 1) in problem]
        assert offered or text.split("=")[0] + "=" in " ".join(problems), f"{text} is not in: {problems}"
    load_config([*(text for text in line if text not in instead_of), *typed])


ELSEWHERE = {  # cures that need files, a device or a running training: where they are applied
    "allow_code=[": "test_extending.py",
    "base_model.config_path=sdxl-configs": "families/test_hub.py",
    "base_model.zero_terminal_snr=true": "test_checks.py",
    "base_model=CHOICE": "evaluation/test_configs.py",
    "features=none": "features/test_clip.py",
    "features.models=[": "features/test_sources.py",
    "hydra.sweep.dir=...": "search/test_location.py",
    "hydra.sweeper.folder=...": "search/test_location.py",
    "hydra.sweeper.fold_overrides=[...]": "search/test_settings.py",
    "hydra.sweeper.seed_key=...": "search/test_settings.py",
    "hydra.sweeper.study_name=...": "search/test_widening.py",
    "hydra/launcher=basic": "search/test_sweeper.py",
    "hydra/launcher=lanes": "compose/test_searches.py",
    "hydra/sweeper=optuna": "compose/test_searches.py",
    "hydra/sweeper/sampler=bruteforce": "search/test_sweeper.py",
    "network=lora": "training/memory/test_host.py",
    "optimizer=adafactor": "training/memory/test_host.py",
    "output_root=FOLDER": "training/test_disk.py",
    "resume=latest": "compose/test_compose.py",
    "training.deterministic=false": "families/test_device.py",
    "training.keep_epochs=1": "training/test_disk.py",
    "training.mixed_precision=bf16": "families/test_device.py",
    "training.mixed_precision=no": "families/test_device.py",
}
GIVEN = {  # no cures: what is said back to the user, or of what is set already
    "base_model.zero_terminal_snr=false", "dataset.alpha_mask=true", "dataset.folds=K", "dry_run=true",
    "loss.debiased=true", "network.attention=false", "network.convolutions=false", "network.dora=true",
    "network.factor=0", "network.feed_forward=false", "network.projections=false", "network=full", "lora=...",
    "name=...", "optimizer.beta1=0", "scheduler.warmup_ratio=0", "sampling.prompts=[a", "training.device=cuda",
    "training.mixed_precision=fp16", "training.device=auto", "training.device=cpu",
}  # fmt: skip


def offered() -> Iterator[str]:
    """Yield every `key=value` in the texts of functions that make problems, errors or ways on."""
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    for path in (CONF.parent / "src" / "lorasweep").rglob("*.py"):
        for function in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)):
            names = {getattr(node, "id", getattr(node, "arg", "")) for node in ast.walk(function)}
            if not names & {"UserError", "Problem", "without_effect", "ways"}:
                continue
            for statement in function.body[bool(ast.get_docstring(function)) :]:
                texts = [node.value for node in ast.walk(statement) if isinstance(node, ast.Constant)]
                for text in map(str, texts):
                    for found in re.finditer(r"(?<![\w.{])([a-z_]+(?:[./][a-z_0-9]+)*)=([\w.\[\]-]+)", text):
                        if found[1] in schema_keys() or found[1] in groups or found[1].startswith("hydra"):
                            yield found[0]


def test_every_cure_in_the_source_has_its_case() -> None:
    """A new one has to be applied here, or in the test of its own room."""
    here = {text for _, _, typed in PAIRS for text in typed}
    found = set(offered())
    missing = {text for text in found if not {text, text.rstrip(".,;")} & (here | GIVEN | ELSEWHERE.keys())}
    assert len(found) > 30 and not missing, sorted(missing)
    assert ELSEWHERE.keys() <= {text.rstrip(".,;") for text in found} | found, "of a message that is gone"
    tests = Path(__file__).parent
    for text, file in ELSEWHERE.items():
        leaf = re.split(r"[./]", text.partition("=")[0])[-1]
        assert leaf in (tests / file).read_text(), f"{file} applies no {text}"


def printed_by_the_help() -> list[list[str]]:
    lines = (line.strip() for line in help.text(CONF).splitlines())
    commands = (
        re.split(r"\s{2,}", line)[0] for line in lines if line.startswith("python train.py ") and "[" not in line
    )
    return [shlex.split(command)[2:] for command in commands]


@pytest.mark.parametrize("line", printed_by_the_help(), ids=" ".join)
def test_every_command_of_the_help_is_sound(line: list[str]) -> None:
    Path("photos/sage").mkdir(parents=True)
    given = arguments.read_command_line(line)
    assert not given.foreign
    asked = searches.judge_search(given.hydra.overrides, "config", several=given.several)
    assert not asked.problems
    for variant in overrides.variants([*asked.line, *asked.tried]):
        if "resume=latest" not in variant:
            load_config(variant)
