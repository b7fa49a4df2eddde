# Everything is done by one of these; `make` alone lists them. The environment is .venv in this folder.
PYTHON ?= python3
BIN := .venv/bin
PIP_INSTALL := $(BIN)/pip install --disable-pip-version-check -q -c constraints.txt

.PHONY: help demo test check format bench toy clean
help:  ## list what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## / - /'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "lorasweep needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 demo"; exit 1; }
	@$(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "Python has no venv module here: sudo apt-get install python3-venv, then make again"; exit 1; }

# A stamp per set of extras, newer than what it was installed from.
.venv/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing lorasweep into .venv (the first time this downloads torch) ..."
	@$(PIP_INSTALL) torch
	@$(PIP_INSTALL) -e .
	@touch $@

.venv/.installed-test: .venv/.installed
	@$(PIP_INSTALL) -e '.[test]'
	@touch $@

demo: .venv/.installed  ## train FuzzyBear on the toy base for a short schedule: a before/after grid in 3 minutes
	@$(BIN)/python train.py lora=fuzzybear preset=demo

test: .venv/.installed-test  ## run the tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadscope

check: .venv/.installed-test  ## ruff (lint, format) and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: .venv/.installed-test  ## let ruff put the code in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: .venv/.installed-test  ## speed and memory tables
	@for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

toy: .venv/.installed  ## rebuild the toy base from nothing (hours on 2 cores)
	@$(BIN)/python -m lorasweep.toy.build

clean:  ## remove the environment and caches (never outputs/)
	@rm -rf .venv .pytest_cache .ruff_cache .mypy_cache
