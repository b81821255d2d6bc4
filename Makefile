# `make build` once, then the rest.  PYTHON chooses the interpreter: make test PYTHON=.venv/bin/python
PYTHON ?= python3
BIN := $(shell $(PYTHON) -c "import sysconfig; print(sysconfig.get_path('scripts'))")

.PHONY: build test parity lint format types bench docs api clean

build: # compiles in place; changed Python files count at once, changed Cython and C files after another `make build`
	$(PYTHON) -m pip install --editable '.[dev,examples,test]'

test:
	$(PYTHON) -m pytest

parity: # needs PyTorch
	$(PYTHON) -m pytest -m parity

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/cython-lint tinynet
	$(BIN)/clang-format --dry-run --Werror csrc/*.[ch]
	$(BIN)/codespell

format:
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i csrc/*.[ch]

types:
	$(BIN)/mypy tinynet tests/typing_use.py

bench:
	$(PYTHON) -m benchmarks mnist_mlp

docs: # what the pages show is run, and their links are followed
	$(PYTHON) -m pytest tests/test_docs.py

api: # the reference, into docs/_build, from scratch (names move between pages); needs the extra "docs"
	$(BIN)/sphinx-build -E -n -W --keep-going -q -b html docs docs/_build

clean:
	rm -rf build dist docs/_build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find tinynet -name '*.so' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
