# make demo                 explain 21 real photographs with a real network, and say which file to open
# make demo BACKEND=keras   the same network in Keras; KERAS_BACKEND=tensorflow, jax or torch chooses what it runs on
# make report               train a classifier and watch where it looks, epoch by epoch; BACKEND=keras too
# make test                 run all tests
# All do all of their set-up, in the folder .venv.

PYTHON ?= $(firstword $(foreach p,python3.11 python3 python,$(if $(shell command -v $(p)),$(p))))
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
KERAS := $(VENV)/ready-keras
TRACKERS := $(VENV)/ready-trackers
KERAS_PEERS := $(VENV)/keras-peers
BACKEND ?= torch
KERAS_TESTS := $(addprefix test-keras-,tensorflow jax torch)

.DEFAULT_GOAL := help
.PHONY: help demo report test test-main test-core test-keras $(KERAS_TESTS) test-pythons lint types bench bench-keras bench-monitor browser clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

# torch is pinned for our own environment only; the package itself takes a wide range.
$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "xaicore needs Python 3.10 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo,test,dev]'
	touch $@

# Keras and the frameworks that it runs on come after torch, and are left out where nothing asks for them.
$(KERAS): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[tensorflow,jax]'
	touch $@

# Trackers and training loops, which only the tests and the report need.
$(TRACKERS): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[wandb,tensorboard,mlflow,lightning,transformers,ignite]'
	touch $@

demo: $(READY) $(if $(filter keras,$(BACKEND)),$(KERAS)) ## explain 21 real photographs
	$(BIN)/python -m examples.demo --backend $(BACKEND)

report: $(TRACKERS) $(if $(filter keras,$(BACKEND)),$(KERAS)) ## train and watch
	$(BIN)/python -m examples.report.$(BACKEND)

# Two at a time: a Keras backend in a process of its own each, and the other Pythons, beside all that needs neither.
test: $(READY) $(KERAS) $(TRACKERS) browser ## run all tests
	$(MAKE) -j2 test-main $(KERAS_TESTS) test-pythons

test-main: $(READY) $(TRACKERS)
	$(BIN)/python -m pytest

test-keras: $(KERAS_TESTS) ## run Keras' tests on each of its backends

$(KERAS_TESTS): test-keras-%: $(KERAS)
	KERAS_BACKEND=$* $(BIN)/python -m pytest tests/keras

test-core: $(READY) ## run the tests that need no framework
	$(BIN)/python -m pytest tests/core tests/loggers/test_disk_*.py

test-pythons: $(READY) ## run those on other Pythons, where these are found
	$(BIN)/python tests/other_pythons.py

# A real browser looks at the gallery. Where none is installed, Debian's is.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
	  command -v apt-get >/dev/null && sudo=$$(test "$$(id -u)" = 0 || echo sudo -n) && \
	  $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq chromium >/dev/null; } || \
	  echo "no Chromium: the tests in tests/browser will fail until one is installed"

lint: $(READY) ## check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(TRACKERS) ## check types
	$(BIN)/mypy

# Peers without their dependencies: some would replace torch. Those that do not import are left out with a word.
bench: $(READY) ## time and memory, as ratios against a bare forward pass
	-$(BIN)/python -m pip install --quiet --no-deps captum grad-cam torchcam ttach tqdm matplotlib scikit-learn \
	  contourpy cycler fonttools kiwisolver pyparsing python-dateutil six joblib threadpoolctl
	$(BIN)/python -m benchmarks

# In a folder of their own: one of them installs a top-level package `tests`, the other asks for an older TensorFlow.
bench-keras: $(KERAS) ## the same for Keras, on each of its backends
	-test -d $(KERAS_PEERS) || $(BIN)/python -m pip install --quiet --no-deps --target $(KERAS_PEERS) \
	  tf-keras-vis xplique deprecated einops tensorflow-probability tf-keras dm-tree attrs decorator cloudpickle \
	  matplotlib contourpy cycler fonttools kiwisolver pyparsing python-dateutil scikit-learn joblib narwhals threadpoolctl
	PYTHONPATH=$(KERAS_PEERS) $(BIN)/python -m benchmarks.keras

bench-monitor: $(READY) ## what watching a training costs it
	$(BIN)/python -m benchmarks.monitor

clean: ## remove what the other targets made
	rm -rf $(VENV) .cache build dist demo-pictures .pytest_cache .mypy_cache .ruff_cache .hypothesis
