# Two commands for people: `make demo`, `make test`. Three for the gate: `make check`, `make test`, `make test-all`.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test test-all check format docs bench recipes clean

demo: .venv/installed ## train on MNIST and write a report
	$(BIN)/latens run mnist

test: .venv/installed-dev ## all tests, a file at a time on each of up to four processes
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-all: .venv/installed-dev ## the page in Chromium, Firefox and WebKit; a browser that is missing is skipped
	$(BIN)/python -m pytest -m browsers

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

bench: .venv/installed-dev ## the short form of every benchmark; the first time it makes environments for the peers
	$(BIN)/python benchmarks/start.py --short --json build/bench/start.json
	$(BIN)/python benchmarks/encoding.py --short --json build/bench/encoding.json
	$(BIN)/python benchmarks/training.py --short --json build/bench/training.json
	$(BIN)/python benchmarks/training.py --short --quality --epochs 2 --json build/bench/quality.json
	$(BIN)/python benchmarks/maps.py --short --json build/bench/maps.json
	$(BIN)/python benchmarks/growth.py --short --json build/bench/growth.json

recipes: .venv/installed-dev ## the table of `fast` over five seeds
	$(BIN)/python benchmarks/recipes.py

KERNELS := $(wildcard src/latens/native/*.[ch])

.venv/installed: pyproject.toml constraints.txt $(KERNELS)
	$(PYTHON) -m venv .venv
	$(PIP) --editable .
	touch $@

.venv/installed-dev: pyproject.toml constraints.txt .venv/installed
	$(PIP) --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .peers build src/latens/native/*.so dist .mypy_cache .pytest_cache .ruff_cache src/latens.egg-info
