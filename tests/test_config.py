"""The schema: what its keys say about themselves, and that it costs no heavy import."""

import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from lorasweep.schema import Config, schema_keys, slug, value_at
from lorasweep.schema.need import Need


def test_every_key_says_what_it_means():
    for key in schema_keys().values():
        assert key.doc and not key.doc.endswith("."), key.name


def test_a_key_knows_type_default_and_limits():
    keys = schema_keys()
    rank = keys["network.rank"]
    assert (rank.kind, rank.nullable, rank.default, rank.limits) == (int, False, 16, {"at_least": 1})
    steps = keys["training.max_steps"]
    assert (steps.kind, steps.nullable, steps.default) == (int, True, None)
    seeds = keys["sampling.seeds"]
    assert (seeds.kind, seeds.item, seeds.default) == (list, int, [0, 1])
    assert keys["tracker.wandb.mode"].limits["choices"] == ("auto", "online", "offline", "disabled")


def test_what_a_key_needs_is_made_of_keys_and_of_values_that_they_can_have():
    for key in schema_keys().values():
        for condition in (condition for need in key.needs for condition in need.conditions):
            other = schema_keys()[condition.key]
            for value in condition.values:
                can_be = other.limits.get("choices", (None, True, False)) if other.registry is None else other.registry
                assert value in can_be, (key.name, condition)
                assert value is not None or other.nullable, (key.name, condition)


def test_needs_hold_or_not():
    config = Config(name="Sage")
    for text, holds in {
        "loss.noise_offset": False,
        "dataset.buckets": True,
        "dataset.path or dataset.buckets": True,
        "dataset.folds=null": True,
        "network.type=loha|lokr": False,
        "network.type=lora|loha": True,
        "dataset.buckets=false": False,
        "training.batch_size>1": True,
        "training.batch_size>2": False,
    }.items():
        assert Need.parse(text).holds(config) is holds, text
    with pytest.raises(ValueError, match="expected KEY"):
        Need.parse("loss.type==l2")


def test_the_keys_that_documents_and_checks_rely_on_exist():
    contract = """seed base_model.path dataset.path dataset.repeats dataset.resolution network.rank network.alpha
        optimizer.lr optimizer.text_encoder_lr scheduler.warmup_steps training.batch_size training.epochs
        training.max_steps training.mixed_precision tracker.wandb.mode objective resume output_root"""
    assert set(contract.split()) <= set(schema_keys())


def test_omegaconf_takes_the_schema_and_gives_it_back():
    config = OmegaConf.to_object(OmegaConf.structured(Config(name="Sage")))
    assert isinstance(config, Config)
    assert value_at(config, "tracker.wandb.project") == "lorasweep"
    assert value_at(config, "output_root") == "outputs"


def test_two_configs_share_no_list():
    first, second = Config(name="A"), Config(name="B")
    first.sampling.seeds.append(1)
    assert second.sampling.seeds == [0, 1]


def test_slug():
    assert [slug(name) for name in ("FuzzyBear", "Star Wars!", "a-b.c", "...")] == [
        "fuzzybear",
        "star_wars",
        "a_b_c",
        "unnamed",
    ]


def test_checking_a_config_imports_nothing_heavy():
    code = (
        "import sys, lorasweep.checks, lorasweep.app.launch; from lorasweep.compose import composition as compose\n"
        "with compose.composing(): compose.load_config([])\n"
        "print([name for name in ('torch', 'diffusers', 'transformers', 'wandb', 'PIL.Image') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
