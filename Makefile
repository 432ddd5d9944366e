# Every command of the project. `make help` lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Any Python from 3.11 on; uv comes into the project's own .venv and never downloads another Python.
PYTHON ?= $(or $(NEAP_PYTHON),python3)
WORKERS ?= 2
BIN := .venv/bin
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv
# Trust the system's certificates, as behind a proxy that inspects TLS; two names, by uv's age.
export UV_SYSTEM_CERTS := 1
export UV_NATIVE_TLS := 1
# Containers often set it, and then each of the many processes of a test run compiles all its modules anew.
unexport PYTHONDONTWRITEBYTECODE
UV := env -u VIRTUAL_ENV $(BIN)/uv --no-progress --quiet
RUNTIME := .venv/.runtime
DEVELOPMENT := .venv/.development

.PHONY: help setup setup-dev browser demo demo-reset test quick slow coverage mutation crash-test bench bench-detection screenshots lint format secrets clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(RUNTIME) ## install what the product needs to run, into .venv

setup-dev: $(DEVELOPMENT) ## install what its development needs, too

demo: $(RUNTIME) ## run the whole product with a fictional clinic (NEAP_PORT=8080, NEAP_DATA_DIR=.neap)
	@exec $(BIN)/python -m service demo

demo-reset: $(RUNTIME) ## forget the demo's data, so that the next start begins anew
	@exec $(BIN)/python -m service demo --reset

test: $(DEVELOPMENT) browser lint ## everything the continuous integration runs
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not slow" --durations=25 --durations-min=5

quick: $(DEVELOPMENT) ## the tests without the browser, until the first failure
	$(BIN)/pytest -n $(WORKERS) -m "not slow and not browser" -x -q

slow: $(DEVELOPMENT) browser ## long state machines, kill tests and property runs
	$(BIN)/pytest -m slow

bench: $(DEVELOPMENT) ## speed, memory and detection: one JSON object a line
	@$(BIN)/python -m benchmarks

bench-detection: $(DEVELOPMENT) ## the detector against an oracle and everyday rules (ARGUMENTS="--quick --json")
	@$(BIN)/python -m benchmarks.detection $(ARGUMENTS)

screenshots: $(DEVELOPMENT) browser ## take the pictures of the README from a demonstration of their own
	$(BIN)/python -m docs.screenshots

coverage: $(DEVELOPMENT) ## which branches the tests without the browser never take
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(WORKERS) --dist worksteal -m "not slow and not browser" -q
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

mutation: $(DEVELOPMENT) ## put small faults into detection and alerting, and see which the tests miss (PART=day|fitting|alerts)
	nice -n 15 $(BIN)/python -m tests.mutation $(PART)

crash-test: $(DEVELOPMENT) ## kill web, jobs and PostgreSQL 200 times, and prove that nothing is lost (about seven minutes)
	$(BIN)/python -m tests.crash --kills 200

lint: $(DEVELOPMENT) ## formatting, rules, types, layers, the lock file, the compose file
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --num-workers $(WORKERS)
	$(BIN)/lint-imports --no-cache
	$(UV) lock --check
	$(if $(wildcard compose.yaml),$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml)

format: $(DEVELOPMENT) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

browser: ## find a Chromium, or install Debian's
	@.ci/browser

secrets: ## make the secret files of compose.yaml, keeping those that are there
	@$(PYTHON) .ci/secrets secrets

clean: ## remove caches (never data: that is demo-reset)
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

$(RUNTIME): pyproject.toml uv.lock | $(BIN)/uv
	@echo "Installing what Neap needs into .venv; the first time takes a minute or two …"
	$(UV) sync --frozen --no-dev --inexact --python $(BIN)/python
	@touch $@

$(DEVELOPMENT): pyproject.toml uv.lock | $(BIN)/uv
	@echo "Installing what Neap and its development need into .venv; the first time takes a minute or two …"
	$(UV) sync --frozen --inexact --python $(BIN)/python
	@touch $@ $(RUNTIME)

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Neap needs Python 3.11 or later as python3; or say: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "This Python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'
