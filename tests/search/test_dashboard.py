"""optuna-dashboard on a study of ours: the real program, as the command that `lorasweep study` prints starts it."""

from __future__ import annotations

import fcntl
import json
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from PIL import Image

from lorasweep.search import lookup
from lorasweep.search.storage import journal_url, open_storage

pytest.importorskip("optuna_dashboard")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A folder of versions with the study `bear`, whose one trial has a picture."""
    root = tmp_path_factory.mktemp("outputs")
    folder = root / "studies" / "bear"
    storage = open_storage(journal_url(folder / "journal.log"))
    study = optuna.create_study(study_name="bear", storage=storage)
    study.set_user_attr("folder", str(folder))
    trial = study.ask({"lr": optuna.distributions.FloatDistribution(1e-5, 1e-3, log=True)})
    trial.report(0.9, 10)
    Image.linear_gradient("L").save(root / "grid.png")
    (folder / "artifacts").mkdir()
    store = FileSystemArtifactStore(folder / "artifacts")
    upload_artifact(artifact_store=store, file_path=str(root / "grid.png"), study_or_trial=trial)
    study.tell(trial, 0.5)
    return root


@pytest.fixture(scope="module")
def address(root) -> Iterator[str]:
    """The dashboard, running; `http://…`."""
    command = shlex.split(lookup.find_study("bear", root).dashboard())
    assert command[0] == "optuna-dashboard" and command[2] == "--artifact-dir"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).with_name(command[0])
    log = root / "dashboard.log"
    with open(log, "wb") as out:
        arguments = [sys.executable, str(program), *command[1:], "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(arguments, stdout=out, stderr=out)
    try:
        until = time.monotonic() + 180
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < until, log.read_text()
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def get(url: str) -> tuple[int, str, bytes]:
    with urllib.request.urlopen(url, timeout=120) as answer:
        return answer.status, answer.headers.get_content_type(), answer.read()


def test_the_page_answers_and_the_study_is_listed(address):
    status, kind, body = get(f"{address}/dashboard/")
    assert status == 200 and kind == "text/html" and b"<div" in body
    status, _, body = get(f"{address}/api/studies")
    assert status == 200 and [study["study_name"] for study in json.loads(body)["study_summaries"]] == ["bear"]


def test_a_trials_picture_is_served(address, root):
    study = json.loads(get(f"{address}/api/studies")[2])["study_summaries"][0]["study_id"]
    (trial,) = json.loads(get(f"{address}/api/studies/{study}?after=0")[2])["trials"]
    (artifact,) = trial["artifacts"]
    assert artifact["filename"] == "grid.png"
    url = f"{address}/artifacts/{study}/{trial['trial_id']}/{artifact['artifact_id']}"
    assert get(url) == (200, "image/png", (root / "grid.png").read_bytes())


def test_it_reads_beside_a_sweep_that_writes_and_one_that_was_killed(address, root):
    journal = root / "studies" / "bear" / "journal.log"
    with open(journal, "ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # a writer of ours has the lock, and dies within a line
        stream.write(b'{"op_code":5,"worker')
        stream.flush()
        assert get(f"{address}/api/studies")[0] == 200
    study = optuna.load_study(study_name="bear", storage=open_storage(journal_url(journal)))  # mends it
    study.tell(study.ask(), 0.25)
    number = json.loads(get(f"{address}/api/studies")[2])["study_summaries"][0]["study_id"]
    until = time.monotonic() + 60  # it keeps what it read for some seconds
    trials = []
    while len(trials) < 2 and time.monotonic() < until:
        trials = json.loads(get(f"{address}/api/studies/{number}?after=0")[2])["trials"]
        time.sleep(0.2)
    assert [trial["state"] for trial in trials] == ["Complete", "Complete"]


def test_a_note_made_there_is_kept_in_our_journal(address, root):
    number = json.loads(get(f"{address}/api/studies")[2])["study_summaries"][0]["study_id"]
    body = json.dumps({"body": "the bear is brown at last", "version": 1}).encode()
    request = urllib.request.Request(f"{address}/api/studies/{number}/note", body, method="PUT")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=120) as answer:
        assert answer.status == 204
    study = lookup.find_study("bear", root).study
    noted = study._storage.get_study_system_attrs(study._study_id)
    assert "the bear is brown at last" in noted.values()
