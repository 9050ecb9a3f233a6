# Everything here needs Python >= 3.11 and make, and nothing else.
#   make install      the commands alone; EXTRAS=aws adds what AWS takes, EXTRAS=tensorboard,mlflow,optuna what exports take
#   make quickstart   a whole study on the bundled digits, to a finished report, in one to two minutes
#   make test         all tests but the long ones; RAY_JOBS (2) of those with a Ray at a time
#   make test-ray     all tests that start a Ray, the long ones too
#   make test-mnist   the tests on the real MNIST and Fashion-MNIST; DATA=folder
#   make benchmark    our CPU time against a plain Ray Tune sweep; DATA=folder
#   make benchmark-time-to-quality  until a good model of MNIST is there, against a plain Ray Tune sweep with ASHA; DATA=folder
#   make fuzz         more than ten thousand drawn cases for the journal and for study files
#   make chaos        kills and damages real runs: N faults (20), drawn from SEED (1)
#   make flows        every study of jobs/ and of tests/flows/ run, killed, resumed, extended, fetched, submitted; DATA=folder;
#                     JOBS (3) studies at a time
#   make benchmark-peers  a convolutional model against pythae's, on MNIST; needs the network once; DATA=folder
#   make benchmark-samplers  searches replayed on recorded learning curves, ours against Ray Tune's, Optuna's and Syne
#                     Tune's; needs the network once; DATA=folder; SEEDS=50; FOLDER= for the curves
#   make audit        known vulnerabilities of what is installed; needs the network
#   make benchmark-many   what 100 and 1,000 small trials cost
#   make benchmark-scaling  what the driver costs at 16, 128 and 1,024 GPUs
#   make test-latex       the report's tables and figures in a document, compiled; needs a LaTeX with siunitx (Debian:
#                         texlive-latex-recommended, texlive-science, lmodern) and poppler-utils
#   make test-gpu         the tests that need a GPU; they are skipped where there is none
#   make benchmark-gpu    packs on a GPU against single models and processes, and MNIST's whole search; DATA=folder;
#                         says so where there is none
#   make test-cluster `ray up`, submit, fetch and down on machines made of namespaces, also as moto's AWS; nodes killed and frozen
#   make test-browser     the report's page in a headless Chromium (CHROMIUM=path); skipped where there is none
#   make echarts      bring the charting library of the report's page anew; VERSION=
#   make lint         style and security rules
#   make pins         write .ci/constraints.txt anew from what is installed

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= $(AESWEEP_DATA_DIR)
N ?= 20
SEED ?= 1
JOBS ?= 3
RAY_JOBS ?= 2
EXTRAS ?=
SEEDS ?= 50
FOLDER ?=

.PHONY: quickstart test test-ray test-mnist test-latex test-gpu test-cluster benchmark benchmark-many benchmark-scaling benchmark-gpu benchmark-peers benchmark-time-to-quality benchmark-samplers fuzz chaos flows audit lint pins echarts test-browser install install-for-tests FORCE

# The list of modules, written anew only where it has changed.
$(VENV)/modules: FORCE
	@mkdir -p $(VENV)
	@find sweep models data -name '*.py' -o -name '*.j2' -o -name '*.js' -o -name '*.css' | LC_ALL=C sort > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# What is installed is a package of links to the modules (in build/), which editors follow.
# Workers start four seconds faster with compiled bytecode, which some environments tell Python not to write.
INSTALL := $(BIN)/pip install --quiet --no-compile --constraint .ci/constraints.txt \
	--config-settings editable_mode=strict --editable
COMPILE := $(BIN)/python -m compileall -q -j 0 $(VENV)/lib build > /dev/null || true

$(VENV)/installed: pyproject.toml .ci/constraints.txt $(VENV)/modules
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed")'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) '.$(if $(EXTRAS),[$(EXTRAS)])'
	$(COMPILE)
	touch $@

# What tests, benchmarks and style checks need besides.
$(VENV)/installed-for-tests: $(VENV)/installed
	$(INSTALL) '.[test]'
	$(COMPILE)
	touch $@

install: $(VENV)/installed

install-for-tests: $(VENV)/installed-for-tests

quickstart: install
	rm -rf runs/quickstart
	$(BIN)/aesweep run jobs/quickstart.yaml

# Tests without a Ray run side by side: each process has a part of the folders, so that what a module's tests share is made
# once, and takes over from another when it is done. Of tests with a Ray a module stays together.
ELSEWHERE := gpu or cluster or mnist or chaos or flows or latex or browser
RAY_TESTS = $(BIN)/python -m pytest -n $(RAY_JOBS) --dist loadfile
test: install-for-tests
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'not ray and not (slow or $(ELSEWHERE))'
	$(RAY_TESTS) -m 'ray and not (slow or $(ELSEWHERE))'

test-ray: install-for-tests
	$(RAY_TESTS) -m 'ray and not ($(ELSEWHERE))'

test-mnist: install-for-tests
	AESWEEP_DATA_DIR=$(DATA) $(BIN)/python -m pytest -m mnist

test-latex: install-for-tests
	$(BIN)/python -m pytest -m latex

test-gpu: install-for-tests
	$(BIN)/python -m pytest -m gpu

test-browser: install-for-tests
	AESWEEP_CHROMIUM=$(CHROMIUM) $(BIN)/python -m pytest -m browser

test-cluster: install-for-tests
	$(BIN)/python -m pytest -m cluster

benchmark: install-for-tests
	AESWEEP_DATA_DIR=$(DATA) $(BIN)/python tests/benchmarks/bench_cpu.py

benchmark-many: install-for-tests
	$(BIN)/python tests/benchmarks/bench_many_trials.py

benchmark-scaling: install-for-tests
	$(BIN)/python tests/benchmarks/bench_scaling.py

benchmark-peers: install-for-tests
	$(INSTALL) '.[peers]'
	AESWEEP_DATA_DIR=$(DATA) $(BIN)/python tests/benchmarks/bench_peers.py

benchmark-time-to-quality: install-for-tests
	AESWEEP_DATA_DIR=$(DATA) $(BIN)/python tests/benchmarks/bench_time_to_quality.py

CURVES := digits $(if $(DATA),mnist) $(if $(FOLDER),--folder $(FOLDER))
benchmark-samplers: install-for-tests
	$(INSTALL) '.[search-peers]'
	$(BIN)/python tests/benchmarks/bench_samplers.py record $(CURVES) --processes 2 $(if $(DATA),--data-dir $(DATA))
	$(BIN)/python tests/benchmarks/bench_samplers.py replay $(CURVES) --seeds $(SEEDS) --processes 2 --figure build/regret.svg

benchmark-gpu: install-for-tests
	$(BIN)/python tests/benchmarks/bench_gpu.py
	AESWEEP_DATA_DIR=$(DATA) $(BIN)/python tests/benchmarks/bench_search.py jobs/mnist.yaml

fuzz: install-for-tests
	$(BIN)/python -m pytest -m fuzz --hypothesis-profile=fuzz --timeout=3600

chaos: install-for-tests
	$(BIN)/python -m tests.chaos.harness --faults $(N) --seed $(SEED)

flows: install-for-tests
	AESWEEP_DATA_DIR=$(DATA) $(BIN)/python -m pytest tests/flows -m 'flows or not flows' -n $(JOBS)

# A tool with dependencies of its own, kept apart from ours.
audit: install
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/pip install --quiet pip-audit==2.10.1
	$(VENV)/audit/bin/pip-audit --requirement .ci/constraints.txt --no-deps --disable-pip

lint: install-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# `npm pack` takes the package alone, and runs nothing of it. ECHARTS_VERSION and ECHARTS_SHA256 in assets.py, and
# NOTICE, are then to be brought up to date, which tests/report/test_html_page.py asks for.
ASSETS := sweep/report/formats/html/assets
ECHARTS := $(shell sed -n 's/^ECHARTS_VERSION = "\(.*\)"/\1/p' $(dir $(ASSETS))assets.py)
echarts:
	mkdir -p build/echarts
	cd build/echarts && npm pack --silent echarts@$(or $(VERSION),$(ECHARTS)) | xargs tar xzf
	cp build/echarts/package/dist/echarts.min.js $(ASSETS)/echarts.min.js
	rm -r build/echarts
	sha256sum $(ASSETS)/echarts.min.js

pins: install-for-tests
	$(BIN)/pip freeze --exclude-editable > .ci/constraints.txt
