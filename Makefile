# Everything here needs Python >= 3.11 and make, and nothing else.
#   make quickstart   a whole study on the bundled digits, to a finished report, in about a minute
#   make test         all tests but the long ones
#   make test-mnist   the tests on the real MNIST and Fashion-MNIST; DATA=folder
#   make benchmark    our CPU time against a plain Ray Tune sweep; DATA=folder
#   make test-cluster `ray up`, submit, fetch and down on machines made of namespaces; nodes killed and frozen
#   make lint         style and security rules
#   make pins         write .ci/constraints.txt anew from what is installed

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= $(AESWEEP_DATA_DIR)
EXTRAS ?= test

.PHONY: quickstart test test-mnist test-cluster benchmark lint pins install

# Workers start four seconds faster with compiled bytecode, which some environments tell Python not to write.
$(VENV)/installed: pyproject.toml .ci/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile --constraint .ci/constraints.txt --editable '.[$(EXTRAS)]'
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib sweep models data > /dev/null || true
	touch $@

install: $(VENV)/installed

quickstart: install
	rm -rf runs/quickstart
	$(BIN)/aesweep run jobs/quickstart.yaml

test: install
	$(BIN)/python -m pytest

test-mnist: install
	AESWEEP_DATA_DIR=$(DATA) $(BIN)/python -m pytest -m mnist

test-cluster: install
	$(BIN)/python -m pytest -m cluster

benchmark: install
	AESWEEP_DATA_DIR=$(DATA) $(BIN)/python tests/benchmarks/bench_cpu.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

pins: install
	$(BIN)/pip freeze --exclude-editable > .ci/constraints.txt
