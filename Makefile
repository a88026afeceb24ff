# Every target sets up what it needs. `make help` explains them.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all check format lint types imports test-fast coverage golden bench lock
.PHONY: rootfs test-rootfs test-flink terraform-check lint-ci audit clean

VENV := .venv
BIN := $(VENV)/bin
PACKAGES := components pipelines trainer
CODE := $(PACKAGES) tests infra
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed  ## Make .venv from the locked packages, with .venv/bin/platewise in it

$(VENV)/.installed: requirements.lock pyproject.toml infra/lock/install.sh $(wildcard components/*/*.c)
	@sh infra/lock/install.sh $(VENV)

demo: setup  ## Simulate a small screen, run the whole pipeline on it, write a report
	@$(BIN)/platewise run --demo

test: setup  ## Run the tests, an end-to-end run of the real pipeline among them
	$(PYTEST) -m "not thorough"

test-all: setup  ## The same with every variant, kill and rehearsal of the compiled pipelines (twice as long)
	$(PYTEST)

check: format-check lint types imports test-fast  ## Format, lint, types, import direction, fast tests

.PHONY: format-check
format-check: setup
	$(BIN)/ruff format --check $(CODE)

format: setup  ## Rewrite the code in the house format
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

lint: setup  ## Lint
	$(BIN)/ruff check $(CODE)

types: setup  ## Check types
	$(BIN)/mypy

imports: setup  ## Check that imports run pipelines -> components -> trainer and never back
	$(BIN)/lint-imports

test-fast: setup  ## Run the tests that are neither slow nor end to end
	$(PYTEST) -m "not slow and not thorough and not e2e"

test-flink: setup  ## Run the Beam stages on Flink and Prism and compare the bytes (about 15 minutes, 8 more the first time)
	@sh infra/flink/setup.sh build/flink
	PLATEWISE_FLINK=$(CURDIR)/build/flink $(BIN)/python -m pytest -v tests/distributed

ROOTFS ?= /var/tmp/platewise-rootfs
rootfs: setup  ## Build the images' root file systems without a container engine (as root; 15 minutes, 10 GB)
	$(BIN)/python infra/docker/rootfs.py build infra/docker/components.Dockerfile --store $(ROOTFS) --out $(ROOTFS)/components
	for variant in tpu cpu; do $(BIN)/python infra/docker/rootfs.py build infra/docker/trainer.Dockerfile \
	    --build-arg VARIANT=$$variant --store $(ROOTFS) --out $(ROOTFS)/trainer-$$variant || exit 1; done

test-rootfs: setup  ## Test what runs in them, both compiled pipelines among it (after make rootfs)
	PLATEWISE_ROOTFS=$(ROOTFS) $(PYTEST) tests/infra/test_docker_rootfs.py tests/e2e/test_compiled.py

coverage: setup  ## Run every test and show coverage of the three packages
	$(PYTEST) --cov --cov-report=term:skip-covered

golden: setup  ## Write tests/golden anew from what is compiled now; read the difference
	PLATEWISE_RENEW_GOLDEN=1 $(BIN)/python -m pytest -q tests/pipelines/vertex/test_compile.py

bench: setup  ## Measure ingest, Transform, trainer feed and evaluation against peers; print ratios
	$(BIN)/python infra/bench

.PHONY: bench-denoise
bench-denoise: setup  ## Measure filters and a denoiser (MODEL=DIR) on every noise; print tables and gates
	$(BIN)/python infra/bench/bench_denoise.py $(if $(MODEL),--model $(MODEL)) $(BENCH)

.PHONY: bench-train
bench-train: setup  ## Measure training at real size on this machine's accelerator; BENCH="--presets base"
	$(BIN)/python infra/bench/bench_train.py $(BENCH)

lock: setup  ## Resolve requirements.lock anew (pyproject.toml + infra/lock/overrides.txt)
	sh infra/lock/lock.sh --upgrade
	sh infra/docker/lock.sh

terraform-check: setup  ## Format, validate and evaluate infra/terraform (needs tofu, terraform or Go)
	sh infra/terraform/check.sh

lint-ci:  ## Lint the workflows and their scripts (needs Go)
	sh infra/cloudbuild/lint.sh

audit: setup  ## Bill of materials and known vulnerabilities (needs the package index's advisories)
	sh infra/audit/run.sh requirements.lock infra/trigger/requirements.txt

clean:  ## Remove runs, caches and the virtual environment
	rm -rf $(VENV) runs build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
