"""`train.py --help`, the config reference and the page on kohya tell of what is really there; the help is quick."""

import re
import subprocess
import sys
import time

from lorasweep.app import help
from lorasweep.app.reference import markdown
from lorasweep.compose.composition import CONF
from lorasweep.schema import schema_keys
from lorasweep.schema.kohya import INSTEAD

from .data.steps import steps_of

ROOT = CONF.parent


def test_help_lists_every_group_and_choice_that_exists():
    text = help.text(CONF)
    for group in (path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra"):
        assert f"\n  {group} " in text
        for file in (CONF / group).glob("[!_]*.yaml"):
            assert file.stem in text, file
    assert "food/v1..v9" in text and "_seed" not in text
    assert text.count("python train.py") >= 4
    assert max(map(len, text.splitlines())) <= 110


def test_a_new_choice_appears_by_itself(tmp_path):
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "hinge.yaml").write_text("type: hinge\n")
    (tmp_path / "colour").mkdir()
    assert help.group_choices(tmp_path) == {"loss": ["hinge"], "colour": []}


def test_versions_are_counted_not_spelled():
    names = ["food", "food/v1", "food/v2", "food/v10", "sage", "sage/v1"]
    assert help.folded(names) == ["food", "food/v1..v10", "sage", "sage/v1"]


def test_train_help_is_quick_and_needs_nothing():
    started = time.monotonic()
    done = subprocess.run([sys.executable, "train.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == help.text(CONF).strip() and not done.stderr
    assert time.monotonic() - started < 10  # 0.5 s on an idle machine; the rest is for a busy one


def test_the_reference_is_up_to_date():
    page = (ROOT / "docs" / "config-reference.md").read_text()
    assert page == markdown(CONF), "run `lorasweep reference`"
    for key in schema_keys().values():
        assert f"| `{key.name}` |" in page and key.doc in page


def test_the_page_on_kohya_names_keys_that_exist():
    page = (ROOT / "docs" / "coming-from-kohya.md").read_text()
    groups = {name.partition(".")[0] for name in schema_keys()}
    named = [key for key in re.findall(r"[ `]([a-z_0-9]+(?:\.[a-z_0-9]+)+)[=`]", page) if key.split(".")[0] in groups]
    assert len(set(named)) > 40 and set(named) <= set(schema_keys())


def test_the_page_on_kohya_has_every_name_that_is_answered_and_every_name_on_it_is_answered():
    page = (ROOT / "docs" / "coming-from-kohya.md").read_text()
    theirs = {name for key in schema_keys().values() for name in key.kohya}
    ours = {name.rpartition(".")[2] for name in schema_keys()}
    assert not (theirs | set(INSTEAD)) & ours, "a name of ours needs no translation"
    assert not theirs & set(INSTEAD)
    for name in theirs | set(INSTEAD):
        assert re.search(rf"\b{name}\b", page), f"docs/coming-from-kohya.md lacks {name}"
    # In the first columns of its tables. The rest are values, and a dataset's attributes.
    cells = [row.partition("|")[0] for row in re.findall(r"^\|(.*)", page, re.MULTILINE)]
    codes = re.findall(r"`([^`]+)`", " ".join(cells))
    named = {name for code in codes for name in re.findall(r"(?<![\w.=/-])[a-z][a-z0-9_]*(?![\w./-])", code)}
    assert named - theirs - set(INSTEAD) - ours == {
        "accelerate", "launch", "lokr", "boft", "optimizer", "custom_attributes"
    }  # fmt: skip


def test_the_page_on_kohya_counts_steps_as_the_program_does():
    page = (ROOT / "docs" / "coming-from-kohya.md").read_text()
    rows = [row.split("|") for row in re.findall(r"^\| \w+ v\d.*", page, re.MULTILINE)]
    assert len(rows) == 10
    for _, _, how, steps, _ in rows:
        counts = [tuple(map(int, count)) for count in re.findall(r"(\d+) x (\d+) x (\d+) / (\d)", how)]
        told = [int(number.replace(",", "")) for number in steps.split(", ")]
        computed = [steps_of(images, repeats, batch, epochs) for images, repeats, epochs, batch in counts]
        assert list(dict.fromkeys(computed)) == told


def test_the_readme_lists_every_choice_of_every_group() -> None:
    readme = (CONF.parent / "README.md").read_text()
    for group, found in help.group_choices(CONF).items():
        (row,) = [line for line in readme.splitlines() if line.startswith(f"| `{group}` |")]
        for choice in found:
            assert f"`{choice}`" in row or "/" in choice, f"README's table of groups lacks {group}={choice}"
