.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
# The first Python of 3.11 or later that is there; FIRSTHAND_PYTHON names another one.
PYTHON := $(shell for p in "$(FIRSTHAND_PYTHON)" python3 python3.14 python3.13 python3.12 python3.11 python; do \
	[ -n "$$p" ] && command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

# Every test worker and service starts from compiled code, also where the environment says to keep none: that is half of a
# start.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help run test lint types contracts schemas unit promises bench soak clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/ready: requirements.lock pyproject.toml
	@if [ -z "$(PYTHON)" ]; then echo "Firsthand needs Python 3.11 or later; install it, or name one: make run FIRSTHAND_PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@echo "Setting up the environment (once; about a minute) ..."
	@$(PYTHON) -m venv $(VENV) || { echo "This Python has no venv module; on Debian: apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: $(VENV)/ready  ## Start Firsthand with an example on http://127.0.0.1:8080 (Ctrl-C ends it)
	@exec $(BIN)/firsthand up --example

test: $(VENV)/ready lint types contracts schemas unit promises  ## Lint, types, contracts, schemas, tests

lint: $(VENV)/ready
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/ready
	@$(BIN)/mypy

contracts: $(VENV)/ready
	@$(BIN)/lint-imports

schemas: $(VENV)/ready
	@$(BIN)/python -m firsthand.shared.events.schemas check

# In a folder of their own, which goes with them, and in an order of their own: FIRSTHAND_TEST_SEED repeats one.
TESTS := f() { seed=$${FIRSTHAND_TEST_SEED:-$$(date +%s)}; echo "The order of tests is that of FIRSTHAND_TEST_SEED=$$seed"; \
	folder=$$(mktemp -d "$$([ -w /dev/shm ] && echo /dev/shm || echo "$${TMPDIR:-/tmp}")/firsthand.XXXXXX"); \
	$(BIN)/python -m pytest --randomly-seed="$$seed" --basetemp="$$folder/tests" "$$@"; result=$$?; rm -rf "$$folder"; return $$result; }; f

# Tests write real files; on Linux they lie in memory, because a developer's disk would mostly wait for flushes.
# Half of a test's time is waiting, for timers, answers and processes that start: four workers keep two cores busy.
unit: $(VENV)/ready
	@$(TESTS) -q -n 4 --dist loadgroup

# What must happen within a second is measured without other tests beside it.
promises: $(VENV)/ready
	@$(TESTS) -q -m promise

bench: $(VENV)/ready  ## Measure the claims, each beside its floor
	@for b in relay withdraw store chain processor latency posts webhooks idle ready commands media intake; do $(BIN)/python -m bench.$$b || exit 1; done

soak: $(VENV)/ready  ## Chains for minutes while services and the NATS server are killed (FIRSTHAND_SOAK_MINUTES)
	@$(BIN)/python -m pytest -q -s -m soak --timeout 3600 tests/soak

clean:  ## Remove the environment and caches (not the data folder)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build firsthand.egg-info
