# A newcomer's two commands: `make run` and `make test`. Both need Python 3.11 or newer with pip, and make; nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCHES := ingest commands feed recovery scale http search search_quality statistics siting

.DEFAULT_GOAL := help
.PHONY: help setup run test unit lint types bench soak

help: ## Show this list
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## Make the environment in .venv from the lock; nothing to do while the lock stays the same

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Bomnae needs Python 3.11 or newer: make PYTHON=python3.12 ...' >&2; exit 1; }
	@# An environment that was interrupted before it had pip, and Debian's without python3-venv, is made anew.
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) \
		|| { echo 'There is no environment in $(VENV): see above. Where Python lacks venv (Debian, Ubuntu), run' \
			'"apt install python3-venv", then make again.' >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

run: setup ## Start the city here and print what to open; Ctrl-C stops it and keeps its data
	@$(BIN)/bomnae up

test: setup unit ## All tests
	$(BIN)/pytest tests --ignore=tests/unit

unit: setup ## The fast tests: no server, no Ray
	$(BIN)/pytest tests/unit --numprocesses=auto

lint: setup ## Style and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: setup ## mypy, strict
	$(BIN)/mypy

bench: setup ## Every bench in turn, as tables
	@for name in $(BENCHES); do $(BIN)/python -m "bench.$$name" || exit 1; done

soak: setup ## Hundreds of kills; takes an hour on a quiet machine with two cores
	BOMNAE_SOAK_KILLS=100 $(BIN)/pytest tests/faults --timeout=0
