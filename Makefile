# Every target needs .venv and makes it by itself; `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MATRIX := $(if $(BACKEND),--backend $(BACKEND)) $(if $(QUICK),--nodes 3 --time-limit 10 --interval 3 --rate 200 --jobs 4,--time-limit 30 --jobs 2)
PARALLEL := --dist worksteal --numprocesses $(shell expr $$(nproc) + 1)

.PHONY: help setup demo test lint bench nemeses fuzz matrix skews lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.stamp $(VENV)/.kernels  ## create .venv with the locked dependencies, compile the kernels

$(VENV)/.stamp: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# A compiled kernel shadows its source: it is built again whenever that changes.
$(VENV)/.kernels: $(VENV)/.stamp setup.py $(wildcard */_kernels/*.py */_kernels/*.pxd)
	$(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@

demo: setup  ## five real etcd nodes, 30 s of faults, a verdict and a report
	$(BIN)/kingslayer run etcd --nodes 5 --workload register --nemesis partition,pause,kill --time-limit 30

# What starts clusters comes after the rest: it measures time, which a busy machine disturbs. Tests often wait, so there
# is one process more than there are cores.
test: setup lint  ## lint, types and the whole test suite
	$(BIN)/python -m pytest $(PARALLEL) --ignore tests/integration
	$(BIN)/python -m pytest $(PARALLEL) tests/integration

lint: setup
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: setup  ## measure every figure that the docs give
	$(BIN)/python -m benchmarks

nemeses: setup  ## every fault on real servers: whether it is verified, and how long it takes, as a table
	$(BIN)/python -m benchmarks.nemeses

fuzz: setup  ## the checkers against the brute-force oracle, for SECONDS=… or until it is interrupted
	PYTHONPATH=. $(BIN)/python tests/unit/checkers/fuzz.py $(SECONDS)

# The second campaign holds the controls: systems that promise less than the workloads ask for, and that may be caught at it.
matrix: setup  ## every workload on every system, with and without faults, as tables (QUICK=1: shorter; BACKEND=netns)
	code=0; $(BIN)/kingslayer campaign etcd zookeeper consul $(MATRIX) || code=$$?; \
	$(BIN)/kingslayer campaign nats redis redlock $(MATRIX) || test $$? -eq 1 || code=$$?; exit $$code

skews: setup  ## 500 skews of a busy server's clock, and 500 kills of the injector
	KINGSLAYER_SKEW_CYCLES=500 $(BIN)/python -m pytest tests/integration/test_clock_survival.py --timeout=0

lock: setup  ## resolve requirements.lock anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --extra etcd --extra dev --output-file requirements.lock pyproject.toml

clean: setup  ## remove what crashed runs left behind
	$(BIN)/kingslayer clean
