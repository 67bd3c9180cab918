# The four verbs (and their helpers); bare `make` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test check fix bench torture lock clean

help: ## List these targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(VENV)/.run ## Create .venv and install from the lock

demo: $(VENV)/.run ## Try the product in a browser, with no account
	@$(BIN)/tinyapprover demo

test: $(VENV)/.dev ## Run the tests
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

check: $(VENV)/.dev ## Lint, types, import rules, generated texts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m bot.texts --check

fix: $(VENV)/.dev ## Format, and write the generated texts and golden cards again
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(BIN)/python -m bot.texts

bench: $(VENV)/.dev ## Measure the paths beside their limits
	@$(BIN)/python -m bench $(ARGS)

torture: $(VENV)/.dev ## Kill the program again and again, and look at what is left
	@$(BIN)/python -m tests.torture $(ARGS)

lock: $(VENV)/.uv ## Resolve the locks again
	@$(BIN)/uv pip compile pyproject.toml lock/extra.in $(LOCK) -o lock/run.txt
	@$(BIN)/uv pip compile pyproject.toml lock/extra.in --group dev -c lock/run.txt $(LOCK) -o lock/dev.txt

clean: ## Remove what setup and the demo made
	rm -rf $(VENV) .demo

LOCK = --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "TinyApprover needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)

# uv installs in seconds what takes pip minutes; where it cannot be had, pip does the same from the same lock.
$(VENV)/.uv: lock/uv.txt | $(VENV)/bin/python
	@$(BIN)/python -m pip install -q --require-hashes --no-deps -r lock/uv.txt || echo "uv is not to be had here; pip will do it, more slowly"
	@touch $@

INSTALL = if [ -x $(BIN)/uv ]; then VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q $(1); else $(BIN)/python -m pip install -q $(1); fi

$(VENV)/.run: lock/run.txt pyproject.toml $(VENV)/.uv
	@echo "Installing the packages of lock/run.txt"
	@$(call INSTALL,--no-deps --require-hashes -r lock/run.txt)
	@$(call INSTALL,--no-deps --no-build-isolation -e .)
	@touch $@

$(VENV)/.dev: lock/dev.txt $(VENV)/.run
	@echo "Installing the packages of lock/dev.txt"
	@$(call INSTALL,--no-deps --require-hashes -r lock/dev.txt)
	@touch $@
