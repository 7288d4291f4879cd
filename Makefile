# The two commands of this repository are `make train` and `make test`. `make help` lists the rest.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
BENCH := .venv-bench

# The first supported Python on the path; PYTHON=… chooses another.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$name && break; \
	done || true)

# A process for each core: most of a test's time is TensorFlow tracing in Python, on one core.
SIDE_BY_SIDE := --numprocesses=logical --maxprocesses=4 --dist=worksteal --durations=25

.PHONY: help setup train test lint hooks docs proof bench gpu-test gpu-evidence lock clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

INSTALL_PRE_COMMIT := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'pre-commit~=4.7'

# What NVIDIA's drivers leave, in WSL 2 /dev/dxg, says whether TensorFlow gets CUDA; GPU=1 where they are on another machine.
setup: $(STAMP)  ## create .venv and install the pinned requirements; GPU=1: CUDA as well, whatever this machine has

$(STAMP): requirements.txt requirements-gpu.txt requirements-dev.txt constraints.txt pyproject.toml
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
		echo "make: Python 3.11, 3.12 or 3.13 is needed; found: $$($(or $(PYTHON),python3) --version 2>&1 | head -n 1). Install one, or name it: make setup PYTHON=/path/to/python3.12" >&2; \
		exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		$$(if test -n "$(GPU)" -o -e /proc/driver/nvidia/version -o -e /dev/dxg; then echo -r requirements-gpu.txt; fi) \
		-r requirements-dev.txt -r requirements.txt
	@if test -f .git/hooks/pre-commit; then $(INSTALL_PRE_COMMIT); fi
	@touch $(STAMP)

train: setup  ## train the conv net on two virtual GPUs; ARGS="--steps=100" adds flags
	$(BIN)/python train/main.py --virtual_gpus=2 --memory_limit=1024 $(ARGS)

# On a machine with a GPU as on CI's, which has none: what the GPU adds is in `make gpu-test`.
test: setup  ## what CI runs
	CUDA_VISIBLE_DEVICES=-1 $(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

hooks: setup  ## run ruff and mypy before every commit
	$(INSTALL_PRE_COMMIT)
	$(BIN)/pre-commit install

$(VENV)/docs-installed: $(STAMP) requirements-docs.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r requirements-docs.txt
	@touch $@

docs: $(VENV)/docs-installed  ## README, WORKSPACE and docs/ as a site, every link within it checked; OUTPUT=folder
	PYTHONPATH=. TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m sphinx -q -W --keep-going -E -c docs . $(or $(OUTPUT),runs/site)
	@echo "open $(or $(OUTPUT),runs/site)/docs/index.html"

proof: setup  ## the exhaustive suites, which repeat slow measurements
	CUDA_VISIBLE_DEVICES=-1 $(BIN)/python -m pytest -m proof $(ARGS)

$(BENCH)/installed: requirements-bench.txt
	$(PYTHON) -m venv --clear $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	@touch $@

bench: setup $(BENCH)/installed  ## the conv net here and by PyTorch, JAX and plain Keras, side by side; OUTPUT=folder
	$(BIN)/python -m benchmarks.speed --peers=$(BENCH)/bin/python --out=$(or $(OUTPUT),runs/bench) $(ARGS)

gpu-test: setup  ## what needs an NVIDIA GPU; OUTPUT=folder keeps report.json, the memory ledgers and NVML's table
	$(if $(OUTPUT),GPU_TEST_OUTPUT=$(OUTPUT)) $(BIN)/python -m pytest tests/gpu $(ARGS)

gpu-evidence: setup  ## all that only a GPU can show, for docs/gpu.md; OUTPUT=folder, ARGS="--parts=main,plan"
	$(BIN)/python -m benchmarks.gpu_evidence --out=$(or $(OUTPUT),runs/gpu-evidence) --warm_up $(ARGS)

lock: setup  ## choose newer versions for constraints.txt, for all supported Pythons and with the CUDA wheels
	$(BIN)/python -m pip install --quiet uv
	grep -v '^-e' requirements.txt | cat - requirements-dev.txt | $(BIN)/uv pip compile --quiet --universal \
		--python-version 3.11 --no-annotate --no-header - requirements-gpu.txt --output-file constraints.txt --upgrade

clean:  ## remove the environment and caches; runs/ stays
	rm -rf $(VENV) $(BENCH) .pytest_cache .ruff_cache .mypy_cache *.egg-info
