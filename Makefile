# `make demo` and `make test` are all that a fresh machine needs.
PYTHON ?= python3
VENV   := .venv
# The oldest client beside which reading is tested, in an environment of its own.
OLDEST := 0.19.11
BIN    := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
export WANDB_SILENT ?= true
# Tests and trainers run side by side: threads that spin would take each other's cores.
export OPENBLAS_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-oldest test-all lint format docs site clean

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.train: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing goemo and its pinned dependencies into $(VENV) ..."
	@$(PIP_INSTALL) --editable '.[train]'
	@touch $@

$(VENV)/.dev: $(VENV)/.train
	@echo "installing what the tests need ..."
	@$(PIP_INSTALL) --editable '.[train,dev,docs]'
	@touch $@

demo: $(VENV)/.train ## train four small runs offline, compare them, name the report
	@$(BIN)/goemo-report demo

test: $(VENV)/.dev ## the fast tests
	@$(BIN)/python -m pytest -n 2 -m 'not slow'

test-slow: $(VENV)/.dev ## the slow tests alone
	@$(BIN)/python -m pytest -n 2 -m slow

$(VENV)-oldest/.ready: pyproject.toml constraints.txt Makefile
	@test -x $(VENV)-oldest/bin/python || $(PYTHON) -m venv $(VENV)-oldest
	@sed -e 's/^wandb==.*/wandb==$(OLDEST)/' -e '/^protobuf==/d' constraints.txt >$(@D)/constraints.txt
	@echo "installing goemo beside wandb $(OLDEST) into $(@D) ..."
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint $(@D)/constraints.txt --editable . graphql-core hypothesis pyarrow pytest pytest-xdist
	@touch $@

test-oldest: $(VENV)-oldest/.ready ## the tests of the sources beside the oldest wandb client
	@$(VENV)-oldest/bin/python -m pytest -n 2 -m 'not slow' tests/sources

test-all: test test-slow test-oldest ## every test

lint: $(VENV)/.dev ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(VENV)/.dev ## put the code in shape
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(VENV)/.dev ## write the generated pages of docs/ anew
	@$(BIN)/python -m tests.generated_docs

site: $(VENV)/.dev ## build the site into site/, every link checked
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean: ## remove what was built, but no runs and no reports
	@rm -rf $(VENV) build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
