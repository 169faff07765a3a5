# Everything that one does with this repository. Needs Python 3.11 or newer and make; the rest is set up here.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --only-binary=:all: --require-hashes -r

# A fresh machine has neither; a stamp says which lock file the environment was made from.
RUN := $(VENV)/.run
DEV := $(VENV)/.dev

.DEFAULT_GOAL := help
.PHONY: demo up test check bench bench-rl bench-tokens bench-search schemas lock clean help

demo: $(RUN) ## A fleet of workers audits a real code base (REPO=path for another than the standard library).
	$(BIN)/cca demo $(if $(REPO),--repo "$(REPO)") $(ARGS)

up: $(RUN) ## Start the stack: NATS, PostgreSQL and every service, until Ctrl-C.
	$(BIN)/cca up $(ARGS)

test: check ## Everything that CI runs: the checks, and the tests on real servers.
	$(BIN)/pytest --numprocesses=2 --dist=loadfile $(ARGS)

check: $(DEV) ## Style, types and imports.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(RUN) ## Measure against raw NATS (BENCH_JSON=file writes the figures).
	$(BIN)/cca bench $(if $(BENCH_JSON),--json "$(BENCH_JSON)") $(ARGS)

bench-rl: $(DEV) ## Let every routing policy learn on the test beds (BENCH_JSON=file writes the figures).
	$(BIN)/cca rl simulate --seeds 10 $(if $(BENCH_JSON),--json "$(BENCH_JSON)") $(ARGS)

bench-tokens: $(DEV) ## Count, analyze and compress transcripts of agents (BENCH_JSON=file writes the figures).
	$(BIN)/cca tokens bench $(if $(BENCH_JSON),--json "$(BENCH_JSON)") $(ARGS)

bench-search: $(RUN) ## Measure how well and how fast memories and code are found (BENCH_JSON=file writes the figures).
	$(BIN)/cca memory bench $(if $(BENCH_JSON),--json "$(BENCH_JSON)") $(ARGS)

schemas: $(DEV) ## Write schemas/ anew from the contracts.
	$(BIN)/cca schemas write

lock: $(DEV) ## Choose newer versions of what we depend on, and write down their hashes.
	$(PIP) install uv
	$(LOCK) --extra embedded --extra embeddings --extra demo --extra plot --extra rl --extra dev --upgrade -o requirements/dev.txt
	$(LOCK) --extra embedded --extra embeddings --extra demo --extra plot -c requirements/dev.txt -o requirements/run.txt
LOCK = $(BIN)/uv pip compile pyproject.toml requirements/build.in --universal --generate-hashes --quiet \
	--python-version 3.11 --only-binary :all: --no-annotate --custom-compile-command 'make lock'

clean: ## Remove the environment and everything that was generated; stacks (.cca) stay.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find shared services tests -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## Show this.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | \
		while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed' >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(RUN): requirements/run.txt pyproject.toml | $(BIN)/python
	$(INSTALL) requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

# Holds everything that `run` has, in the same versions.
$(DEV): requirements/dev.txt pyproject.toml | $(BIN)/python
	$(INSTALL) requirements/dev.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@ $(RUN)
