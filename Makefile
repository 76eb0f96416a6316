# Two commands for people: `make demo`, `make test`. Two for the gate: `make check`, `make test`.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test check format docs recipes clean

demo: .venv/installed ## train on MNIST and write a report
	$(BIN)/latens run mnist

test: .venv/installed-dev ## all tests
	$(BIN)/python -m pytest

check: .venv/installed-dev ## style, types, layers: seconds
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py

format: .venv/installed-dev
	$(BIN)/ruff check --fix src tests benchmarks docs
	$(BIN)/ruff format src tests benchmarks docs

docs: .venv/installed-dev ## write docs/cli.md anew from the parser
	$(BIN)/python docs/generate.py

recipes: .venv/installed-dev ## the table of `fast` over five seeds
	$(BIN)/python benchmarks/recipes.py

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) --editable .
	touch $@

.venv/installed-dev: pyproject.toml constraints.txt .venv/installed
	$(PIP) --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache src/latens.egg-info
