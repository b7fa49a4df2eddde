"""Commands that are printed for a user to type."""

from lorasweep.runs import command_lines as commands


def test_a_command_survives_a_shell():
    line = ["name=my bear", 'dataset.path="a, b"', "sampling.seeds=[1,2]"]
    assert commands.train(line) == "python train.py 'name=my bear' 'dataset.path=\"a, b\"' 'sampling.seeds=[1,2]'"


def test_resume_names_the_version():
    assert commands.resume("FuzzyBear", "fuzzybear/v5", 6, "outputs") == "python train.py lora=fuzzybear resume=v6"
    assert commands.resume("Sage", "custom", 1, "out put", "training.epochs=9") == (
        "python train.py lora=custom name=Sage resume=v1 training.epochs=9 'output_root=out put'"
    )
    assert commands.resume("Sage", "", 1, "outputs") == "python train.py lora=custom name=Sage resume=v1"


def test_changes_take_the_place_of_what_is_for_the_same_key():
    begun = ["lora=food/v8", "+network.rank=4", "~preset", "optimizer=adamw", "optimizer.lr=1e-3"]
    changes = ["resume=v10", "network.rank=8", "preset=anime", "seed=7"]
    assert commands.changed(begun, changes) == [
        "lora=food/v8",
        "network.rank=8",
        "preset=anime",
        "optimizer=adamw",
        "optimizer.lr=1e-3",
        "seed=7",
    ]


def test_a_new_version_goes_where_the_changes_say():
    changes = ["resume=v10", "lora=food", "name=Food", "output_root=/mnt/other"]
    assert commands.changed(["lora=food/v8", "output_root=here"], changes) == [
        "lora=food/v8",
        "output_root=/mnt/other",
    ]
