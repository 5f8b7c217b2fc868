# make demo        the main job on Pendulum-v1, from nothing but Python >= 3.11
# make quick       the tests that need no compiled program, in a minute
# make test        what one change needs: linters, types, import contracts, tests
# make test-full   the same with every test, at the sizes that claims are made at
# make format      sort imports and format
# make docs        the documentation site, in site/
#
# PYTHON=…       the interpreter that .venv is made from, if the search below should not choose
# PYTEST_ARGS=…  more arguments for pytest, such as PYTEST_ARGS="-n 0", PYTEST_ARGS="tests/core -x" or
#                PYTEST_ARGS=--compiles, which lists the tests that compile most programs

SHELL := bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?=
CANDIDATES := $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python)
PYTEST_ARGS ?=
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile
FITS := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo quick test test-full check format clean

help:
	@sed -n -e '/^$$/q' -e 's/^# \{0,1\}//p' Makefile

demo: $(VENV)/.installed
	$(BIN)/paracosm run Pendulum-v1 --transitions 1200 --out runs/demo --force

quick: $(VENV)/.installed-dev
	$(PYTEST) --quick -m "not full" $(PYTEST_ARGS)

# Compiled programs are kept between runs of the tests, which spend most of their time on compiling. A damaged entry
# is only warned about and compiled again; `make clean` forgets them.
test test-full: export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.pytest_cache/jax
test test-full: export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0

# Here programs are compiled in less time and run slower; `make test-full` compiles as users do. Of the processor time
# that a small run of the loop takes with nothing cached, 28 s with the first flag alone, the second saves 12 s and the
# third 4 s.
test: export XLA_FLAGS ?= --xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false \
  --xla_cpu_parallel_codegen_split_count=1
test: check
	$(PYTEST) -m "not full" $(PYTEST_ARGS)

# One thread for the arithmetic of each process: there are as many processes as cores.
test-full: export XLA_FLAGS ?= --xla_cpu_multi_thread_eigen=false

# Shapes and types of arguments are checked against their annotations here only: the checks take a fifth of the time.
test-full: check
	$(PYTEST) --hypothesis-profile=full --jaxtyping-packages=paracosm,tests.typechecking.check $(PYTEST_ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/basedpyright
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix --select I
	$(BIN)/ruff format

# Strict: a broken link, or a page that the navigation lacks, fails. The theme advertises its makers'
# next program at every build unless told not to.
.PHONY: docs
docs: export NO_MKDOCS_2_WARNING ?= 1
docs: $(VENV)/.installed-dev
	$(BIN)/mkdocs build --strict --quiet
	@echo "The first page is site/index.html"

clean:
	rm -rf $(VENV) build dist site .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# A name on the path may be a shim that does not run, or lack the venv module: each candidate is tried.
$(VENV)/.made:
	@if $(BIN)/python -c '$(FITS)' 2>/dev/null && $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  touch $@; exit 0; \
	fi; \
	for candidate in $(CANDIDATES); do \
	  if "$$candidate" -c '$(FITS)' >/dev/null 2>&1; then \
	    echo "Making $(VENV) with $$candidate ($$("$$candidate" --version))"; \
	    "$$candidate" -m venv --clear $(VENV) && touch $@; exit;  \
	  fi; \
	done; \
	echo "No Python >= 3.11 with its venv module was found (tried $(CANDIDATES));" \
	  "install one, or name it: make $(MAKECMDGOALS) PYTHON=..." >&2; \
	exit 1

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing Paracosm into $(VENV)"
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing Paracosm and what its tests need into $(VENV)"
	@$(INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.installed
