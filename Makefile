# kft: `make help` lists the targets. Everything is installed into .venv; nothing outside this folder changes.

PYTHON ?= python3.11
# Each worker of pytest loads TensorFlow (about 1 GB of memory); 2 suits a laptop with 2 to 4 cores.
WORKERS ?= 2
# What `make install` brings beside kft: exporting and serving, as README's steps have them.
EXTRAS ?= onnx,serve

VENV := .venv
BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip install --quiet --disable-pip-version-check
KFT_INSTALLED := $(VENV)/kft-installed
DEV_INSTALLED := $(VENV)/dev-installed
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# Else each of the processes that the tests start compiles all of kft again.
unexport PYTHONDONTWRITEBYTECODE

# Environments beside .venv, made by uv: ENV_x says what is installed into .venv-x, PYTHON_x by which interpreter (uv fetches it where it is missing).
ENVS := lowest latest tf220 py311 py312 py313
ENV_lowest := --resolution lowest-direct
ENV_tf220 := 'tensorflow>=2.20,<2.21'
PYTHON_py311 := 3.11
PYTHON_py312 := 3.12
PYTHON_py313 := 3.13

.PHONY: help quickstart install test test-all $(ENVS:%=test-%) lint docs notebooks bench bench-peers release clean
.DEFAULT_GOAL := help

help:
	@echo "make quickstart  install kft into .venv, fine-tune on product reviews, print the measured result"
	@echo "make install     install kft and the extras $(EXTRAS) into .venv, and nothing else; EXTRAS=all brings every one"
	@echo "make test        formatting, lint, types, tests (without the slow ones)"
	@echo "make test-all    the same with the slow tests, and coverage"
	@echo "make test-lowest the tests with the lowest version of every direct dependency, in .venv-lowest (about 1 GB to fetch)"
	@echo "make test-latest the tests with the newest of every dependency, in .venv-latest; test-tf220 with TensorFlow 2.20, the last that TPUs have"
	@echo "make test-py311  the tests under Python 3.11; likewise test-py312, test-py313"
	@echo "make lint        formatting, lint and types only"
	@echo "make docs        the documentation site in build/docs; strict: a link that leads nowhere stops it"
	@echo "make notebooks   writes notebooks/*.ipynb anew from the scripts beside them"
	@echo "make bench       the benchmarks on your csv files: make bench TRAIN=train.csv TEST=test.csv (about an hour)"
	@echo "make bench-peers the same with peers that need torch, installed into .venv-peers and .venv-autogluon"
	@echo "make release     sdist and wheel in dist/, checked in empty environments; KEY=~/.ssh/id_ed25519 signs (docs/releasing.md)"
	@echo "make clean       remove .venv, .venv-* and every cache of the tools; runs/ and downloaded weights stay"
	@echo
	@echo "Variables: PYTHON=$(PYTHON)  WORKERS=$(WORKERS)  EXTRAS=$(EXTRAS)  TESTS=tests/recipe, what test-* run"

quickstart: $(KFT_INSTALLED)
	@echo "==> training on recipes/sentiment/product_reviews.yaml (the first run fetches about 90 MB)"
	@$(BIN)/kft train recipes/sentiment/product_reviews.yaml

install: $(KFT_INSTALLED)
	@echo "==> installing the extras $(EXTRAS)"
	@$(PIP) -e '.[$(EXTRAS)]'
	@echo "next: . .venv/bin/activate, then kft init DATA -o recipe.yaml in any folder"

lint: $(DEV_INSTALLED)
	@echo "==> formatting"
	@$(BIN)/ruff format --check .
	@echo "==> lint"
	@$(BIN)/ruff check .
	@echo "==> types"
	@$(BIN)/mypy

test: lint
	@echo "==> tests ($(WORKERS) workers; the slow ones: make test-all)"
	@$(PYTEST)

test-all: lint
	@echo "==> all tests ($(WORKERS) workers; the slow ones take minutes each)"
	@$(PYTEST) -m "slow or not slow" --cov --cov-report=term

# test-latest asks anew what is newest; the others keep what they have until setup.cfg changes.
$(ENVS:%=test-%): test-%: .venv-%/installed
	@echo "==> tests in .venv-$* ($(WORKERS) workers)"
	@.venv-$*/bin/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

$(ENVS:%=.venv-%/installed): .venv-%/installed: setup.cfg pyproject.toml | .venv-uv/bin/uv
	@echo "==> installing kft into .venv-$* (the first time about 1 GB)"
	@.venv-uv/bin/uv venv --quiet --clear --python $(or $(PYTHON_$*),$(PYTHON)) .venv-$*
	@.venv-uv/bin/uv pip install --quiet --python .venv-$*/bin/python -e '.[test]' $(ENV_$*)
	@touch $@

.PHONY: .venv-latest/installed

.venv-uv/bin/uv: | $(BIN)/python
	@$(PYTHON) -m venv --clear .venv-uv
	@.venv-uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5'

# The variable silences mkdocs-material's advertisement of its successor.
docs: $(DEV_INSTALLED)
	@echo "==> building the site"
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "build/docs/index.html; with its search: $(BIN)/python -m http.server --bind 127.0.0.1 --directory build/docs 8080"

notebooks: $(DEV_INSTALLED)
	@$(BIN)/python notebooks/sync.py

BENCH := --train "$(TRAIN)" --test "$(TEST)"

bench: $(DEV_INSTALLED)
	@test -f "$(TRAIN)" -a -f "$(TEST)" || { echo "make bench TRAIN=train.csv TEST=test.csv, both with the columns text and label" >&2; exit 2; }
	$(BIN)/python benchmarks/frozen_probe.py $(BENCH) --repeats 1
	$(BIN)/python benchmarks/partial.py $(BENCH)
	$(BIN)/python benchmarks/full.py $(BENCH) $(if $(PEERS),--peers $(PEERS))
	$(BIN)/python benchmarks/floor.py $(BENCH)
	$(BIN)/python benchmarks/time_to_accuracy.py $(BENCH) $(if $(PEERS),--peers $(PEERS))
	$(BIN)/python benchmarks/whole_run.py $(BENCH)
	$(BIN)/python benchmarks/inference.py $(BENCH)
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/scaling.py check
	$(BIN)/python benchmarks/audit.py $(BENCH)
	$(BIN)/python benchmarks/few_labels.py $(BENCH) $(if $(PEERS),--peers $(PEERS) --autogluon $(AUTOGLUON))
	$(BIN)/python benchmarks/verdict.py $(BENCH)
	$(BIN)/python benchmarks/distribution.py $(BENCH)
	$(BIN)/python benchmarks/unsure.py $(BENCH)

bench-peers: .venv-peers/installed .venv-autogluon/installed
	@$(MAKE) bench PEERS=.venv-peers/bin/python AUTOGLUON=.venv-autogluon/bin/python

.venv-peers/installed: benchmarks/peers.txt | $(BIN)/python
	@echo "==> installing the peers into .venv-peers (1.7 GB on disk)"
	@$(PYTHON) -m venv --clear .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

.venv-autogluon/installed: benchmarks/autogluon.txt | $(BIN)/python
	@echo "==> installing AutoGluon into .venv-autogluon (2.3 GB on disk)"
	@$(PYTHON) -m venv --clear .venv-autogluon
	@.venv-autogluon/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# Each file is installed by itself: what lies in the checkout must not make up for what a package lacks.
release: | .venv-uv/bin/uv
	@git diff --quiet HEAD || { echo "commit first: the packages are built from what is committed" >&2; exit 1; }
	@rm -rf dist build
	@.venv-uv/bin/uv build --quiet --out-dir dist
	@.venv-uv/bin/uv tool run --quiet twine check --strict dist/*.whl dist/*.tar.gz
	@for file in dist/*.whl dist/*.tar.gz; do \
		echo "==> $$file in an empty environment" && \
		.venv-uv/bin/uv venv --quiet --clear --python $(PYTHON) .venv-release && \
		.venv-uv/bin/uv pip install --quiet --python .venv-release/bin/python "$$file" && \
		.venv-release/bin/python -I -m pip check && \
		(cd .venv-release && bin/kft --version && bin/kft doctor > /dev/null) || exit 1; \
	done
	@cd dist && sha256sum *.whl *.tar.gz > SHA256SUMS
	@if [ -n "$(KEY)" ]; then ssh-keygen -q -Y sign -f "$(KEY)" -n kft dist/SHA256SUMS; else echo "not signed: no KEY was named"; fi
	@ls -l dist

clean:
	@echo "==> removing .venv, .venv-*, build/ and the tools' caches; runs/ stays"
	@rm -rf $(VENV) .venv-* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*
	@find kft tests benchmarks recipes -name __pycache__ -type d -prune -exec rm -rf {} +

# What follows installs, once: again only when setup.cfg or pyproject.toml changes.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
		echo "kft needs Python 3.11; '$(PYTHON)' is missing here or is another version." >&2; \
		echo "  Debian, Ubuntu: sudo apt install python3.11 python3.11-venv" >&2; \
		echo "  anywhere:       uv python install 3.11, or pyenv install 3.11" >&2; \
		echo "  installed elsewhere: make PYTHON=/path/to/python3.11 ..." >&2; \
		exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) lacks the modules venv and ensurepip, which make the virtual environment." >&2; \
		echo "  Debian, Ubuntu: sudo apt install python3.11-venv" >&2; \
		exit 1; }
	@echo "==> creating $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }

$(KFT_INSTALLED): setup.cfg pyproject.toml | $(BIN)/python
	@echo "==> installing kft into $(VENV) (the first time fetches about 1 GB, TensorFlow most of it)"
	@$(PIP) -e .
	@touch $@

$(DEV_INSTALLED): setup.cfg pyproject.toml | $(BIN)/python
	@echo "==> installing kft and its development tools into $(VENV) (the first time about 1 GB)"
	@$(PIP) -e '.[dev]'
	@touch $@ $(KFT_INSTALLED)
