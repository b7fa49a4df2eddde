#!/usr/bin/env bash
# The search on Hydra's newest pre-release, put in front of the installed one for these tests only.
set -euo pipefail
cd "$(dirname "$0")/.."
next=$(mktemp -d)
trap 'rm -rf "$next"' EXIT
.venv/bin/pip install --disable-pip-version-check -q --target "$next" --pre --no-deps 'hydra-core>=1.4.0.dev0,<1.5' \
  'omegaconf>=2.4.0.dev0,<2.5'
export PYTHONPATH="$next:$PWD/src"
.venv/bin/python -c 'import hydra; print("Hydra", hydra.__version__)'
OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q tests/search/test_sweeper.py -k "command_line or resumes or killed or own"
