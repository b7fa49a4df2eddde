"""`lorasweep clean`: what it would remove, that it removes nothing else, and nothing before it is told to."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from lorasweep import files
from lorasweep.commands.cli import main
from lorasweep.runs import ledger, lock
from lorasweep.runs.record import Record
from lorasweep.search.storage import journal_url, open_storage


def version(root: Path, number: int, status: str = "complete", *, epochs: int = 4, **more: Any) -> Path:
    """A version with a weights file of 1000 bytes per epoch, the second one selected, and a state of 5000."""
    folder = root / "bear" / f"v{number}"
    named = [f"Bear_v{number}-{epoch:06d}.safetensors" for epoch in range(1, epochs + 1)]
    for name in named:
        files.write_atomic(folder / name, b"w" * 1000)
    files.link_or_copy(folder / named[1], folder / f"Bear_v{number}.safetensors")
    files.write_atomic(folder / "state" / "step-00000009.safetensors", b"s" * 5000)
    files.write_atomic(folder / "samples" / "000001_00.png", b"p")
    values = {
        "name": "Bear", "version": number, "status": status, "selected_epoch": 2,
        "epochs": [{"epoch": epoch, "step": epoch, "file": name, "metrics": {}} for epoch, name in enumerate(named, 1)],
    }  # fmt: skip
    files.write_json(folder / "record.json", values | more)
    return folder


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def clean(root: Path, *arguments: str, code: int = 0) -> None:
    assert main(["clean", *arguments, "--output-root", str(root)]) == code


def test_it_says_first_what_would_go_and_removes_it_only_when_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = version(tmp_path, 6)
    files.write_atomic(folder / "Bear_v6-000009.safetensors", b"w" * 1000)  # of no epoch of the record
    (folder / ".Bear_v6-000004.safetensors.ab12cd34.tmp").write_bytes(b"t" * 100)
    before = content(tmp_path)
    clean(tmp_path)
    printed = capsys.readouterr().out
    assert f"{folder}: 3 weights files of epochs, the state, what a killed process left, 8.1 kB" in printed
    assert "8.1 kB would be freed; nothing is removed yet" in printed
    assert content(tmp_path) == before
    clean(tmp_path, "--yes")
    assert "removed 8.1 kB" in capsys.readouterr().out
    after = content(tmp_path)
    freed = sum(len(before[name]) for name in before.keys() - after.keys())
    assert freed == 8100, "what was announced"
    gone = {Path(name).name for name in before.keys() - after.keys()}
    assert gone == {
        "Bear_v6-000001.safetensors", "Bear_v6-000003.safetensors", "Bear_v6-000009.safetensors",
        "step-00000009.safetensors", ".Bear_v6-000004.safetensors.ab12cd34.tmp",
    }  # fmt: skip
    record = json.loads((folder / "record.json").read_text())
    assert [bool(entry["file"]) for entry in record["epochs"]] == [False, True, False, True]
    clean(tmp_path, "--yes")
    assert capsys.readouterr().out == "removed 0 B\n"
    clean(tmp_path)
    assert capsys.readouterr().out == "nothing can go\n"


@pytest.mark.parametrize(
    ("options", "left", "state"),
    [
        (["--keep-epochs", "0"], {2}, False),
        (["--keep-epochs", "2"], {2, 3, 4}, False),
        (["--keep-epochs", "9", "--keep-states"], {1, 2, 3, 4}, True),
    ],
)
def test_more_can_be_kept(tmp_path: Path, options: list[str], left: set[int], state: bool) -> None:
    folder = version(tmp_path, 6)
    clean(tmp_path, "--yes", *options)
    assert {int(path.stem[-6:]) for path in folder.glob("*-*.safetensors")} == left
    assert (folder / "state" / "step-00000009.safetensors").exists() == state
    assert (folder / "Bear_v6.safetensors").exists()


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_what_can_be_resumed_is_left_alone(tmp_path: Path, status: str, capsys: pytest.CaptureFixture[str]) -> None:
    version(tmp_path, 6, status)
    before = content(tmp_path)
    clean(tmp_path, "--yes")
    assert content(tmp_path) == before
    assert "left alone, it has not ended: it can be resumed" in capsys.readouterr().out


def test_what_is_being_trained_is_left_alone_also_where_it_was_taken_up_after_the_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = version(tmp_path, 6)
    before = content(tmp_path)
    with lock.take(folder):
        clean(tmp_path, "--yes")
        assert "left alone, it is being trained" in capsys.readouterr().out
        monkeypatch.setattr(lock, "is_locked", lambda folder: False)
        clean(tmp_path, "--yes")
        assert "left alone, it is being trained, or was in the meantime" in capsys.readouterr().out
    after = content(tmp_path)
    assert {name for name in before if before[name] != after.get(name)} == set()


def test_what_was_gone_on_with_between_the_look_and_the_removal_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its best epoch is another one by then: one that the look had given away."""
    folder = version(tmp_path, 6)
    take = lock.take

    def late(place: Path) -> Any:
        record = Record.read(folder)
        record.selected_epoch = 3
        record.write()
        return take(place)

    monkeypatch.setattr(lock, "take", late)
    clean(tmp_path, "--yes")
    assert len(list(folder.glob("*-*.safetensors"))) == 4


def test_what_is_not_its_own_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = version(tmp_path, 6)
    elsewhere = tmp_path / "mine.safetensors"
    elsewhere.write_bytes(b"m" * 9000)
    (folder / "Bear_v6-000001.safetensors").unlink()
    (folder / "Bear_v6-000001.safetensors").symlink_to(elsewhere)
    mine = [
        folder / name
        for name in (
            "Bear_v6-best.safetensors", "Bear_v6-000003 (copy).safetensors", "Bear_v60-000001.safetensors",
            "Other_v6-000001.safetensors", "Bear_v6-000001.ckpt", ".mine.tmp", ".vimrc.backup.tmp", "notes.tmp",
            "state/notes.txt", "state/mine.safetensors", "samples/000001_00_better.png", "Bear_v6_diffusers/unet.ckpt",
            "../notes/Bear_v6-000001.safetensors", "../step-1.safetensors",
        )
    ]  # fmt: skip
    for path in mine:
        files.write_atomic(path, b"mine")
    clean(tmp_path, "--json")
    assert json.loads(capsys.readouterr().out)[0]["bytes"] < 7000, "a link's target is not freed"
    clean(tmp_path, "--yes")
    assert all(path.read_bytes() == b"mine" for path in mine) and elsewhere.stat().st_size == 9000
    left = {path.name for path in folder.iterdir() if "-0" in path.name} - {path.name for path in mine}
    assert left == {"Bear_v6-000002.safetensors", "Bear_v6-000004.safetensors"}


@pytest.mark.parametrize("operations", range(6))
def test_killed_between_any_two_removals_it_is_whole_and_the_next_clean_ends_it(
    operations: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = version(tmp_path, 6)
    files.write_atomic(folder / "Bear_v6-000009.safetensors", b"w" * 1000)
    (folder / "samples" / ".000002_00.png.ab12cd34.tmp").write_bytes(b"t")
    done = 0

    def counted(action: Any) -> Any:
        def act(*arguments: Any, **options: Any) -> None:
            nonlocal done
            if done == operations:
                raise KeyboardInterrupt  # what a kill looks like from inside
            done += 1
            action(*arguments, **options)

        return act

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", counted(Path.unlink))
        patch.setattr(files, "write_json", counted(files.write_json))
        with pytest.raises(KeyboardInterrupt):
            main(["clean", "--yes", "--output-root", str(tmp_path)])
    record = json.loads((folder / "record.json").read_text())
    assert all((folder / entry["file"]).exists() for entry in record["epochs"] if entry["file"])
    assert (folder / "Bear_v6.safetensors").read_bytes() == b"w" * 1000
    clean(tmp_path, "--yes")
    capsys.readouterr()
    clean(tmp_path)
    assert capsys.readouterr().out == "nothing can go\n"
    assert {path.name for path in folder.glob("*-*.safetensors")} == {
        "Bear_v6-000002.safetensors", "Bear_v6-000004.safetensors",
    }  # fmt: skip


def test_what_another_version_went_on_from_can_go_once_that_one_has_ended(tmp_path: Path) -> None:
    first = version(tmp_path, 6, "interrupted")
    second = version(tmp_path, 7, "interrupted", continued_from={"version": 6, "step": 4})
    clean(tmp_path, "--yes")
    assert (first / "state" / "step-00000009.safetensors").exists()
    version(tmp_path, 8, "complete", continued_from={"version": 7, "step": 4})
    clean(tmp_path, "--yes")
    assert not list(first.glob("state/step*")) and not list(second.glob("state/step*"))
    assert (first / "Bear_v6.safetensors").exists() and (second / "record.json").exists()


def test_a_circle_of_versions_that_went_on_from_each_other_ends(tmp_path: Path) -> None:
    version(tmp_path, 6, continued_from={"version": 7, "step": 4})
    version(tmp_path, 7, continued_from={"version": 6, "step": 4})
    clean(tmp_path, "--yes")


def test_what_a_study_may_still_go_on_with_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    storage = open_storage(journal_url(tmp_path / "studies" / "search" / "journal.log"))
    study = optuna.create_study(study_name="search", storage=storage)
    for state in (TrialState.COMPLETE, TrialState.RUNNING, TrialState.FAIL, TrialState.FAIL, TrialState.PRUNED):
        study.add_trial(create_trial(state=state, value=0.5 if state == TrialState.COMPLETE else None))
    study.add_trial(create_trial(state=TrialState.WAITING, user_attrs={"retry_of": 3}))  # 5
    study.add_trial(create_trial(state=TrialState.FAIL))
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"retry_of": 6}))
    study.add_trial(create_trial(state=TrialState.COMPLETE, value=0.5, user_attrs={"retry_of": 7}))
    folders = {
        # Killed between the end of the training and the study's hearing of it: 1 is complete, but not told.
        number: version(tmp_path, 6 + number, "complete", trial={"study": "search", "number": number})
        for number in (0, 1, 2, 3, 4, 6, 7, 8)
    }
    clean(tmp_path, "search", "--yes")
    kept = {number for number, folder in folders.items() if list(folder.glob("state/step*"))}
    assert kept == {1, 2, 3}, "running, failed without a follower, failed with one that has not begun"
    assert capsys.readouterr().out.count("study search may go on with it") == 3
    elsewhere = version(tmp_path, 20, trial={"study": "far", "number": 0})
    clean(tmp_path, "far", "--yes")
    assert list(elsewhere.glob("state/step*")) and "--storage URL" in capsys.readouterr().out


def test_versions_are_chosen_by_lora_or_study_and_a_wrong_name_is_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version(tmp_path, 6)
    clean(tmp_path, "bear", "--json")
    (found,) = json.loads(capsys.readouterr().out)
    assert found["bytes"] == 7000 and len(found["files"]) == 3 and not found["removed"] and found["left"] is None
    clean(tmp_path, "Bearr", code=2)
    assert "there is Bear; did you mean Bear?" in capsys.readouterr().err
    clean(tmp_path, "--keep-epochs", "-1", code=2)
    clean(tmp_path / "none", code=2)
    clean(tmp_path, "bear", "--json", "--yes")
    assert json.loads(capsys.readouterr().out)[0]["removed"]


def test_bytes_that_another_name_holds_are_not_promised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = version(tmp_path, 6)
    os.link(folder / "Bear_v6-000001.safetensors", tmp_path / "mine.safetensors")
    clean(tmp_path, "--json")
    assert json.loads(capsys.readouterr().out)[0]["bytes"] == 6000
    assert ledger.versions(tmp_path)
