"""The verbs of `lorasweep`."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from lorasweep.app.reference import markdown
from lorasweep.commands.cli import main
from lorasweep.compose.composition import CONF
from lorasweep.data.providers import provider


def test_themes_are_drawn_at_the_size_asked_for(tmp_path, capsys):
    assert main(["themes", str(tmp_path), "--resolution", "96", "--theme", "fuzzybear"]) == 0
    images = sorted((tmp_path / "fuzzybear").glob("*.png"))
    assert len(images) == 8 and {Image.open(image).size for image in images} == {(96, 96)}
    captions = [image.with_suffix(".txt").read_text() for image in images]
    assert all(caption.startswith("fortnite_fuzzy_bear_character, nice_hands, ") for caption in captions)
    assert capsys.readouterr().out == f"fuzzybear: 8 images in {tmp_path / 'fuzzybear'}\n"
    assert main(["themes", str(tmp_path), "--resolution", "4"]) == 2


def test_themes_go_on_beyond_their_training_sets(tmp_path, capsys):
    wide = ["--resolution", "96x64", "--count", "2", "--start", "8"]
    assert main(["themes", str(tmp_path), "--theme", "fuzzybear", "--theme", "robots", *wide]) == 0
    folders = [tmp_path / "fuzzybear", tmp_path / "robots"]
    assert [len(list(folder.glob("*.txt"))) for folder in folders] == [2, 2]
    assert Image.open(folders[0] / "002.png").size == (96, 64)
    expected = provider("fuzzybear").draw(1, size=(96, 64), start=9)[0]
    assert (folders[0] / "002.txt").read_text() == expected.caption + "\n"
    for wrong in (["--count", "0"], ["--start", "-1"]):
        assert main(["themes", str(tmp_path), *wrong]) == 2
    with pytest.raises(SystemExit):
        main(["themes", str(tmp_path), "--resolution", "big"])
    assert "neither a number nor WIDTHxHEIGHT" in capsys.readouterr().err


def test_reference_writes_the_page(tmp_path):
    page = tmp_path / "reference.md"
    assert main(["reference", "-o", str(page)]) == 0
    assert page.read_text() == markdown(CONF)


def test_without_a_checkout_the_reference_is_printed_and_no_folder_made(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["reference"]) == 0
    assert capsys.readouterr().out == markdown(CONF) and not list(tmp_path.iterdir())
    assert "| `network.rank` |" in markdown(tmp_path / "conf"), "the keys, where no groups are installed"


def test_recipe_prints_or_writes_and_says_what_is_wrong_with_a_file(tmp_path, capsys, monkeypatch):
    def recipe_from_file(path, saved):
        return f"# from {path.name}\n# On any base: python train.py lora={saved and saved.stem}\n"

    monkeypatch.setattr("lorasweep.export.recipe.recipe_from_file", recipe_from_file)
    assert main(["recipe", "a.safetensors"]) == 0
    assert capsys.readouterr().out == "# from a.safetensors\n# On any base: python train.py lora=None\n"
    out = tmp_path / "sage.yaml"
    assert main(["recipe", "a.safetensors", "-o", str(out)]) == 0
    assert out.read_text() == "# from a.safetensors\n# On any base: python train.py lora=sage\n"
    assert capsys.readouterr().out.endswith("\nOn any base: python train.py lora=sage\n")
    assert main(["recipe", "a.safetensors", "-o", str(out)]) == 0  # the same once more
    assert main(["recipe", "b.safetensors", "-o", str(out)]) == 2
    assert "sage.yaml has other content" in capsys.readouterr().err and out.read_text().startswith("# from a.")
    out.unlink()
    assert main(["recipe", "b.safetensors", "-o", str(out)]) == 0
    monkeypatch.undo()
    missing = Path(tmp_path / "missing.safetensors")
    capsys.readouterr()
    assert main(["recipe", str(missing)]) == 2
    assert "missing.safetensors" in capsys.readouterr().err


def test_a_verb_is_required():
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2


@pytest.fixture
def studies(tmp_path) -> Path:
    """Two studies below a folder of versions: `bear` with finals, `food` with two objectives."""
    import optuna
    from optuna.trial import TrialState, create_trial

    from lorasweep.search.storage import journal_url, open_storage

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for name, directions in (("bear", ["minimize"]), ("food", ["minimize", "maximize"])):
        folder = tmp_path / "studies" / name
        storage = open_storage(journal_url(folder / "journal.log"))
        study = optuna.create_study(study_name=name, storage=storage, directions=directions)
        study.set_user_attr("folder", str(folder))
        for number, values in enumerate(([0.5, 0.1], [0.4, 0.3])):
            noted = {"version": f"Bear v{number + 6}", "folder": f"outputs/bear/v{number + 6}", "seconds": 21.0}
            noted["command"] = f"python train.py network.rank={number}"
            study.add_trial(create_trial(values=values[: len(directions)], user_attrs=noted))
        study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"reason": "the loss is NaN"}))
        if name == "bear":
            (folder / "artifacts").mkdir()
            finals = optuna.create_study(study_name="bear:finals", storage=storage)
            finals.add_trial(create_trial(value=0.5, user_attrs={"of": 1, "stage": "repeat"}))
    return tmp_path


def test_a_study_is_shown_with_its_best_version_and_what_to_do_next(studies, capsys, monkeypatch):
    monkeypatch.chdir(studies)
    assert main(["study", "bear", "--output-root", "."]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split()) for line in lines[:4]] == [
        "trial version state value n time",
        "1 1 Bear v7 complete 0.4500 ± 0.071 2 21 s",
        "2 0 Bear v6 complete 0.5000 1 21 s",
        "2 failed 0.0 s the loss is NaN",
    ]
    assert lines[-3:] == [
        "  best       Bear v7 in outputs/bear/v7",
        "  again      python train.py network.rank=1",
        "  dashboard  optuna-dashboard studies/bear/journal.log --artifact-dir studies/bear/artifacts",
    ]


def test_a_study_says_how_its_best_version_is_trained_for_longer(studies, capsys, monkeypatch):
    monkeypatch.chdir(studies)
    folder = studies / "outputs" / "bear" / "v7"
    folder.mkdir(parents=True)
    training = {"epochs": 6, "max_steps": None}
    record = {"name": "Bear", "recipe": "", "version": 7, "config": {"training": training}}
    (folder / "record.json").write_text(json.dumps(record))
    (folder / "state").mkdir()
    (folder / "state" / "step-00000009.safetensors").touch()
    assert main(["study", "bear", "--output-root", "."]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("  continue "))
    assert line.split()[1:] == ["python", "train.py", "lora=custom", "name=Bear", "resume=v7", "training.epochs=12"]


def test_a_study_as_json_and_csv_for_programs(studies, capsys):
    assert main(["study", "bear", "--output-root", str(studies), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["study"] == "bear" and [trial["number"] for trial in found["trials"]] == [1, 0, 2]
    assert set(found["trials"][0]) == {"number", "version", "state", "values", "params", "seconds", "reason"}
    assert main(["study", "food", "--output-root", str(studies), "--csv", "--top", "1"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(line["number"], line["value_0"], line["pareto"]) for line in table] == [("1", "0.4", "True")]


def test_a_study_with_several_objectives_names_its_front(studies, capsys):
    assert main(["study", "food", "--output-root", str(studies)]) == 0
    out = capsys.readouterr().out
    assert "no single best trial" in out and "  trial 1    outputs/bear/v7\n" in out and "best  " not in out


def test_plots_are_drawn_where_asked_and_leave_json_alone(studies, tmp_path, capsys):
    folder = tmp_path / "plots"
    arguments = ["study", "bear", "--output-root", str(studies), "--plots", str(folder)]
    assert main([*arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["study"] == "bear"
    assert f"wrote {folder / 'history.png'}" in err and "left out slice: no parameter took two values" in err
    assert (folder / "history.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "file").touch()
    assert main([*arguments[:-1], str(tmp_path / "file" / "plots")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_error(studies):
    line = [sys.executable, "-m", "lorasweep.commands.cli", "study", "bear", "--json", "--output-root", str(studies)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        program.stdout.close()
        assert program.stderr.read() == "" and program.wait() == 0


def test_studies_are_listed(studies, capsys):
    assert main(["study", "--output-root", str(studies)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "studies",
        "  bear  3 trials (2 complete, 1 failed), best 0.4500 (Bear v7)",
        "  food  3 trials (2 complete, 1 failed), 1 on the Pareto front",
    ]


def test_a_study_in_a_storage_of_its_own(studies, tmp_path, capsys):
    url = f"journal:///{studies}/studies/food/journal.log"
    assert main(["study", "--storage", url]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("  food  3 trials")
    assert main(["study", "food", "--storage", url]) == 0
    missing = tmp_path / "none.db"
    assert main(["study", "food", "--storage", f"sqlite:////{missing}"]) == 2
    assert "does not exist" in capsys.readouterr().err and not missing.exists()


def test_a_study_that_is_not_there(studies, capsys):
    there = f"in {studies}/studies: there is bear, food; one that is kept elsewhere needs --storage URL."
    for name, said in {"baer": there + " Did you mean bear?\n", "xyz": there + "\n", "bear:finals": there}.items():
        assert main(["study", name, "--output-root", str(studies)]) == 2
        assert f"no study '{name}' {said}" in capsys.readouterr().err


def test_no_study_at_all(tmp_path, capsys):
    assert main(["study", "--output-root", str(tmp_path)]) == 2
    assert "holds no study: start one with python train.py -m hydra/sweeper=optuna" in capsys.readouterr().err
    assert main(["study", "bear", "--output-root", str(tmp_path)]) == 2
    assert "there is none" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_storage_is_served(capsys, monkeypatch):
    from lorasweep.search import storage

    served = []

    def serve(*where):
        assert capsys.readouterr().out == ""  # nothing is said before it is so
        where[-1]()
        served.append(where[:-1])

    monkeypatch.setattr(storage, "serve_storage", serve)
    assert main(["storage", "postgresql://me:secret@db/studies", "--host", "0.0.0.0", "--port", "7"]) == 0
    assert served == [("postgresql://me:secret@db/studies", "0.0.0.0", 7)]
    assert capsys.readouterr().out == ("serving postgresql://me:***@db/studies as grpc://0.0.0.0:7 (Ctrl-C ends it)\n")
    assert main(["storage", "study.log"]) == 0 and served[-1] == ("study.log", "localhost", storage.PORT)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["study.log", "--port", "70000"], "--port 70000: expected 1 to 65535"),
        (["mongodb://host/x"], "not a known form; expected one of journal:///study.log"),
        (["grpc://host:1"], "a proxy in front of a proxy"),
        (["postgresql://me:secret@127.0.0.1:1/studies"], "storage=postgresql+psycopg://me:***@127.0.0.1:1/studies: "),
    ],
)
def test_a_storage_that_cannot_be_served_is_refused_before_anything_is_said_of_serving(line, told, capsys):
    assert main(["storage", *line]) == 2
    out, err = capsys.readouterr()
    assert out == "" and told in err and "secret" not in err
    assert len(err.splitlines()) == 2  # a title and one line


def test_the_command_line_opens_without_the_heavy_libraries():
    code = (
        "import sys, lorasweep.commands.cli\n"
        "try: lorasweep.commands.cli.main(['study', '--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('optuna', 'torch', 'matplotlib', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
