"""From command lines to configs: what wins, what is refused, and in which words; and what resuming may change."""

import shlex
import shutil
from pathlib import Path

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from safetensors.torch import save_file

from lorasweep import files
from lorasweep.compose.composition import load_config
from lorasweep.compose.overrides import judge_overrides, variants
from lorasweep.errors import UserError
from lorasweep.schema import Config

pytestmark = pytest.mark.usefixtures("composed_configs", "elsewhere")


def problems(*line: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        load_config(line)
    return caught.value.problems


def test_without_arguments_fuzzybear_on_the_toy_base():
    config = load_config([])
    assert (config.name, config.recipe, config.base_model.path) == ("FuzzyBear", "fuzzybear", None)
    assert (config.dataset.theme, config.dataset.resolution, config.network.rank) == ("fuzzybear", 64, 8)
    assert (config.sampling.steps, config.sampling.guidance) == (20, 3.0)


def test_recipe_then_preset_then_command_line():
    quality = load_config(["lora=fuzzybear", "preset=quality"])
    assert (quality.network.rank, quality.network.alpha, quality.dataset.repeats) == (64, 64, 50)
    assert load_config(["network.rank=5", "preset=quality", "lora=fuzzybear"]).network.rank == 5  # whatever the order


def test_choices_of_groups_follow_the_same_order():
    anime = load_config(["lora=food", "preset=anime"])  # food alone has a plain cosine and plain L2
    assert (anime.scheduler.name, anime.scheduler.cycles) == ("cosine_with_restarts", 3)
    assert (anime.loss.min_snr_gamma, anime.loss.noise_offset) == (5, 0.05)
    mixed = load_config(["lora=food", "preset=anime", "scheduler=linear", "dataset=robots", "optimizer=adafactor"])
    assert (mixed.scheduler.name, mixed.scheduler.cycles) == ("linear", 1)
    assert (mixed.dataset.theme, mixed.optimizer.name, mixed.optimizer.beta1) == ("robots", "adafactor", None)


def test_sizes_and_sampling_follow_the_base():
    toy, sdxl = load_config(["lora=starwars"]), load_config(["lora=starwars", "base_model=sdxl"])
    assert [getattr(toy.dataset, f"bucket_{part}") for part in ("min", "max", "step")] == [32, 64, 4]
    assert [getattr(sdxl.dataset, f"bucket_{part}") for part in ("min", "max", "step")] == [512, 1024, 64]
    assert (toy.dataset.resolution, sdxl.dataset.resolution) == (64, 1024)
    assert (toy.sampling.steps, sdxl.sampling.steps, sdxl.sampling.guidance) == (20, 30, 5.0)


def test_evaluation_none_measures_nothing_and_holds_nothing_out():
    config = load_config(["evaluation=none"])
    assert (config.objective, config.dataset.holdout) == ("train/loss", 0.0)


JUDGED = [
    ("network.rnak=4", "there is no key network.rnak; did you mean network.rank=4?"),
    ("+network.rnak=4", "there is no key network.rnak; did you mean network.rank=4?"),
    ("network.rnak=many", "there is no key network.rnak; did you mean network.rank?"),
    ("rank=4", "there is no key rank; did you mean network.rank=4?"),
    ("nework.rank=4", "did you mean network.rank=4?"),
    ("network.lora_dim=8", "did you mean network.rank=8?"),
    ("network.droput=0.1", "did you mean network.dropout=0.1?"),
    ("steps=100", "did you mean training.max_steps=100 or sampling.steps=100?"),
    ("datset.pth=x", "did you mean dataset.path=x?"),
    ("train_batch_size=4", "what kohya calls train_batch_size is training.batch_size here: training.batch_size=4"),
    ("optimizer_type=AdamW8bit", "what kohya calls optimizer_type is optimizer here: optimizer=adamw8bit"),
    ("optimizer_type=PagedAdamW8bit", "is optimizer here: optimizer=adamw8bit"),
    ("lr_scheduler=constant_with_warmup", "is scheduler here: scheduler=constant"),
    ("clip_skip=2", "there is no key clip_skip; for kohya's clip_skip: SDXL always takes the last layer but one"),
    ("xyzzy=4", "there is no key xyzzy; docs/config-reference.md lists all keys"),
    ("lora=fuzzybaer", "one of animal, custom, food, fuzzybear, humanoid, robots, starwars; did you mean fuzzybear?"),
    ("lora=robots/v3", "expected one of robots/v1, robots/v2; did you mean robots/v2?"),
    ("lora=_seed", "expected one of animal, custom"),
    ("preset=null", "leave it out"),
    ("optimizer=AdamWScheduleFree", "did you mean adamw_schedule_free?"),
    ("optimizer=sgd", "expected one of adafactor, adamw, adamw8bit"),
    ("hydra/launcher=nosuch", "expected one of basic"),
    ("network.rank=4,8", "add -m to train a version for each"),
    ("name=Sage, Bear", "or quote it as one text: 'name=\"Sage, Bear\"'"),
    ("sampling.seeds=1,2", "add -m to train a version for each, or write it as one list: 'sampling.seeds=[1,2]'"),
    ("network", "expected key=value, such as network.rank=8"),
    ("food", "expected key=value; did you mean lora=food?"),
    ("name=[a", "expected key=value; quote the value: 'name=\"[a\"'"),
    ("~network.rank", "a key cannot be taken away"),
    ("network._target_=os.system", "a config cannot name code to run"),
    ("+network._target_=os.system", "a config cannot name code to run"),
    ("+_target_=os.system", "a config cannot name code to run"),
]


@pytest.mark.parametrize(("override", "expected"), JUDGED, ids=[override for override, _ in JUDGED])
def test_an_override_that_cannot_be_meant(override, expected):
    [problem] = judge_overrides([override]).problems
    assert problem.startswith(f"{override}: ") and expected in problem and "\n" not in problem


def test_a_full_fine_tune_leaves_a_recipes_rank_be_but_not_yours():
    assert load_config(["lora=fuzzybear", "network=full"]).network.rank == 8
    assert problems("network=full", "network.rank=8", "network.alpha=4", "network.attention=false") == [
        "network.rank=8 changes nothing with network=full; it is for lora, loha, lokr",
        "network.alpha=4 changes nothing with network=full; it is for lora, loha, lokr",
        "network.attention=false changes nothing with network=full; it is for lora, loha, lokr",
    ]


def test_good_overrides_pass():
    line = ["lora=food/v8", "~preset", "+network.rank=4", "sampling.seeds.0=3", "hydra.verbose=true", "name='a: b'"]
    judged = judge_overrides(line)
    assert not judged.problems and [*judged.groups, *judged.values] == ["lora=food/v8", "~preset", *line[2:]]


def test_wrong_types():
    expected = {
        "network.rank=many": "expected a whole number (rank of the update",
        "network.alpha=big": "expected a number",
        "training.max_steps=1.5": "expected a whole number or null",
        "dataset.flip=maybe": "expected true or false",
        "sampling.seeds=[a]": "expected a list such as [a,b], each a whole number",
    }
    for problem, (override, words) in zip(problems(*expected), expected.items(), strict=True):
        assert problem.startswith(f"{override}: {words}")


FOREIGN = [
    "hydra.launcher._target_=os.system",
    "+hydra.callbacks.x={_target_: os.system}",
    "hydra.sweeper._target_=${oc.env:HOME}",
]


@pytest.mark.parametrize("override", FOREIGN)
def test_code_of_others_is_never_named(override):
    [problem] = problems(override)
    assert problem.startswith("hydra.") and "only parts of lorasweep, Optuna, Hydra and its plugins" in problem


def test_references_to_nothing_and_unknown_keys_of_hydra():
    assert problems("network.rank=${nothing}") == ["network.rank: Interpolation key 'nothing' not found"]
    assert "hydra.nothing" in problems("hydra.nothing=1")[0]


def test_model_paths_of_every_bad_kind(tmp_path):
    (tmp_path / "sdxl.ckpt").write_bytes(b"\x80")
    for path, expected in {"/no/such/model": "nothing is there", "sdxl.ckpt": "pickled"}.items():
        [problem] = problems("base_model=sdxl", f"base_model.path={path}")
        assert problem.startswith(f"base_model.path={path}: ") and expected in problem


def test_a_path_given_as_a_choice(tmp_path):
    (tmp_path / "photos").mkdir()
    assert problems("dataset=photos")[0].endswith("give it as dataset.path=photos")


def test_everything_wrong_is_said_at_once(tmp_path):
    (tmp_path / "file").touch()
    line = [
        "lora=fod",
        "network.rnak=4",
        "network.rank=x",
        "optimizer.lr=-1",
        "output_root=file/out",
        "training.epochs=-1",
    ]
    found = problems(*line)
    assert [problem.split(":")[0].split(" cannot")[0] for problem in found] == [
        "lora=fod",
        "network.rnak=4",
        "network.rank=x",
        "optimizer.lr=-1",
        "training.epochs=-1",
        "output_root=file/out",
    ]


def test_a_wrong_key_hides_no_problem_of_a_key_that_ends_like_it(tmp_path):
    line = ["lora=custom", "dataset.theme=food", "dataset.trigger=x"]
    found = problems(*line, "optimizer=adamw_schedule_free", "scheduler=cosine")
    assert [problem.keys[0] for problem in found] == ["name", "scheduler.name"]
    found = problems("seed=-1", "evaluation.seed=-1", "network.ranks=[attn2]", "network.rank=0")
    assert sorted(problem.keys[0] for problem in found) == ["evaluation.seed", "network.rank", "network.ranks", "seed"]


def test_what_follows_from_a_refused_override_is_not_said_again(tmp_path):
    own = ["lora=custom", "name=Sage", "dataset.trigger=sage_character"]
    for line in (["datset.path=photos"], ["train_data_dir=photos"], ["dataset.path=[a"], ["dataset=nosuch"]):
        assert len(problems(*own, *line)) == 1, line
    assert len(problems("lora=custom", "nmae=Sage", "dataset.theme=food", "dataset.trigger=x")) == 1
    # A value that is wrong by itself is, whatever happened to its group.
    assert [problem.keys[0] for problem in problems("optimizer=sgd", "optimizer.lr=-1")] == [
        "optimizer",
        "optimizer.lr",
    ]


def test_own_images_need_name_folder_and_trigger(tmp_path):
    found = problems("lora=custom")
    assert [problem.split(" ")[0] for problem in found] == ["name", "dataset.path", "dataset.trigger"]
    line = ["lora=custom", "name=Sage", f"dataset.path={tmp_path}", "dataset.trigger=sage_character"]
    assert load_config(line).recipe == "custom"


def test_a_mistake_in_somebodys_own_recipe_names_the_file_and_the_key(tmp_path):
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "mine.yaml").write_text("# @package _global_\nname: Mine\nnetwork:\n  rnak: 4\n")
    [problem] = problems(f"hydra.searchpath=['file://{tmp_path}']", "lora=mine")
    assert "In 'lora/mine'" in problem and "did you mean network.rank?" in problem


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("lr_scheduler_power", "scheduler.power"),
        ("lr_scheduler_min_lr_ratio", "scheduler.min_lr_ratio"),
        ("loraplus_lr_ratio", "optimizer.lora_plus_ratio"),
        ("scale_weight_norms", "network.max_norm"),
        ("rank_dropout", "network.rank_dropout"),
        ("network_args.module_dropout", "network.module_dropout"),
        ("network_weights", "network.start_from"),
        ("conv_dim", "network.ranks"),
        ("multires_noise_iterations", "loss.multires_iterations"),
        ("multires_noise_discount", "loss.multires_discount"),
        ("ip_noise_gamma", "loss.input_perturbation"),
        ("adaptive_noise_scale", "loss.adaptive_noise_scale"),
        ("noise_offset_random_strength", "loss.noise_offset_random"),
        ("debiased_estimation_loss", "loss.debiased"),
        ("zero_terminal_snr", "base_model.zero_terminal_snr"),
        ("masked_loss", "dataset.mask_path"),
        ("alpha_mask", "dataset.alpha_mask"),
        ("min_timestep", "loss.min_timestep"),
        ("gradient_checkpointing", "training.gradient_checkpointing"),
    ],
)
def test_a_knob_typed_with_kohyas_name_is_told_ours(theirs, ours):
    [problem] = problems(f"{theirs}=1")
    assert f" {ours}" in problem.partition(";")[2]


def test_variants_use_every_swept_value_once():
    line = ["lora=food,animal", "network.rank=range(4,17,4)", "optimizer.lr=tag(log,interval(1e-5,1e-3))", "seed=1"]
    assert variants(line) == [
        ["lora=food", "network.rank=4", "optimizer.lr=1e-05", "seed=1"],
        ["lora=animal", "network.rank=4", "optimizer.lr=1e-05", "seed=1"],
        ["lora=food", "network.rank=16", "optimizer.lr=1e-05", "seed=1"],
        ["lora=food", "network.rank=4", "optimizer.lr=0.001", "seed=1"],
    ]
    assert variants(["seed=1", "lora=glob(*)", "a b c"]) == [["seed=1", "a b c"]]
    assert OverridesParser.create().parse_override("a=1,2").is_sweep_override()  # what all of this stands on


def version(root: Path, number: int, *line: str) -> Path:
    """Write what a finished start of a version leaves behind."""
    config = load_config([*line, f"output_root={root}"])
    folder = root / config.name.lower() / f"v{number}"
    files.write_atomic(folder / ".hydra" / "config.yaml", OmegaConf.to_yaml(OmegaConf.structured(config)))
    files.write_atomic(folder / ".hydra" / "overrides.yaml", OmegaConf.to_yaml([*line, f"output_root={root}"]))
    files.write_json(folder / "record.json", {"name": config.name, "version": number})
    return folder


def resumed(root: Path, *line: str) -> Config:
    return load_config([*line, f"output_root={root}"])


def test_resume_takes_the_saved_config_not_the_recipes(tmp_path):
    version(tmp_path, 6, "lora=fuzzybear/v1", "network.rank=11", "seed=7")
    config = resumed(tmp_path, "lora=fuzzybear", "resume=latest")
    assert (config.network.rank, config.network.alpha, config.seed, config.recipe) == (11, 16, 7, "fuzzybear/v1")
    assert (config.resume, config.output_root) == ("v6", str(tmp_path))


def test_resume_lets_some_keys_change(tmp_path):
    version(tmp_path, 6)
    line = ["training.epochs=30", "training.device=cpu", "tracker=none", "sampling.prompts=[a,b]", "resume=v6"]
    config = resumed(tmp_path, *line)
    assert (config.training.epochs, config.training.device, config.tracker.tensorboard) == (30, "cpu", False)
    assert config.sampling.prompts == ["a", "b"]


def test_resume_refuses_the_others_one_line_each(tmp_path):
    version(tmp_path, 6, "network.rank=11")
    with pytest.raises(UserError) as caught:
        resumed(tmp_path, "resume=v6", "network.rank=8", "loss=min_snr", "seed=42", "training.epochs=30")
    assert caught.value.problems == [
        # 8 is what the recipe says too, but it is not what v6 has
        "resume=v6 keeps v6's network.rank=11; you gave 8",
        "resume=v6 keeps v6's loss.min_snr_gamma=null; you gave 5",
    ]


@pytest.mark.parametrize(
    ("begun", "given", "problems"),
    [
        ("optimizer=adamw", "optimizer=adamw8bit", ["optimizer.name=adamw; you gave adamw8bit"]),  # the default one
        ("loss=min_snr", "loss=l2", ["loss.min_snr_gamma=5; you gave null"]),  # which l2's own file does not name
        ("preset=anime", "preset=anime", []),
        ("preset=anime", "optimizer=adamw8bit", []),  # what the preset chose
        ("preset=anime", "scheduler=linear", ["scheduler.name=cosine_with_restarts; you gave linear"]),
        ("evaluation.seed=3", "evaluation=thorough", []),
        ("network.rank=11", "network=attention", ["network.feed_forward=true; you gave false"]),
        ("sampling.seeds=[7,8]", "sampling.seeds.0=9", []),
    ],
)
def test_resume_asks_for_what_a_group_comes_to_in_this_version(begun, given, problems, tmp_path):
    version(tmp_path, 6, begun)
    found = []
    try:
        config = resumed(tmp_path, "resume=v6", given)
    except UserError as error:
        found = error.problems
    assert [problem.removeprefix("resume=v6 keeps v6's ") for problem in found][:1] == problems
    if "evaluation=thorough" in given:
        assert (config.evaluation.seed, config.evaluation.timesteps) == (3, load_config([given]).evaluation.timesteps)
    if "sampling.seeds" in given:
        assert config.sampling.seeds == [9, 8]


def test_both_ways_on_from_a_refused_resume_lead_on(tmp_path):
    version(tmp_path, 6, "lora=fuzzybear", "network.rank=11", "optimizer.lr=3e-4", "dataset.trigger='a bear'")
    line = ["lora=fuzzybear", "resume=v6", "network.rank=8", "loss=min_snr", "tracker=none", f"output_root={tmp_path}"]
    with pytest.raises(UserError) as caught:
        load_config(line)
    (go_on, as_it_is), (_, anew) = caught.value.ways.items()
    assert go_on == "go on with v6 as it is" and as_it_is in str(caught.value)
    config = load_config(shlex.split(as_it_is)[2:])
    assert (config.resume, config.network.rank, config.tracker.tensorboard) == ("v6", 11, False)
    config = load_config(shlex.split(anew)[2:])
    assert (config.resume, config.network.rank, config.loss.min_snr_gamma) == (None, 8, 5)
    assert (config.optimizer.lr, config.dataset.trigger, config.output_root) == (3e-4, "a bear", str(tmp_path))


def test_more_epochs_win_over_the_steps_of_the_version(tmp_path):
    version(tmp_path, 6, "training.max_steps=300", "training.epochs=4")
    assert resumed(tmp_path, "resume=v6", "training.epochs=9").training.max_steps is None
    assert resumed(tmp_path, "resume=v6", "training.epochs=4").training.max_steps == 300, "what it was begun with"
    both = resumed(tmp_path, "resume=v6", "training.epochs=9", "training.max_steps=600").training
    assert (both.epochs, both.max_steps) == (9, 600)


def test_a_version_whose_recipe_is_gone_or_was_edited_keeps_its_config(tmp_path):
    folder = version(tmp_path, 6, "network.rank=11")
    files.write_atomic(folder / ".hydra" / "overrides.yaml", "- lora=fuzzybear/v99\n- network.rank=11\n")
    assert resumed(tmp_path, "resume=v6", "tracker=none").network.rank == 11
    with pytest.raises(UserError, match=r"network\.rank=11; you gave 8"):
        resumed(tmp_path, "resume=v6", "network.rank=8")


def test_the_file_that_a_version_started_from_may_be_gone(tmp_path):
    start = tmp_path / "start.safetensors"
    save_file({"lora_unet_x.lora_down.weight": torch.zeros(4, 4)}, start)
    version(tmp_path, 6, f"network.start_from={start}")
    start.unlink()
    assert resumed(tmp_path, "resume=v6").network.start_from == str(start)


def test_a_complete_version_is_told_before_anything_is_read(tmp_path):
    folder = version(tmp_path, 6, "training.max_steps=300", "seed=7")
    config = {"training": {"max_steps": 300, "epochs": 20}}
    files.write_json(
        folder / "record.json",
        {"name": "FuzzyBear", "recipe": "fuzzybear", "version": 6, "status": "complete", "epochs": [], "config": config}
        | {"overrides": ["training.max_steps=300", "seed=7", f"output_root={tmp_path}"]},
    )
    for more in ([], ["network.rank=4"]):
        with pytest.raises(UserError) as caught:
            resumed(tmp_path, "resume=v6", *more)
        assert ("is complete" in str(caught.value)) is not bool(more)
        longer, anew = (load_config(shlex.split(command)[2:]) for command in caught.value.ways.values())
        assert (longer.resume, longer.training.max_steps, longer.output_root) == ("v6", 600, str(tmp_path))
        assert (anew.resume, anew.training.max_steps, anew.seed, anew.output_root) == (None, 300, 7, str(tmp_path))
        assert anew.network.rank == (4 if more else load_config([]).network.rank)


def test_what_changes_no_bit_may_change(tmp_path):
    version(tmp_path, 6)
    line = ["training.gradient_checkpointing=true", "training.offload_idle=false", "training.compile=true"]
    training = resumed(tmp_path, "resume=v6", *line).training
    assert training.gradient_checkpointing and training.compile and not training.offload_idle


def test_resume_says_which_versions_there_are(tmp_path):
    folder = version(tmp_path, 6)
    shutil.copytree(folder, folder.with_name("v8"))
    with pytest.raises(UserError, match="has v6, v8"):
        resumed(tmp_path, "resume=v7")
    assert resumed(tmp_path, "resume=latest").resume == "v8"
    assert "holds no version to resume" in problems("resume=latest")[0]  # in outputs/, that is
    assert "expected a version such as v6, or latest" in problems("resume=6")[0]
    assert "Give its lora=... or name=..." in problems("lora=custom", "resume=v6")[0]


def test_resume_needs_nothing_but_the_name_of_own_images(tmp_path):
    (tmp_path / "photos").mkdir()
    version(
        tmp_path, 1, "lora=custom", "name=Sage", f"dataset.path={tmp_path}/photos", "dataset.trigger=sage_character"
    )
    assert resumed(tmp_path, "lora=custom", "name=Sage", "resume=v1").dataset.path == f"{tmp_path}/photos"


def test_a_base_that_is_one_file_must_be_there():
    with pytest.raises(UserError) as caught:
        load_config(["lora=fuzzybear", "base_model=fortnite_humanoid"])
    [problem] = caught.value.problems
    name = "models/v1x0_fortnite_humanoid_sdxl1_vae_fix-000005.safetensors"
    assert problem.startswith(f"base_model.path={name}: nothing is there; give")
