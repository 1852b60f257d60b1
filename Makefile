# One entry for everything a person does here. The first use of an entry sets up what it needs; `make help` lists them.
# A machine needs make and Python >= 3.11, nothing else.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
LOCKS := deploy/requirements
UV_VERSION := 0.13.9
# The first Python that is new enough. PYTHON=/path/to/python overrides it.
PYTHON ?= $(or $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done),python3)
# More arguments for the command behind an entry: make test ARGS="-k retry", make demo ARGS="--help".
ARGS ?=
# Test processes, each with servers of its own. Most tests wait for servers, so a core serves more than one.
WORKERS ?= 3

BASE_READY := $(VENV)/.ready-base
RUNTIME_READY := $(VENV)/.ready-runtime
DEV_READY := $(VENV)/.ready-dev
# dev.txt contains all of runtime.txt. Once it is installed, running the service needs nothing more and removes nothing.
SERVICE_READY := $(if $(wildcard $(DEV_READY)),$(DEV_READY),$(RUNTIME_READY))

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --custom-compile-command "make lock"

help: ## list the entries
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1@\2/p' $(MAKEFILE_LIST) | awk -F@ '{printf "%-20s %s\n", $$1, $$2}'

demo: $(SERVICE_READY) ## show the whole service at work with sample data, in one process
	@$(BIN)/jornada demo $(ARGS)

up: $(SERVICE_READY) ## run the whole service in one process (SQLite)
	@$(BIN)/jornada up $(ARGS)

cluster: $(DEV_READY) ## run one process per service on a real Kafka and PostgreSQL, without Docker
	@$(BIN)/python -m deploy.cluster $(ARGS)

demo-cluster: $(DEV_READY) ## the demo on a real Kafka and PostgreSQL, without Docker
	@$(BIN)/python -m deploy.cluster --demo $(ARGS)

test: lint types imports ## check everything: lint, types, imports between layers, tests (ARGS="-k name" for some)
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(ARGS)

lint: $(DEV_READY) ## ruff: rules and format
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "format: run $(BIN)/ruff format"; exit 1; }
	@echo "lint: clean"

types: $(DEV_READY) ## mypy, strict
	@$(BIN)/mypy

imports: $(DEV_READY) ## import-linter: services never import each other, domain does no IO
	@$(BIN)/lint-imports --no-cache > $(VENV)/imports.txt || { cat $(VENV)/imports.txt; exit 1; }
	@echo "imports: clean"

bench: $(DEV_READY) ## measure throughput and latency on real servers
	@$(BIN)/python -m tests.benchmarks $(ARGS)

faults: $(DEV_READY) ## kill processes and servers at work and check that nothing is lost or done twice
	@$(BIN)/python -m tests.faults $(ARGS)

lock: $(BASE_READY) ## work out the locked versions anew from pyproject.toml (UPGRADE=--upgrade for newer ones)
	@echo "locking $(LOCKS)/runtime.txt"
	@$(COMPILE) $(UPGRADE) pyproject.toml --output-file $(LOCKS)/runtime.txt
	@echo "locking $(LOCKS)/dev.txt"
	@$(COMPILE) $(UPGRADE) pyproject.toml --extra dev --constraint $(LOCKS)/runtime.txt --output-file $(LOCKS)/dev.txt
	@echo "locking $(LOCKS)/bootstrap.txt"
	@echo "uv==$(UV_VERSION)" | $(COMPILE) - --output-file $(LOCKS)/bootstrap.txt

clean: ## remove data and caches; what cost a download (.venv, .cache) stays
	@rm -rf .run .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	@find deploy migrations services shared tests -name __pycache__ -prune -exec rm -rf {} +
	@echo "removed data and caches"

$(BASE_READY): $(LOCKS)/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Jornada needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1 | tail -1)."; \
		echo "Install one, or name it: make PYTHON=/path/to/python ..."; exit 1; }
	@echo "set-up: creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { \
		echo "$(PYTHON) cannot create a virtual environment. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "set-up: fetching the installer (uv $(UV_VERSION), 20 MB)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $< || { \
		echo "could not fetch uv $(UV_VERSION) from the Python package registry."; \
		echo "Check the network, or the index and certificate that pip is configured with (pip config list), and"; \
		echo "run the same command again."; exit 1; }
	@touch $@

$(RUNTIME_READY): $(LOCKS)/runtime.txt $(BASE_READY)
	@echo "set-up: installing what the service needs"
	@$(call sync,$<)
	@touch $@

$(DEV_READY): $(LOCKS)/dev.txt $(BASE_READY)
	@echo "set-up: installing what the service, its tests and the servers need (about 350 MB)"
	@$(call sync,$<)
	@touch $@

# The project itself is linked rather than built: a build would fetch its tool, unlocked, for a few pure Python folders.
define sync
$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes $(1) || { \
	echo "could not install all of $(1); the lines above name the package."; \
	echo "Check the network, or the index that uv is configured with (UV_INDEX_URL, SSL_CERT_FILE), and run the same"; \
	echo "command again: what has come is kept."; exit 1; } ; $(BIN)/python deploy/link_project.py
endef

.PHONY: help demo up cluster demo-cluster test lint types imports bench faults lock clean
