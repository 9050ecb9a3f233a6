# Everything here needs Python >= 3.11 and make, and nothing else.
#   make quickstart   a whole study on the bundled digits, to a finished report, in about a minute
#   make test         all tests but the long ones
#   make test-mnist   the tests on the real MNIST and Fashion-MNIST; DATA=folder
#   make benchmark    our CPU time against a plain Ray Tune sweep; DATA=folder
#   make benchmark-many   what 100 and 1,000 small trials cost
#   make benchmark-gpu    packs on a GPU against single models and processes; says so where there is none
#   make lint         style and security rules
#   make pins         write .ci/constraints.txt anew from what is installed

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= $(AESWEEP_DATA_DIR)

.PHONY: quickstart test test-mnist benchmark benchmark-many benchmark-gpu lint pins install

# Workers start four seconds faster with compiled bytecode, which some environments tell Python not to write.
$(VENV)/installed: pyproject.toml .ci/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile --constraint .ci/constraints.txt --editable '.[test]'
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

benchmark: install
	AESWEEP_DATA_DIR=$(DATA) $(BIN)/python tests/benchmarks/bench_cpu.py

benchmark-many: install
	$(BIN)/python tests/benchmarks/bench_many_trials.py

benchmark-gpu: install
	$(BIN)/python tests/benchmarks/bench_gpu.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

pins: install
	$(BIN)/pip freeze --exclude-editable > .ci/constraints.txt
