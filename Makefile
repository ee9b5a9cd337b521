# Works from any path, also one with spaces: nothing here names an absolute one.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := PATH="$$PWD/$(VENV)/bin:$$PATH"
.DEFAULT_GOAL := help
.PHONY: help setup repro demo test test-avx2 test-slow campaign lint bench docs parameters release-check ui dashboard
# EXTRA_PIP_ARGS reaches every installation: another package index, a proxy, a cache. UV= installs by pip even where uv is.
EXTRA_PIP_ARGS ?=
UV ?= $(shell command -v uv)
INSTALL := $(if $(UV),"$(UV)" pip install --python $(VENV)/bin/python --compile-bytecode,$(VENV)/bin/python -m pip install --disable-pip-version-check)
# The pins are constraints, so that a PyTorch without CUDA brings no CUDA libraries. HASHED=1, as CI sets it, installs
# the same versions and checks the hash of every file; without a search for dependencies, since with hashes pip refuses a
# release that came after the file was written (coverage[toml]) instead of passing over it.
RUNTIME := $(if $(HASHED),--no-deps --requirement requirements-hashed.txt,--requirement requirements.in --constraint requirements.txt)
TOOLS := $(if $(HASHED),--no-deps --requirement requirements-hashed.txt,--requirement requirements-dev.in --constraint requirements-dev.txt)

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

setup: $(VENV)/.ready ## Make the environment in .venv from the pinned requirements; again after a cut download

# What a cut run left is kept where it is whole: a package without the file INSTALLER, which pip and uv write near the end, is
# installed anew, and without pip, or for another Python, so is everything.
$(VENV)/.ready: requirements.in requirements.txt pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "LeukoSR needs Python 3.11 or newer; name one with PYTHON=python3.11"; exit 1; }
	@echo "Setting up $(VENV) with $$("$(PYTHON)" --version) and $(if $(UV),uv,pip (silent while it unpacks)): up to 2.8 GB to download and 6.6 GB" \
	  "on disk with PyTorch's CUDA libraries (docs/install.md: without them), 1 to 10 minutes. If it is cut, run it again."
	@for info in $(VENV)/lib/python*/site-packages/*.dist-info; do [ -e "$$info/INSTALLER" ] || rm -rf "$$info"; done
	@whole='import importlib.metadata, sys; importlib.metadata.version("pip"); print(sys.version)'; \
	if [ "$$($(VENV)/bin/python -c "$$whole" 2>&1)" != "$$("$(PYTHON)" -c 'import sys; print(sys.version)')" ]; then "$(PYTHON)" -m venv --clear $(VENV); fi
	$(INSTALL) $(RUNTIME) $(EXTRA_PIP_ARGS)
	$(INSTALL) --quiet --no-deps --no-build-isolation --editable . $(EXTRA_PIP_ARGS)
	@touch $(VENV)/.ready; echo "$(VENV) is ready."

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.in requirements-dev.txt
	@echo "Adding what tests and linting need, in up to half a minute."
	$(INSTALL) --quiet $(TOOLS) $(EXTRA_PIP_ARGS)
	@touch $(VENV)/.ready-dev

test test-avx2 test-slow campaign lint bench docs parameters release-check: $(VENV)/.ready-dev

repro: setup ## Run the study that params.yaml holds; a second run does nothing new
	@$(RUN) leukosr which
	$(RUN) dvc repro
	@$(RUN) leukosr show

demo: setup ## Go back to the committed demo study and run it
	git checkout --quiet HEAD -- params.yaml dvc.lock
	@$(MAKE) --no-print-directory repro

# COVERAGE=1, as CI sets it, ends with the lines that no test ran; it is no gate.
COVERED := $(if $(COVERAGE),--cov --cov-report=)

# Two processes, each with one thread for its networks (conftest.py), so that neither waits for the other.
define beside
@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; export $(RUN); \
COVERAGE_FILE=.coverage.beside python -m pytest $(COVERED) -m "$(1)" $(2) > "$$log" 2>&1 & beside=$$!; \
COVERAGE_FILE=.coverage.others python -m pytest $(COVERED) -m "$(1)" $(2:%=--ignore=%); others=$$?; \
echo "$(2), which run beside these:"; wait $$beside; beside=$$?; cat "$$log"; \
$(if $(COVERAGE),coverage combine --quiet && coverage report --skip-covered --show-missing;) \
exit $$((others | beside))
endef

test: ## Run the tests, those of the pipeline, its stages and their configuration beside the others
	$(call beside,not slow,tests/pipeline tests/stages tests/test_config.py tests/test_own_study.py)

test-avx2: ## Run the pipeline's end-to-end tests as a processor without bf16 instructions would
	$(RUN) ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 python -m pytest \
	  tests/pipeline/test_finished.py tests/pipeline/test_mlflow_project.py tests/engine/test_precision.py

test-slow: ## Run the tests that `make test` leaves out as too slow, those of the pipeline beside the others
	$(call beside,slow,tests/pipeline tests/test_config.py)

campaign: ## Inject all faults of tests/faults and write docs/reliability.md (long)
	@table=$$(mktemp); trap 'rm -f "$$table"' EXIT; export $(RUN); \
	LEUKOSR_CAMPAIGN=1 LEUKOSR_CAMPAIGN_TABLE="$$table" python -m pytest --timeout 7200 tests/faults; failed=$$?; \
	test $$failed -le 1 && python -m tests.faults.page "$$table" docs/reliability.md && exit $$failed

lint: ## Check style, types and the direction of imports
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) lint-imports --no-logo

bench: ## Measure the speed against plain reference loops
	$(RUN) python -m benchmarks

docs: ## Make the site of the documents in site/; a dead link is an error
	@$(RUN) NO_MKDOCS_2_WARNING=1 mkdocs build --strict

parameters: ## Write docs/parameters.md from the descriptions of the settings and conf/
	$(RUN) python parameters_page.py

release-check: ## Check version, changelog and tree, and build the wheel in dist/; TAG=v1.2.3 must fit
	@$(RUN) python release_check.py $(TAG)

ui: setup ## Show all runs in MLflow on http://127.0.0.1:5000
	@echo "MLflow starts; when it says 'Application startup complete', open this address (Ctrl-C stops it):"
	@$(RUN) python -m leukosr.tracking.runs_view http://127.0.0.1:5000
	@$(RUN) MLFLOW_DISABLE_TELEMETRY="$${MLFLOW_DISABLE_TELEMETRY:-true}" mlflow ui --host 127.0.0.1

dashboard: setup ## Show the trials of sweeps in Optuna's dashboard on http://127.0.0.1:8080
	@mkdir -p optuna_artifacts
	@export $(RUN); storage=$$(python -m leukosr.tracking.trials_view) && \
	optuna-dashboard "$$storage" --artifact-dir optuna_artifacts --host 127.0.0.1
