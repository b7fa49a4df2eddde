"""What W&B wrote offline, read with its own `wandb leet inspect`, and how it gets offline."""

import dataclasses
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import wandb
from PIL import Image

from lorasweep.runs import paths
from lorasweep.runs.record import Epoch, MetricsRecord, Record
from lorasweep.schema import Config
from lorasweep.schema.measures import METRICS
from lorasweep.tracking import open_trackers
from lorasweep.tracking.sample_table import _shortened
from lorasweep.tracking.tracker import Tracked
from lorasweep.tracking.wandb import log_page, mark_best, open_wandb
from lorasweep.tracking.wandb_server import reachable


@pytest.fixture(autouse=True)
def nobody_is_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No key and no settings of the person who runs the tests; W&B reads its surroundings afresh."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "settings"))
    wandb.teardown()
    yield
    wandb.teardown()


def config(mode: str = "auto") -> Config:
    values = Config(name="FuzzyBear", recipe="fuzzybear/v5")
    values.network.rank = 12
    values.tracker.tensorboard = False
    values.tracker.wandb.mode = mode
    values.tracker.wandb.tags = ["paper", "x" * 100]
    return values


def folder_in(tmp_path: Path) -> Path:
    folder = tmp_path / "v6"
    folder.mkdir()
    return folder


def parts(folder: Path) -> list[Path]:
    return sorted((folder / "wandb").glob("offline-run-*"))


def inspect(part: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the records of an offline run by type, as W&B's own reader prints them."""
    command = [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", "--json", str(part)]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    records: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in output.splitlines():
        record = json.loads(line)
        records[record["type"]].append(record[record["type"]])
    return records


def test_everything_of_a_version_is_in_the_offline_run(tmp_path, capfd):
    folder, lines = folder_in(tmp_path), []
    (folder / "FuzzyBear_v6.safetensors").write_bytes(b"weights")
    Image.new("RGB", (64, 48), "red").save(folder / "sample.png")
    trackers = open_trackers(Tracked(config(), folder, 6, print_line=lines.append, resumed_step=None))
    trackers.metrics({"train/loss": 0.5, "train/lr_unet": 1e-4, "epoch": 1}, 20)
    trackers.metrics({"val/loss_ratio": 0.7, "image/fidelity": 0.6, "time/seconds_per_step": 0.04, "epoch": 2}, 40)
    trackers.images({"samples/0 sks bear, 100 % fuzzy": folder / "sample.png"}, 40)
    trackers.weights(folder / "FuzzyBear_v6.safetensors", ["v6", "latest", "best"], {"rank": 12, "epoch": 2})
    trackers.finish("pruned", {"val/loss_ratio": 0.65})

    (part,) = parts(folder)
    records = inspect(part)
    run = records["run"][-1]
    assert (run["project"], run["run_group"], run["job_type"]) == ("lorasweep", "FuzzyBear", "train")
    assert run["display_name"] == "FuzzyBear v6"
    assert run["tags"] == ["fuzzybear", "fuzzybear/v5", "toy", "rank 12", "paper", "x" * 64, "pruned"]
    logged = run["config"]["update"]
    assert logged["network"]["rank"] == 12
    assert logged["tracker"]["wandb"]["project"] == "lorasweep"
    assert logged["seed"] == 42 and logged["optimizer"]["lr"] == 1e-4

    items = [item["item"] for item in records["history"]]
    assert [item["step"] for item in items] == [20, 40, 40]
    assert (items[0]["train/loss"], items[0]["epoch"]) == (0.5, 1)
    assert (items[1]["val/loss_ratio"], items[1]["time/seconds_per_step"]) == (0.7, 0.04)
    assert items[2]["samples/0.caption"] == "sks bear, 100 % fuzzy"
    assert (items[2]["samples/0.width"], items[2]["samples/0.height"]) == (64, 48)
    assert (part / "files" / items[2]["samples/0.path"]).read_bytes() == (folder / "sample.png").read_bytes()
    against_step = {m.get("glob_name") or m["name"] for m in records["metric"] if m.get("step_metric") == "step"}
    assert against_step > {"train/*", "val/*", "image/*", "time/*", *METRICS} and "samples/*" not in against_step
    assert {m["step_metric"] for m in records["metric"] if m.get("glob_name") == "samples/*"} == {"epoch"}
    assert items[2]["epoch"] == 2  # which media are moved by
    better = {m["name"]: m["summary"] for m in records["metric"] if m.get("summary")}
    assert better == {name: {METRICS[name].direction[:3]: True} for name in METRICS}

    (artifact,) = records["artifact"]
    assert (artifact["name"], artifact["type"]) == ("fuzzybear", "model")
    # Not v6: W&B counts versions as v0, v1, ... itself, and its client refuses two aliases of that form.
    assert set(artifact["aliases"]) == {"fuzzybear-v6", "latest", "best"}
    assert json.loads(artifact["metadata"]) == {"rank": 12, "epoch": 2}
    (entry,) = artifact["manifest"]["contents"]
    # Read where it lies: no copy of every version's weights in the home folder.
    assert entry["path"] == "FuzzyBear_v6.safetensors"
    assert Path(entry["local_path"]) == folder / "FuzzyBear_v6.safetensors"

    summary = {key: value for update in records["summary"] for key, value in update["update"].items()}
    assert (summary["val/loss_ratio"], summary["status"]) == (0.65, "pruned")
    assert records["exit"] == [{"exit_code": 0}] or records["exit"][0]["exit_code"] == 0

    assert len(lines) == 1, lines
    assert "no API key" in lines[0]
    command = lines[0].split("Upload it later with: ")[1]
    listed = subprocess.run(f"ls -d {command.removeprefix('wandb sync ')}", shell=True, capture_output=True, text=True)
    assert [Path(line).resolve() for line in listed.stdout.split()] == [part.resolve()]
    look = lines[0].split("Read it at any time with: ")[1].partition(". Upload")[0]
    # The same verb without its full screen, which wants a terminal.
    wandb_itself = str(Path(sys.executable).with_name("wandb"))
    words = [wandb_itself, "leet", "inspect", "--summary", *shlex.split(look.removeprefix("wandb leet "))]
    shown = subprocess.run(words, capture_output=True, text=True)
    assert shown.returncode == 0 and "val/loss_ratio" in shown.stdout, shown
    assert capfd.readouterr() == ("", "")


def test_a_resumed_version_goes_on_under_the_same_id(tmp_path):
    folder, lines = folder_in(tmp_path), []
    for resumed_step in (None, 10):
        trackers = open_trackers(
            Tracked(config("offline"), folder, 6, print_line=lines.append, resumed_step=resumed_step)
        )
        trackers.metrics({"train/loss": 0.5}, 11)
        trackers.finish("failed", {})
        time.sleep(1.1)  # W&B names its folders by the second
    first, second = parts(folder)
    runs = [inspect(part) for part in (first, second)]
    assert len({records["run"][0]["run_id"] for records in runs}) == 1
    assert runs[0]["exit"][0]["exit_code"] == 1
    # An evaluation of the same version is a run of its own.
    open_trackers(
        Tracked(config("offline"), folder, 6, print_line=lines.append, resumed_step=None, job_type="evaluate")
    ).finish("complete", {})
    assert len({part.name.split("-")[-1] for part in parts(folder)}) == 2


def test_online_without_a_server_goes_offline_within_seconds(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    folder, lines, start = folder_in(tmp_path), [], time.monotonic()
    trackers = open_trackers(Tracked(config("online"), folder, 6, print_line=lines.append, resumed_step=None))
    trackers.metrics({"train/loss": 0.5}, 1)
    trackers.finish("complete", {})
    assert time.monotonic() - start < 10
    assert len(lines) == 1 and "http://127.0.0.1:9 cannot be reached" in lines[0] and "wandb sync " in lines[0]
    assert inspect(parts(folder)[0])["history"][0]["item"]["train/loss"] == 0.5
    assert capfd.readouterr() == ("", "")


class Refusing(BaseHTTPRequestHandler):
    """A server that knows nobody."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *values: object) -> None:
        pass


def test_a_server_that_refuses_the_key_sends_the_run_offline_under_its_id(tmp_path, monkeypatch, capfd):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    folder, lines = folder_in(tmp_path), []
    trackers = open_trackers(Tracked(config("auto"), folder, 6, print_line=lines.append, resumed_step=None))
    trackers.metrics({"train/loss": 0.5}, 1)
    trackers.finish("complete", {})
    server.shutdown()
    server.server_close()
    (part,) = parts(folder)
    run_id = (folder / "wandb" / "train.id").read_text().strip()
    assert inspect(part)["history"][0]["item"]["train/loss"] == 0.5
    assert len(lines) == 1
    assert re.search(rf"wandb sync --id {run_id} \S*/wandb/offline-run-\*-{run_id}\*$", lines[0])
    assert capfd.readouterr() == ("", "")


def test_the_environment_may_disable_w_and_b_but_not_against_the_config(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    folder, lines = folder_in(tmp_path), []
    assert open_wandb(Tracked(config("auto"), folder, 6, lines.append, resumed_step=None)) is None
    run = open_wandb(Tracked(config("offline"), folder, 6, lines.append, resumed_step=None))
    assert run is not None
    run.finish("complete", {})


def test_reachable_knows_open_ports_closed_ports_and_proxies(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert reachable(f"http://127.0.0.1:{port}/graphql")
        monkeypatch.setenv("no_proxy", "localhost")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        assert reachable("http://wandb.invalid")
    assert not reachable(f"http://127.0.0.1:{port}")
    assert not reachable("http://wandb.invalid")


def test_a_name_server_that_does_not_answer_costs_no_more_than_the_timeout(monkeypatch):
    silent = threading.Event()

    def resolve(*address: object) -> None:
        silent.wait(5)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", resolve)
    monkeypatch.setattr("lorasweep.tracking.wandb_server.CONNECT_TIMEOUT", 0.2)
    start = time.monotonic()
    assert not reachable("http://wandb.invalid")
    assert time.monotonic() - start < 2
    silent.set()


TRIAL = {"study": "rates", "number": 3, "params": {"optimizer.lr": 1e-3, "scheduler": "cosine", "sizes": [1, 2]}}


def trained(folder: Path, values: Config, *, status: str = "complete", version: int = 7) -> Path:
    """Leave in `folder` what a trial leaves; return its weights file."""
    weights = folder / f"FuzzyBear_v{version}.safetensors"
    weights.write_bytes(b"weights")
    trackers = open_trackers(
        Tracked(values, folder, version, print_line=lambda line: None, resumed_step=None, job_type="trial", trial=TRIAL)
    )
    trackers.metrics({"val/loss_ratio": 0.7}, 10)
    trackers.weights(weights, [f"v{version}", "latest"], {"epoch": 2})
    trackers.finish(status, {"val/loss_ratio": 0.65})
    record = {
        "name": "FuzzyBear",
        "version": version,
        "status": status,
        "trial": {"study": "rates", "number": 3},
        "config": dataclasses.asdict(values),
        "selected_epoch": 2,
        "metrics": {"base": {}, "selected": {"val/loss_ratio": 0.65}},
    }
    (folder / "record.json").write_text(json.dumps(record))
    return weights


@pytest.mark.parametrize("status", ["complete", "pruned", "failed"])
def test_a_trial_is_a_run_of_its_study(tmp_path, status):
    folder = folder_in(tmp_path)
    trained(folder, config("offline"), status=status)
    records = inspect(parts(folder)[0])
    run = records["run"][-1]
    assert (run["run_group"], run["job_type"], run["display_name"]) == ("rates", "trial", "FuzzyBear v7")
    assert run["tags"] == ["fuzzybear", "fuzzybear/v5", "toy", "rank 12", "paper", "x" * 64, "rates", status]
    assert run["config"]["update"]["trial"] == TRIAL
    (artifact,) = records["artifact"]
    assert set(artifact["aliases"]) == {"fuzzybear-v7", "latest"}


def test_mark_best_moves_best_to_the_weights_of_the_same_run(tmp_path, capfd):
    folder, lines = folder_in(tmp_path), []
    weights = trained(folder, config("offline"))
    time.sleep(1.1)  # W&B names its folders by the second
    mark_best(folder, print_line=lines.append)
    first, second = (inspect(part) for part in parts(folder))
    assert first["run"][0]["run_id"] == second["run"][0]["run_id"]
    for key in ("run_group", "job_type", "display_name", "tags", "config"):
        assert first["run"][-1].get(key) == second["run"][-1].get(key), key
    (before,), (after,) = first["artifact"], second["artifact"]
    assert set(after["aliases"]) == {"fuzzybear-v7", "best", "latest"}
    assert (after["name"], after["type"], after["digest"]) == (before["name"], before["type"], before["digest"])
    assert Path(after["manifest"]["contents"][0]["local_path"]) == weights
    (line,) = lines
    command = line.split("Upload it later with: ")[1]
    listed = subprocess.run(f"ls -d {command.removeprefix('wandb sync ')}", shell=True, capture_output=True, text=True)
    assert len(listed.stdout.split()) == 2, "one command uploads both parts"
    assert capfd.readouterr() == ("", "")


def test_mark_best_is_quiet_where_the_version_was_not_logged(tmp_path, monkeypatch):
    folder, lines = folder_in(tmp_path), []
    values = config("disabled")
    trained(folder, values)
    mark_best(folder, print_line=lines.append)
    assert not (folder / "wandb").exists() and lines == []
    values.tracker.wandb.mode = "auto"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    trained(folder, values)
    mark_best(folder, print_line=lines.append)
    assert parts(folder) == [] and lines == []


def test_mark_best_does_not_raise(tmp_path):
    lines: list[str] = []
    mark_best(tmp_path / "v9", print_line=lines.append)
    assert len(lines) == 1 and lines[0].startswith("W&B: v9 cannot be marked as the best")


def test_what_a_kill_cost_is_logged_again_and_nothing_twice(tmp_path):
    folder = folder_in(tmp_path)
    Image.new("RGB", (8, 8), "red").save(folder / "sample.png")
    first = open_trackers(Tracked(config("offline"), folder, 6, print_line=lambda line: None, resumed_step=None))
    first.metrics({"epoch": 0, "val/loss": 0.7}, 0)
    first.images({"samples/0 sks bear": folder / "sample.png"}, 0)
    first.metrics({"train/loss": 0.5}, 1)
    first.finish("interrupted", {})
    (part,) = parts(folder)
    older = part.rename(part.with_name(re.sub(r"\d{8}_\d{6}", "20260101_000000", part.name)))
    rows = [{"step": 0, "epoch": 0, "val/loss": 0.7}, {"step": 1, "train/loss": 0.5}]
    rows += [{"step": 2, "train/loss": 0.4, "train/grad_norm": None}, {"step": 2, "epoch": 1, "val/loss": 0.6}]

    again = open_trackers(Tracked(config("offline"), folder, 6, print_line=lambda line: None, resumed_step=2))
    again.replay(rows)
    again.replay_images({"samples/0 sks bear": folder / "sample.png"}, 0)
    again.replay_images({"samples/0 sks bear": folder / "sample.png"}, 2)
    again.metrics({"train/loss": 0.3}, 3)
    again.finish("complete", {})
    (newer,) = set(parts(folder)) - {older}
    items = [record["item"] for record in inspect(newer)["history"]]
    assert [item["step"] for item in items] == [2, 2, 2, 3]
    assert (items[0]["train/loss"], items[1]["val/loss"]) == (0.4, 0.6) and "samples/0.path" in items[2]

    # A part of which the kill left nothing but its beginning.
    (file,) = older.glob("*.wandb")
    os.truncate(file, 7)
    tracker = open_wandb(Tracked(config("offline"), folder, 6, lambda line: None, resumed_step=0))
    assert tracker is not None
    assert not tracker.has("val/loss", 0) and tracker.has("train/loss", 2) and tracker.has("samples/0", 2)
    tracker.finish("complete", {})


def test_the_samples_of_an_ended_version_are_a_table_with_what_was_measured(tmp_path: Path) -> None:
    """As its folder has it, whichever process drew what; once, not again as the best is marked."""
    values = config("offline")
    values.dataset.trigger = "my_bear"
    values.sampling.prompts, values.sampling.seeds = ["{trigger}, red hat", "a dog"], [3]
    folder = folder_in(tmp_path)
    record = Record(folder, "FuzzyBear", 6, status="complete", selected_epoch=1)
    record.config = dataclasses.asdict(values)
    record.metrics = MetricsRecord(base={"val/loss_ratio": 1.0}, selected={"val/loss_ratio": 0.8})
    record.epochs = [Epoch(1, 20, metrics={"val/loss_ratio": 0.8, "no/such": 1.0}), Epoch(2, 40)]
    record.write()
    (folder / "FuzzyBear_v6.safetensors").write_bytes(b"weights")
    for epoch in (0, 1, 2):
        for index in (0, 1):
            path = paths.sample(folder, epoch, index)
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (8, 8), (epoch, index, 0)).save(path)
    trackers = open_trackers(Tracked(values, folder, 6, print_line=lambda _: None, resumed_step=None))
    trackers.finish("complete", {"val/loss_ratio": 0.8})
    time.sleep(1.1)  # W&B names its folders by the second
    mark_best(folder, lambda _: None)
    tables = list((folder / "wandb").glob("offline-run-*/files/media/table/samples/*.json"))
    table = json.loads(tables[0].read_text())
    assert len(tables) == 1 and table["columns"] == ["prompt", "seed", "epoch", "selected", "image", "val/loss_ratio"]
    rows = [(*row[:4], row[5]) for row in table["data"]]
    assert rows == [
        ("my_bear, red hat", 3, 0, False, 1.0),
        ("a dog", 3, 0, False, 1.0),
        ("my_bear, red hat", 3, 1, True, 0.8),
        ("a dog", 3, 1, True, 0.8),
        ("my_bear, red hat", 3, 2, False, None),
        ("a dog", 3, 2, False, None),
    ]
    (artifact,) = (one for one in inspect(parts(folder)[0])["artifact"] if one["type"] == "run_table")
    pictures = [one["local_path"] for one in artifact["manifest"]["contents"] if one["path"].endswith(".png")]
    seen = {Image.open(picture).getpixel((0, 0)) for picture in pictures}
    assert seen == {(epoch, index, 0) for epoch in (0, 1, 2) for index in (0, 1)}


def test_a_long_table_keeps_the_base_the_selected_and_the_last_epoch() -> None:
    assert _shortened(range(31), 6, 12) == list(range(31))
    assert _shortened(range(31), 7, 12) == [0, 12, 30]


def test_a_review_page_is_an_artifact_of_a_run_of_its_own(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    Record(folder, "FuzzyBear", 6, config=dataclasses.asdict(config("offline"))).write()
    page = tmp_path / "review_single.html"
    page.write_text("<html>")
    log_page(folder, page, "fuzzybear", lambda _: None)
    records = inspect(parts(folder)[0])
    run = records["run"][-1]
    assert (run["job_type"], run["display_name"], run["run_group"]) == ("review", "FuzzyBear review", "FuzzyBear")
    (artifact,) = records["artifact"]
    assert (artifact["name"], artifact["type"]) == ("review-fuzzybear", "review")
    assert [one["path"] for one in artifact["manifest"]["contents"]] == ["review.html"]
