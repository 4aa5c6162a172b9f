# Two commands for a fresh machine with Python 3.11+ and make: `make serve` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ARGS ?=
MINUTES ?=
FAST := tests/core tests/engine tests/api tests/architecture tests/documents -m "not long" -k "not postgres"

.PHONY: help serve test test-fast check format bench bench-compare drill fuzz soak lock clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 15

serve: $(VENV)/.serves ## set up, and serve the demo shop on SQLite (more options: make serve ARGS="--port 8080")
	@exec $(BIN)/jangteo serve --demo $(ARGS)

test: $(VENV)/.develops ## set up, and run all tests (or some: make test ARGS="-k coupons")
	$(BIN)/pytest $(ARGS)

test-fast: $(VENV)/.develops ## run the fast tests, under a minute: rules, engine and API on SQLite, architecture, documents
	$(BIN)/pytest $(FAST) $(ARGS)

check: $(VENV)/.develops ## check lint, formatting, strict types and import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.develops ## format, and apply the linter's fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.develops ## measure this machine, beside a bare echo and pgbench (in three minutes: make bench QUICK=1)
	$(BIN)/python -m bench $(ARGS)

bench-compare: $(VENV)/.develops ## compare this tree's speed with a commit's, in turns (make bench-compare BASE=main)
	$(BIN)/python -m bench.compare $(or $(BASE),main) $(ARGS)

drill: $(VENV)/.develops ## break a real cluster under load: Patroni, etcd, HAProxy (in three minutes: make drill ARGS="--short")
	$(BIN)/python -m drill $(ARGS)

fuzz: $(VENV)/.develops ## send a shop what no client should, and judge every answer (make fuzz MINUTES=10)
	$(BIN)/python -m fuzz --minutes $(or $(MINUTES),2) $(ARGS)

soak: $(VENV)/.develops ## watch a shop's memory under a steady load (make soak MINUTES=60)
	$(BIN)/python -m fuzz.soak --minutes $(or $(MINUTES),60) $(ARGS)

lock: $(VENV)/.develops ## resolve the dependencies again (LOCK_ARGS="--upgrade" for newer versions)
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
		$(LOCK_ARGS) pyproject.toml --group build -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
		$(LOCK_ARGS) -c requirements.lock pyproject.toml --all-extras --group build --group dev -o requirements-dev.lock

clean: ## remove the environment and caches; the shop's data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .schemathesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Jangteo needs Python 3.11 or newer: try make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serves: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Setting up $(VENV) (once) ..."
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.develops: requirements-dev.lock $(VENV)/.serves
	$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@
