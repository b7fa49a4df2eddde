"""What is said of the data before anything is trained; each cure that it offers is applied, and the finding is gone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from lorasweep.checks import check
from lorasweep.compose.composition import load_config
from lorasweep.data.report import Case, Finding, Report
from lorasweep.data.survey import Survey, survey
from lorasweep.errors import UserError
from lorasweep.schema import Config

Say = Callable[[], str]


@pytest.fixture
def folder(config: Config) -> Path:
    return Path(config.dataset.path or "")


@pytest.fixture
def bears(folder: Path, draw, config: Config) -> Path:
    """Four pictures captioned with the trigger."""
    config.dataset.trigger = "sage_c"
    for number in range(4):
        draw(folder / f"{number}.png", 20 + number, caption=f"sage_c, number {number}")
    return folder


@pytest.fixture
def said(config: Config) -> Say:
    """Return all lines of the survey of `config`."""
    return lambda: "\n".join(survey(config, keep=False).report.lines())


def warnings(config: Config) -> list[Finding]:
    return survey(config, keep=False).report.warnings


def apply(config: Config, cure: str) -> None:
    """Set the first `key=value` of a cure, as it is typed in a shell; the checks of a command line take it."""
    found = re.search(r"set ('[^']*'|\S+=\S+?)(,|$| )", cure)
    assert found is not None, cure
    (text,) = shlex.split(found[1])
    key, value = text.removeprefix("dataset.").split("=", 1)
    known = getattr(config.dataset, key)
    kind = type(known) if known is not None else str
    setattr(config.dataset, key, value == "true" if kind is bool else kind(value.strip('"')))
    assert not [problem for problem in check(config) if f"dataset.{key}" in problem.keys]


def test_facts_stand_by_subject_and_warnings_are_marked():
    many = tuple(Case(f"{number}.png", f"{number} tokens") for number in range(9))
    report = Report(
        (
            Finding("images", "9 images"),
            Finding("captions", "9 captions too long", many, "shorten them"),
            Finding("captions", "9 from files"),
            Finding("images", "all square"),
        )
    )
    assert report.lines() == [
        "  images    9 images",
        "            all square",
        "  captions  9 from files",
        "warning: 9 captions too long: 0.png (0 tokens), 1.png (1 tokens), 2.png (2 tokens) and 6 more; shorten them",
    ]


def test_a_good_folder_has_no_warnings(bears, said):
    assert said().splitlines() == [
        "  images    4 images, 1 repeat",
        "  held out  0 of 4 images held out to measure the loss (dataset.holdout)",
        "  sizes     1 bucket: 64 x 64 (4 images)",
        "  captions  4 from .txt files",
        "            9 tokens in the longest, of at most 75: 0.txt",
    ]


def test_nothing_is_written_and_nothing_changed(bears, config, tmp_path):
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in bears.iterdir()}
    survey(config, keep=False)
    assert not Path(config.output_root).exists()
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in bears.iterdir()} == before


def test_samples_of_earlier_versions_are_no_images(bears, draw, config, said):
    config.output_root = str(bears / "outputs")
    draw(bears / "outputs" / "sage" / "v1" / "samples" / "000001_00.png", 99, caption=None)
    assert "4 images, 1 repeat" in said()


def test_folders_repeats_and_where_they_are_from(folder, draw, config, said):
    draw(folder / "10_bear" / "a.png", 1, caption=None)
    draw(folder / "10_bear" / "b.png", 2, caption=None)
    draw(folder / "plain" / "c.png", 3)
    text = said()
    assert "3 images in 2 folders: 10_bear (2 images, 10 repeats, from its name), plain (1 image, 1 repeat)" in text
    assert '1 from .txt files; 2 from the name of 10_bear: "bear"' in text
    config.dataset.repeats = 7
    assert "10_bear (2 images, 7 repeats, from dataset.repeats (its name says 10))" in said()


def test_images_without_the_caption_file_that_others_have(folder, draw, config, said):
    draw(folder / "10_bear" / "a.png", 1)
    draw(folder / "10_bear" / "b.png", 2, caption=None)
    (warning,) = warnings(config)
    assert str(warning) == (
        '1 image of 10_bear without a .txt file, trained as "bear", the folder\'s name: 10_bear/b.png; describe '
        "them as the others are"
    )
    (folder / "10_bear" / "b.txt").write_text("a hat")
    assert not warnings(config)


def test_texts_of_an_unknown_extension_beside_images_that_the_folder_captions(folder, draw, config):
    for name in ("a", "b", "c"):
        draw(folder / "10_bear" / f"{name}.png", ord(name), caption=None)
        (folder / "10_bear" / f"{name}.wd14").write_text("a bear, a hat")
    (warning,) = warnings(config)
    assert str(warning).startswith("files named after images (.wd14) (3): 10_bear/a.wd14, 10_bear/b.wd14, ")
    apply(config, warning.cure)
    assert not warnings(config) and survey(config, keep=False).training[0].caption == "a bear, a hat"


def test_captions_that_are_too_long(bears, draw, config, folder, said):
    long = "sage_c, " + ", ".join(f"tag {number}" for number in range(30))
    draw(folder / "a.png", 1, caption=long)
    (warning,) = warnings(config)
    assert str(warning) == "1 caption of more than 75 tokens, of which the rest is cut off: a.txt (145 tokens); set " \
        "dataset.max_tokens=150"  # fmt: skip
    lost = re.search(r"(\d+) tags not trained where captions are cut off: tag (\d+) \(1 caption\)", said())
    assert lost is not None and int(lost[1]) == 30 - int(lost[2]) > 0, "the rest, from the first that is cut"
    config.dataset.caption_suffix = ", at night"
    assert any("dataset.caption_suffix is cut off" in str(warning) for warning in warnings(config))
    apply(config, warning.cure)
    assert config.dataset.max_tokens == 150 and not warnings(config)


def test_captions_that_are_too_long_for_any_setting(bears, draw, config, folder):
    for name, count in (("a", 400), ("b", 638)):
        draw(folder / f"{name}.png", ord(name), caption="sage_c " + "in " * count)
    (warning,) = [found for found in warnings(config) if "tokens" in found.text]
    assert [case.name for case in warning.cases] == ["b.txt", "a.txt"], "the longest first"
    assert warning.cure == "set dataset.max_tokens=225, put what counts first, and shorten them to 225 tokens"
    apply(config, warning.cure)
    (warning,) = [found for found in warnings(config) if "tokens" in found.text]
    assert warning.cure == "put what counts first, and shorten them to 225 tokens"


def test_long_prompts(bears, config):
    config.sampling.prompts = ["a bear", "{trigger} " + "in " * 80]
    (warning,) = warnings(config)
    assert '1 prompt of sampling longer than 75 tokens, cut off there: "sage_c in in' in str(warning)
    apply(config, warning.cure)
    assert not warnings(config)


def test_a_long_negative_prompt_and_the_syntax_of_other_programs(bears, config):
    config.sampling.prompts = ["(sage_c:1.2)", "sage_c"]
    config.sampling.negative_prompt = "bad " * 80
    syntax, long = map(str, warnings(config))
    assert syntax.startswith('1 prompt of sampling with a syntax that is read letter by letter here: "(sage_c:1.2)"')
    assert "1 prompt of sampling longer than 75 tokens" in long and "(80 tokens)" in long


@pytest.mark.parametrize(
    "settings", [{"shuffle_tags": True}, {"tag_dropout": 0.1}, {"shuffle_tags": True, "tag_dropout": 0.1}]
)
def test_tags_to_shuffle_or_drop_that_are_not_there(bears, config, settings):
    vars(config.dataset).update(settings)
    assert not warnings(config)
    config.dataset.keep_tokens = 1
    (warning,) = warnings(config)
    assert warning.text == 'no caption has two tags beyond dataset.keep_tokens=1, parted by ",", to shuffle or drop'
    config.dataset.keep_tokens = 0
    for number in range(4):
        (bears / f"{number}.txt").write_text("sage_c; a hat")
    (warning,) = warnings(config)
    assert warning.text == 'no caption has two tags, parted by ",", to shuffle or drop'
    config.dataset.caption_separator = ";"
    assert not warnings(config)
    config.dataset.caption_separator = ","
    for setting in re.findall(r"dataset\.(\w+=(?:false|0))", warning.cure):
        key, _, value = setting.partition("=")
        setattr(config.dataset, key, {"false": False, "0": 0.0}[value])
    assert not warnings(config)


@pytest.mark.parametrize("prefix", ["", "photo of"])
def test_the_trigger_advice_leaves_one_trigger_in_every_caption(bears, config, prefix):
    (bears / "3.txt").write_text("on a shelf")
    (bears / "2.txt").write_text("a photo of sage_c in snow")
    config.dataset.caption_prefix = prefix
    (warning,) = warnings(config)
    assert '1 of 4 captions lack the trigger "sage_c": 3.txt; unless that is meant, set' in str(warning)
    apply(config, warning.cure)
    assert not warnings(config)
    captions = [item.caption for item in survey(config, keep=False).training]
    assert all(caption.count("sage_c") == 1 for caption in captions)


def test_the_cure_is_typed_as_it_is_read(composed_configs):
    (text,) = shlex.split("'dataset.caption_prefix=\"sage_c, photo of\"'")
    assert load_config(["lora=food", text]).dataset.caption_prefix == "sage_c, photo of"


def test_a_trigger_that_kohya_would_double(bears, config):
    config.dataset.caption_prefix = "drawing of sage_c,"
    assert not warnings(config)
    config.compat.literal_captions = True
    (warning,) = warnings(config)
    assert "4 captions with the trigger twice" in str(warning) and "compat.literal_captions=false" in warning.cure


def test_the_trigger_elsewhere_is_a_fact(bears, config, said):
    (bears / "2.txt").write_text("a photo of sage_c in snow")
    assert "1 caption with the trigger, but not first: 2.txt" in said() and not warnings(config)


def test_what_reading_made_of_captions(bears, config, said):
    (bears / "0.txt").write_text("sage_c\nred hat\nsnow")
    (bears / "1.txt").write_text("sage_c，snow")
    (bears / "2.txt").write_text(r"sage_c \(series\)")
    (bears / "3.txt").write_text("[trigger] in snow")
    text = said()
    assert '1 caption with several lines, joined by ",": 0.txt' in text
    assert "1 caption with full-width commas, read as commas: 1.txt" in text
    assert r"1 caption with escaped brackets, \( and \) read as ( and ), as prompts have them: 2.txt" in text
    assert '1 caption with the trigger\'s place, filled in: "sage_c": 3.txt' in text
    assert not warnings(config)
    config.compat.literal_captions = True
    told = [str(warning) for warning in warnings(config)]
    assert len(told) == 2 and any("syntax of prompts" in text and "2.txt" in text for text in told)
    assert any('captions lack the trigger "sage_c": 3.txt' in text for text in told)


def test_syntax_of_prompts(bears, config):
    (bears / "1.txt").write_text("sage_c, (fluffy:1.2)")
    (warning,) = warnings(config)
    assert "1 caption with the syntax of prompts, which is trained letter by letter: 1.txt ((fluffy:1.2))" in str(
        warning
    )
    (bears / "1.txt").write_text("sage_c, fluffy")
    assert not warnings(config)


def test_cropped_and_enlarged_images(bears, draw, config, folder, said):
    draw(folder / "strip.png", 1, (80, 1200), "sage_c")
    draw(folder / "some.png", 2, (90, 64), "sage_c")
    draw(folder / "tiny.png", 3, (20, 20), "sage_c")
    draw(folder / "small.png", 4, (40, 40), "sage_c")
    text = said()
    assert "warning: 1 image cropped by more than half: strip.png (73%)" in text
    assert (
        "warning: 1 image enlarged more than 2 times, so that what is learnt is blurred: tiny.png (3.2 times)" in text
    )
    assert "1 image enlarged, at most: small.png (1.6 times)" in text
    config.dataset.bucket_no_upscale = True
    assert "enlarged" not in said()


@pytest.mark.parametrize(
    ("size", "fault"),
    [
        ((1, 1), "is 1 x 1 and would be enlarged 64 times: find a larger copy, or delete it"),
        ((3, 3), "is 3 x 3 and would be enlarged 21 times"),
        ((1, 2000), "is 1 x 2000, a line rather than a picture: cut a part out of it or delete it"),
        ((20_000, 100), "is 20000 x 100, a line rather than a picture"),
    ],
)
def test_sizes_that_cannot_be_meant(bears, draw, config, size, fault):
    draw(bears / "odd.png", 1, size, "sage_c")
    with pytest.raises(UserError, match=f"odd.png: {re.escape(fault)}"):
        survey(config, keep=False)
    config.dataset.on_bad_file = "skip"
    assert survey(config, keep=False).images == 4


def test_buckets_of_one_image(bears, draw, config):
    draw(bears / "wide.png", 1, (128, 64), "sage_c")
    (warning,) = warnings(config)
    assert "1 bucket with a single image, whose batches hold nothing but repeats of it: wide.png (88 x 40)" in str(
        warning
    )
    apply(config, warning.cure)
    assert config.dataset.buckets is False
    assert not any("single image" in str(warning) for warning in warnings(config))
    config.dataset.buckets, config.training.batch_size = True, 1
    assert not warnings(config)


def test_moving_pictures_and_copies(bears, config):
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    frames[0].save(bears / "moving.gif", save_all=True, append_images=frames[1:])
    (bears / "moving.txt").write_text("sage_c")
    frames[0].save(bears / "still.png")
    (bears / "still.txt").write_text("sage_c")
    copies, moving = map(str, warnings(config))
    assert copies == "the same picture several times: moving.gif, still.png; delete all but one of each"
    assert moving.startswith("of 1 moving picture only the first frame is used: moving.gif")
    (bears / "moving.gif").unlink()
    (bears / "moving.txt").unlink()
    assert not warnings(config)


@pytest.mark.parametrize(
    "place", ["{}-masklabel.png", "{}_mask.png", "masks/{}.png"], ids=["OneTrainer", "beside", "folder"]
)
@pytest.mark.parametrize("inside", ["", "10_bear/"])
def test_masks_of_other_programs_are_named_and_used_where_the_cure_says(folder, draw, config, place, inside):
    for number in range(2):
        draw(folder / inside / f"{number}.png", 20 + number)
        mask = folder / inside / place.format(number)
        mask.parent.mkdir(exist_ok=True)
        half = Image.new("L", (64, 64), 255)
        half.paste(0, (0, 0, 32, 64))
        half.save(mask)
    (warning,) = warnings(config)
    assert warning.text.endswith("(2)") and "masks" in warning.text
    apply(config, warning.cure)
    seen = survey(config, keep=False)
    assert not seen.report.warnings and [item.mask and item.mask.share for item in seen.training] == [0.5, 0.5]
    assert "  masks     2 of 2 images, of which 50% counts on average" in "\n".join(seen.report.lines())


@pytest.mark.parametrize("images", ["images", "img/10_bear", "10_bear"])
@pytest.mark.parametrize("nested", [True, False])
def test_masks_in_a_folder_beside_that_of_the_images(folder, draw, config, images, nested):
    for number in range(2):
        draw(folder / images / f"{number}.png", 20 + number)
        mask = folder / "masks" / (Path(images).name if nested else "") / f"{number}.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        half = Image.new("L", (64, 64), 255)
        half.paste(0, (0, 0, 32, 64))
        half.save(mask)
    (warning,) = warnings(config)
    assert warning.text == "masks in a folder of their own (2)"
    apply(config, warning.cure)
    apply(config, "set " + warning.cure.partition(" and ")[2])
    seen = survey(config, keep=False)
    assert not seen.report.warnings and [item.mask and item.mask.share for item in seen.training] == [0.5, 0.5]


def test_masks_that_only_some_images_have(bears, draw, config):
    draw(bears / "0-masklabel.png", 255, caption=None)
    (warning,) = warnings(config)
    assert warning.cure.endswith("and give the other images masks too")


def test_masks_that_leave_next_to_nothing(bears, config, tmp_path):
    (tmp_path / "masks").mkdir()
    for number in range(4):
        mask = Image.new("L", (64, 64), 0)
        mask.paste(255, (0, 0, 64, 1 if number == 2 else 32))
        if number == 2:
            mask.paste(0, (0, 0, 63, 1))
        mask.save(tmp_path / "masks" / f"{number}.png")
    config.dataset.mask_path = str(tmp_path / "masks")
    (warning,) = warnings(config)
    assert str(warning).startswith("1 mask of which less than 1% counts: 2.png (0.024%); whiten what is to be learnt")
    Image.new("L", (64, 64), 200).save(tmp_path / "masks" / "2.png")
    assert not warnings(config)


def test_masks_that_leave_nothing_out(bears, config, tmp_path):
    (tmp_path / "masks").mkdir()
    for number in range(4):
        Image.new("L", (64, 64), 255).save(tmp_path / "masks" / f"{number}.png")
    Image.new("L", (64, 64), 255).save(tmp_path / "masks" / "gone.png")
    config.dataset.mask_path = str(tmp_path / "masks")
    seen = survey(config, keep=False)
    assert "  not used  masks without an image (1): gone.png" in "\n".join(seen.report.lines())
    (warning,) = seen.report.warnings
    assert str(warning) == "every mask is white all over, so that none changes anything; set dataset.mask_path=null"


def test_regularisation_images_do_not_learn_the_trigger(bears, draw, config, tmp_path):
    reg = tmp_path / "reg"
    config.dataset.regularisation_path = str(reg)
    draw(reg / "1_sage_c woman" / "a.png", 101, caption=None)
    draw(reg / "1_sage_c woman" / "b.png", 102, caption="a Sage_C in snow")
    with pytest.raises(UserError) as caught:
        survey(config, keep=False)
    of_file, of_name = caught.value.problems
    assert of_name.endswith("rename it to the class alone, such as 1_woman") and "1_sage_c woman: its name" in of_name
    assert of_file.endswith("write the class alone") and "b.txt: has the trigger" in of_file
    (reg / "1_sage_c woman").rename(reg / "1_woman")
    (reg / "1_woman" / "b.txt").write_text("a woman in snow")
    seen = survey(config, keep=False)
    assert {item.caption for item in seen.regularisation} == {"woman", "a woman in snow"}
    assert "  regularisation  2 images, 1 repeat" in "\n".join(seen.report.lines())


def test_flat_regularisation_images_are_told_a_name_that_works(bears, draw, config, tmp_path):
    reg = tmp_path / "reg"
    config.dataset.regularisation_path = str(reg)
    image = draw(reg / "a.png", 101, caption=None)
    with pytest.raises(UserError, match=r"as kohya does \(1_woman: the class, without the trigger\)"):
        survey(config, keep=False)
    (reg / "1_woman").mkdir()
    image.rename(reg / "1_woman" / "a.png")
    assert [item.caption for item in survey(config, keep=False).regularisation] == ["woman"]


def test_a_folder_of_regularisation_images_among_the_training_images(bears, draw, config):
    draw(bears / "reg" / "1_woman" / "a.png", 101, caption=None)
    config.dataset.trigger = ""
    (warning,) = warnings(config)
    assert "the images in reg are trained as all others, though its name says regularisation" in str(warning)
    apply(config, warning.cure)
    seen = survey(config, keep=False)
    assert len(seen.training) == 4 and len(seen.regularisation) == 1 and not seen.report.warnings


def test_a_vocabulary_that_cannot_be_had_is_told(bears, config, monkeypatch):
    def unreachable(*_, **__):
        raise UserError("base_model.path=a/b: there is no network")

    monkeypatch.setattr("lorasweep.families.hub.snapshot", unreachable)
    config.base_model.path = "a/b"
    (warning,) = warnings(config)
    assert str(warning) == "not counted in tokens; base_model.path=a/b: there is no network"
    assert not any("in the longest" in line for line in survey(config, keep=False).report.lines())


def test_a_survey_is_quick_to_load():
    import subprocess
    import sys

    code = "import sys, lorasweep.app.preview; print(*{'torch', 'transformers', 'diffusers'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_survey_is_of_those_roles_that_train(bears, draw, config):
    config.dataset.holdout = 0.25
    seen: Survey = survey(config, keep=False)
    assert (len(seen.training), len(seen.heldout), seen.images) == (3, 1, 4)
    assert "1 of 4 images held out to measure the loss (dataset.holdout)" in "\n".join(seen.report.lines())
