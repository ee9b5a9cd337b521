# Works from any path, also one with spaces: nothing here names an absolute one.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := PATH="$$PWD/$(VENV)/bin:$$PATH"
.DEFAULT_GOAL := help
.PHONY: help setup repro demo test lint bench ui dashboard

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

setup: $(VENV)/.ready ## Make the environment in .venv from the pinned requirements.txt

$(VENV)/.ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "LeukoSR needs Python 3.11 or newer; name one with PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(VENV)/.ready

repro: setup ## Run the study that params.yaml holds; a second run does nothing new
	@$(RUN) leukosr which
	$(RUN) dvc repro
	@$(RUN) leukosr show

demo: setup ## Go back to the committed demo study and run it
	git checkout --quiet HEAD -- params.yaml dvc.lock
	@$(MAKE) --no-print-directory repro

test: setup ## Run all tests, those of the pipeline beside the others
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; export $(RUN); \
	python -m pytest tests/pipeline > "$$log" 2>&1 & pipeline=$$!; \
	python -m pytest --ignore=tests/pipeline; others=$$?; \
	echo "the pipeline's tests, which run beside these:"; wait $$pipeline; pipeline=$$?; cat "$$log"; \
	exit $$((others | pipeline))

lint: setup ## Check style and types
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

bench: setup ## Measure the speed against plain reference loops
	$(RUN) python -m benchmarks

ui: setup ## Show all runs in MLflow on http://127.0.0.1:5000
	@echo "MLflow starts; when it says 'Application startup complete', open http://127.0.0.1:5000 (Ctrl-C stops it)"
	@$(RUN) mlflow ui --host 127.0.0.1

dashboard: setup ## Show the trials of sweeps in Optuna's dashboard on http://127.0.0.1:8080
	@mkdir -p optuna_artifacts
	@storage="$${LEUKOSR_OPTUNA_STORAGE:-sqlite:///optuna.db}"; \
	$(RUN) optuna-dashboard "$${storage#journal:}" --artifact-dir optuna_artifacts --host 127.0.0.1
