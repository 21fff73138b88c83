# Tallystick. `make help` lists the targets; each one makes .venv first if it has to.

VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
LOCKED := $(PIP) --no-build-isolation --require-hashes
DATA   ?= ./tallystick-data
UV     := 0.13.8

# The first Python on the path that is new enough and can make virtual environments.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$name -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' \
	>/dev/null 2>&1 && { echo $$name; break; }; done)

.DEFAULT_GOAL := help
.PHONY: help run test t check fix docs screenshots coverage bench soak lock clean
.SILENT:

help: ## List the targets
	sed -n 's/^\([a-z]*\):.*## \(.*\)/\1#\2/p' $(MAKEFILE_LIST) | awk -F'#' '{ printf "make %-11s %s\n", $$1, $$2 }'

run: $(VENV)/.run ## Start the server on ./tallystick-data (DATA=DIR for another) with a little sample data
	exec $(BIN)/tallystick serve --data $(DATA) --demo

test: $(VENV)/.dev ## Run the whole test suite, a process a core (ARGS="-k name" is passed on to pytest)
	$(BIN)/python -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder $(ARGS)

t: $(VENV)/.dev ## Run the tests that T names, in this process (T=tests/log/test_sequencer.py)
	$(BIN)/python -m pytest -x -p no:randomly $(or $(T),$(error name the tests: make t T=tests/log/test_sequencer.py)) $(ARGS)

check: $(VENV)/.dev ## Check style, types and layers
	echo "==> ruff check" && $(BIN)/ruff check
	echo "==> ruff format --check" && $(BIN)/ruff format --check
	echo "==> mypy --strict" && $(BIN)/mypy
	echo "==> lint-imports" && $(BIN)/lint-imports --no-logo

fix: $(VENV)/.dev ## Sort imports, format, mend what ruff can mend
	$(BIN)/ruff check --fix && $(BIN)/ruff format

docs: $(VENV)/.dev ## Write the generated reference pages
	$(BIN)/python -m tests.docs.reference

screenshots: $(VENV)/.dev ## Write pictures of the console into docs/images (ARGS=DIR for another folder)
	$(BIN)/python -m tests.console.screenshots $(ARGS)

coverage: $(VENV)/.dev ## Run the whole suite and demand its coverage: 95 % of src, all of tlog, log and events
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=95
	$(BIN)/coverage report --fail-under=100 --include='src/tallystick/tlog/*,src/tallystick/log/*,src/tallystick/events/*'

bench: $(VENV)/.bench ## Measure the server beside its peers and print medians and raw rounds
	$(BIN)/python -m bench $(ARGS)

soak: $(VENV)/.dev ## Run the property and fault tests for long (profile "soak")
	$(BIN)/python -m pytest --hypothesis-profile=soak --timeout=0 $(wildcard tests/properties tests/faults tests/index/test_opensearch.py) $(ARGS)

lock: ## Resolve requirements/*.in into requirements/*.txt (UPGRADE=--upgrade moves the pins)
	scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && \
	$(PYTHON) -m venv "$$scratch" && "$$scratch/bin/pip" install --quiet uv==$(UV) && \
	cd requirements && for name in build run dev bench; do \
		echo "==> requirements/$$name.txt"; \
		"$$scratch/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
			--exclude-newer '7 days' --no-header --no-annotate $(UPGRADE) \
			$$name.in --output-file $$name.txt || exit 1; \
	done

clean: ## Remove the virtual environment, caches and build results (stored data stays)
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find src tests bench -type d -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# Each stamp stands for one lock file; a newer lock file installs again.
$(VENV)/.python:
	test -n "$(PYTHON)" || { echo "Tallystick needs Python 3.11 or newer with venv and pip (on Debian: python3 and python3-venv)" >&2; exit 1; }
	echo "==> making $(VENV) with $$($(PYTHON) --version)"
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.run: requirements/build.txt requirements/run.txt pyproject.toml | $(VENV)/.python
	echo "==> installing what the server needs"
	$(LOCKED) -r requirements/build.txt -r requirements/run.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	echo "==> installing what the tests need"
	$(LOCKED) -r requirements/dev.txt
	touch $@

$(VENV)/.bench: requirements/bench.txt $(VENV)/.dev
	echo "==> installing the peers of the bench"
	$(LOCKED) -r requirements/bench.txt
	touch $@
