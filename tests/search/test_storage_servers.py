"""Many processes on one study, on every storage: no trial lost, none doubled. PostgreSQL and the proxy are real ones.

LORASWEEP_FULL=1 runs 16 processes with 200 trials each; otherwise 16 with a few.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from lorasweep.errors import UserError
from lorasweep.search.storage import open_storage

ROOT = Path(__file__).parents[2]
FULL = os.environ.get("LORASWEEP_FULL") == "1"
PROCESSES = 16

WORKER = """
import sys, optuna
from optuna.distributions import FloatDistribution
from lorasweep.search.storage import open_storage
optuna.logging.set_verbosity(optuna.logging.ERROR)
url, worker, trials = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
study = optuna.load_study(study_name="s", storage=open_storage(url), sampler=optuna.samplers.RandomSampler(worker))
for i in range(trials):
    trial = study.ask({"x": FloatDistribution(0, 1e6)})
    study.tell(trial, 1000 * worker + i)
"""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server of our own."""
    folder = tempfile.mkdtemp(prefix="lorasweep-postgres-")  # not below tmp_path, where the server's user may not go
    script = str(ROOT / ".ci" / "postgres.sh")
    try:
        made = subprocess.run([script, "start", folder, str(free_port())], capture_output=True, text=True, timeout=120)
        if made.returncode:
            pytest.skip(made.stderr.strip() or f"no PostgreSQL: {script} failed")
        pytest.importorskip("psycopg", reason="no driver for PostgreSQL: pip install 'psycopg[binary]'")
        try:
            yield made.stdout.strip()
        finally:
            subprocess.run([script, "stop", folder], check=True, timeout=60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def proxy(url: str) -> Iterator[str]:
    """URL of a proxy, in a process of its own, in front of `url`."""
    pytest.importorskip("grpc", reason="no gRPC: pip install grpcio protobuf")
    port = free_port()
    program = (
        "import sys; from lorasweep.search.storage import serve_storage as serve; "
        "serve(sys.argv[1], 'localhost', int(sys.argv[2]))"
    )
    server = subprocess.Popen([sys.executable, "-c", program, url, str(port)])
    try:
        yield f"grpc://localhost:{port}"
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0  # interrupted, it ends without a traceback


def forked_worker(url: str, worker: int, trials: int, gate: int) -> int:
    """What WORKER does, in a fork of this process, which has everything loaded; starts when `gate` is closed."""
    child = os.fork()
    if child:
        return child
    try:
        os.read(gate, 1)
        study = optuna.load_study(study_name="s", storage=open_storage(url), sampler=RandomSampler(worker))
        for i in range(trials):
            study.tell(study.ask({"x": FloatDistribution(0, 1e6)}), 1000 * worker + i)
        os._exit(0)
    except BaseException as error:
        print(f"worker {worker}: {error!r}", file=sys.stderr)
    finally:
        os._exit(1)


def check(url: str, processes: int, trials: int) -> list[optuna.trial.FrozenTrial]:
    """The study's trials, after having made sure that each of each worker's is there once."""
    found = optuna.load_study(study_name="s", storage=open_storage(url)).trials
    assert [trial.number for trial in found] == list(range(processes * trials))
    assert {trial.state for trial in found} == {TrialState.COMPLETE}
    assert all("x" in trial.params for trial in found)
    told = sorted(trial.value for trial in found if trial.value is not None)
    assert told == [1000 * worker + i for worker in range(processes) for i in range(trials)]
    return found


def hammer(url: str, trials: int, processes: int = PROCESSES) -> None:
    """`processes` processes at once, each with `trials` trials, on a new study at `url`."""
    optuna.create_study(study_name="s", storage=open_storage(url))
    gate, shut = os.pipe()
    children = []
    for worker in range(processes):
        children.append(forked_worker(url, worker, trials, gate))
    os.write(shut, b"!" * processes)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    os.close(gate)
    os.close(shut)
    assert codes == [0] * processes
    check(url, processes, trials)


def test_journal(tmp_path: Path) -> None:
    hammer(f"journal:///{tmp_path}/s.log", 200 if FULL else 20)


def test_sqlite(tmp_path: Path) -> None:
    hammer(f"sqlite:///{tmp_path}/s.db", 200 if FULL else 3)


def test_postgresql(postgres: str) -> None:
    hammer(postgres, 200 if FULL else 3)


def test_processes_that_find_an_empty_database_make_its_tables_together(postgres: str, tmp_path: Path) -> None:
    import psycopg

    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE empty")
    for url in (postgres.rpartition("/")[0] + "/empty", f"sqlite:///{tmp_path}/s.db"):
        children = []
        gate, shut = os.pipe()
        for worker in range(6):
            child = os.fork()
            if not child:
                try:
                    os.read(gate, 1)
                    optuna.create_study(storage=open_storage(url), study_name=f"study {worker}")
                    os._exit(0)
                finally:
                    os._exit(1)
            children.append(child)
        os.write(shut, b"!" * 6)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6
        found = {study.study_name for study in open_storage(url).get_all_studies()}
        assert found == {f"study {worker}" for worker in range(6)}


def test_postgresql_goes_on_after_its_connections_were_cut(postgres: str) -> None:
    import psycopg

    study = optuna.create_study(study_name="cut", storage=open_storage(postgres))
    study.tell(study.ask(), 1.0)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid != pg_backend_pid() AND backend_type = 'client backend'"
        )
    study.tell(study.ask(), 2.0)
    assert [trial.value for trial in study.trials] == [1.0, 2.0]


def test_a_wrong_password_is_said_and_not_shown(postgres: str) -> None:
    with pytest.raises(UserError) as caught:
        open_storage(postgres.replace("pass%40word", "wrong%40secret"))
    (problem,) = caught.value.problems
    assert "password authentication failed" in problem and "\n" not in problem
    assert "wrong" not in problem and "secret" not in problem


def test_processes_behind_a_proxy_in_front_of_a_journal(tmp_path: Path) -> None:
    """Also: a trial that was put in line is run by one process only, whichever asks."""
    processes, trials = (PROCESSES, 200) if FULL else (2, 30)
    journal = f"journal:///{tmp_path}/s.log"
    study = optuna.create_study(study_name="s", storage=open_storage(journal))
    in_line = 20  # each asking looks at all that wait
    for i in range(in_line):
        study.enqueue_trial({"x": float(i)})
    with proxy(journal) as url:
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, url, str(worker), str(trials)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for worker in range(processes)
        ]
        for worker in workers:
            assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
        for worker in workers:
            worker.communicate("go\n", timeout=600)
            assert worker.returncode == 0
    found = check(journal, processes, trials)
    assert [trial.params["x"] for trial in found[:in_line]] == [float(i) for i in range(in_line)]


def run_here(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own: gRPC's threads do not like to be forked later by other tests."""
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60)


def test_a_proxy_that_does_not_answer_is_said() -> None:
    pytest.importorskip("grpc")
    program = (
        "import sys; from lorasweep.search import storage\n"
        "storage.WAIT = 0.3\n"
        "try: storage.open_storage(sys.argv[1])\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = run_here(program, f"grpc://localhost:{free_port()}")
    assert done.stdout.startswith("UserError") and "nothing answers there" in done.stdout, done.stderr
    assert "lorasweep storage URL" in done.stdout


def test_a_port_that_another_proxy_has_is_said(tmp_path: Path) -> None:
    """gRPC by itself lets two servers share a port: clients would be dealt out between two studies."""
    with proxy(f"journal:///{tmp_path}/one.log") as url:
        program = (
            "import sys; from lorasweep.search.storage import open_storage, serve_storage as serve\n"
            "open_storage(sys.argv[1])\n"
            "try: serve(sys.argv[2], port=int(sys.argv[1].rpartition(':')[2]))\n"
            "except Exception as error: print(type(error).__name__, error)"
        )
        done = run_here(program, url, f"journal:///{tmp_path}/two.log")
    assert done.stdout.startswith("UserError") and "in use" in done.stdout, done.stderr
