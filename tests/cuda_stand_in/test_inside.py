"""The trainer on a GPU that is not there: a tensor left on the CPU, or in the wrong precision, fails here.

The tests are those of the folder `inside`. They run in a process of their own, which loads `pretended.cpp` before
torch:

    LORASWEEP_STAND_IN=1 LD_PRELOAD=.pytest_cache/d/cuda_stand_in/<...>.so pytest tests/cuda_stand_in/inside
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
SOURCE = HERE / "pretended.cpp"


def library(folder: Path) -> Path:
    """Return the compiled `pretended.cpp`, from the folder if it is there already for this torch."""
    key = hashlib.sha256(f"{torch.__version__} {SOURCE.read_text()}".encode()).hexdigest()[:16]
    path = folder / f"{key}.so"
    if not path.exists():
        home = Path(torch.__file__).parent
        unfinished = path.with_suffix(f".{os.getpid()}")
        abi = f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"
        flags = ["-std=c++20", "-O0", "-shared", "-fPIC", abi, f"-I{home / 'include'}"]
        links = [f"-L{home / 'lib'}", "-lc10", "-ltorch_cpu", f"-Wl,-rpath,{home / 'lib'}"]
        subprocess.run(["g++", *flags, SOURCE, "-o", unfinished, *links], check=True)
        unfinished.rename(path)
    return path


def test_the_trainer_on_a_gpu_that_is_not_there(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("libraries are preloaded on Linux only")
    if torch.version.cuda or torch.version.hip:
        pytest.skip(f"torch {torch.__version__} has a GPU's kernels itself: a GPU is pretended in one without")
    if shutil.which("g++") is None:
        pytest.skip("no g++ to compile pretended.cpp")
    assert request.config.cache is not None
    preloaded = library(request.config.cache.mkdir("cuda_stand_in"))
    environment = {**os.environ, "LD_PRELOAD": str(preloaded), "LORASWEEP_STAND_IN": "1", "OMP_NUM_THREADS": "1"}
    options = ["-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={tmp_path / 'inside'}"]
    command = [sys.executable, "-m", "pytest", *options, HERE / "inside"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
