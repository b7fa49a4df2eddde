"""The served page: for this machine only, nothing but what it shows, and live."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorasweep.commands.cli import main
from lorasweep.review.page.choice import Choice
from lorasweep.review.page.server import server

from .conftest import Watched
from .made_up import write_samples, write_version


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of two versions, beside one that is nobody's business."""
    root = tmp_path / "outputs"
    for number in (1, 2):
        write_version(root, number)
    (tmp_path / "secret.png").write_bytes(b"secret")
    (root / "fuzzybear" / "v1" / "weights.safetensors").write_bytes(b"weights")
    (root / "fuzzybear" / "v1" / "way_out.png").symlink_to(tmp_path / "secret.png")
    return root


@pytest.fixture
def port(root: Path) -> Iterator[int]:
    """The port of a server of that folder."""
    serving = server(Choice(root), seconds=0.05)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()[1]
        serving.should_exit = True
        thread.join()


def ask(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, bytes]:
    """Ask for exactly this path: no client tidies it first."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_it_gives_out_the_page_and_its_pictures(port: int, root: Path) -> None:
    status, page = ask(port, "/")
    assert status == 200 and b"EventSource" in page and b"FuzzyBear" in page
    status, data = ask(port, "/data.json")
    file = json.loads(data)["cells"]["file"][0]
    assert ask(port, f"/{file}")[1] == (root / "fuzzybear/v1/samples/000000_00.png").read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/files/../secret.png",
        "/files/%2e%2e/secret.png",
        "/files/fuzzybear/..%2f..%2fsecret.png",
        "/files//etc/passwd",
        "/files/fuzzybear/v1/way_out.png",
        "/files/fuzzybear/v1/record.json",
        "/files/fuzzybear/v1/weights.safetensors",
        "/files/fuzzybear/v1",
        "/record.json",
    ],
)
def test_nothing_else_is_given_out(port: int, path: str) -> None:
    status, answer = ask(port, path)
    assert status == 404 and b"secret" not in answer


def test_only_this_machine_s_names_are_answered(port: int) -> None:
    """A page elsewhere whose name is made to lead here is refused: its browser sends that name."""
    assert ask(port, "/", "localhost:1234")[0] == 200
    for host in ("evil.example", "127.0.0.1.evil.example", ""):
        assert ask(port, "/data.json", host)[0] == 400


def test_a_new_epoch_appears_without_a_reload(port: int, root: Path, watched: Watched) -> None:
    watched.said.clear()
    watched.asked.clear()
    tab = watched.open(f"http://127.0.0.1:{port}/")
    tab.get_by_label("search").fill("v1")
    shown = tab.locator("#grid td.cell img").first
    assert "epoch 3" in shown.get_attribute("alt")
    tab.wait_for_function("() => document.getElementById('live').textContent === 'live'")
    folder = root / "fuzzybear" / "v1"
    write_samples(folder, 1, 4, 4)
    write_version(root, 1, epochs=4)
    tab.wait_for_function("() => document.querySelector('#grid td.cell img').alt.includes('epoch 4')")
    assert tab.get_by_label("search").input_value() == "v1", "what was typed is left"
    tab.wait_for_function("() => document.querySelector('#grid td.cell img').naturalWidth === 16")
    assert all(address.startswith((f"http://127.0.0.1:{port}/", "data:", "about:")) for address in watched.asked)
    assert not watched.said


def test_the_verb_says_where_the_page_is_and_ends_by_ctrl_c(root: Path) -> None:
    command = [sys.executable, "-m", "lorasweep.commands.cli", "serve", "fuzzybear", "--output-root", str(root)]
    process = subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.readline()
    port = int(said.split("http://127.0.0.1:")[1].split("/")[0])
    assert ask(port, "/data.json")[0] == 200
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0 and not errors, errors


def test_a_port_that_is_taken_is_said(root: Path, port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--output-root", str(root), "--port", str(port)]) == 2
    assert f"--port {port}" in capsys.readouterr().err
    assert main(["serve", "--output-root", str(root), "--port", "99999"]) == 2
