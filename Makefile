# `make build` once, then the rest.  PYTHON chooses the interpreter: make test PYTHON=.venv/bin/python
PYTHON ?= python3

.PHONY: build test parity lint format types bench docs clean

build:  ## compile in place and install in editable mode, with the tools
	$(PYTHON) -m pip install --editable '.[dev,examples,test]'

test:
	$(PYTHON) -m pytest

parity:  ## needs PyTorch
	$(PYTHON) -m pytest -m parity

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m cython_lint tinynet
	$(PYTHON) -m codespell_lib
	@if command -v clang-format >/dev/null; then clang-format --dry-run --Werror csrc/*.[ch]; fi

format:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

types:
	$(PYTHON) -m mypy

bench:
	$(PYTHON) -m benchmarks mnist_mlp

docs:  ## the snippets in README.md and docs/ are tests
	$(PYTHON) -m pytest tests -k docs

clean:
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find tinynet -name '*.so' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
