# One set of commands, the same by hand and in CI. `make demo` and `make test` need nothing but Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/sh

.PHONY: demo test test-slow check fix docs bench-quick clean

demo: $(VENV)/.demo
	$(BIN)/twofold demo

# two processes of one thread each: a test process with two threads is no faster than with one
test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile

test-slow: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m slow -n 2 --dist loadfile

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev
	$(BIN)/python docs/reference.py
	$(BIN)/python docs/figures.py

# certification, drift, engines and evaluation have their quick runs in test-slow, which looks at their figures, too
bench-quick: $(VENV)/.dev
	for bench in losses first_day embedding distributed training doctor alarms resume durability search hostile paths tune track; do \
		$(BIN)/python bench/$$bench.py --quick || exit 1; \
	done
	$(BIN)/python bench/names.py --quick --only records
	$(BIN)/python bench/dedup.py --quick --families jpeg crop blur text rotation mirror watermark

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "twofold needs Python 3.11 or later, this is " + sys.version.split()[0] + ": make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

# torch first and by its exact version: a range would fetch gigabytes of GPU packages
$(VENV)/.torch: constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	touch $@

$(VENV)/.demo: pyproject.toml constraints.txt $(VENV)/.torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[demo]"
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt $(VENV)/.torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[data,demo,viz]" --group dev
	touch $@
