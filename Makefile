# The one door to this project. It needs GNU make and Python 3.11 or 3.12, and nothing else.
# Every path is relative and quoted, so a checkout in a folder with a space works.

.DEFAULT_GOAL := help
.NOTPARALLEL:

# One thread for each maths library: two test workers and two markets at a time fill two cores already.
OMP_NUM_THREADS ?= 1
OPENBLAS_NUM_THREADS ?= 1
UV_HTTP_TIMEOUT ?= 180
export OMP_NUM_THREADS OPENBLAS_NUM_THREADS UV_HTTP_TIMEOUT

PYTHON ?=
ARGS ?=
WORKERS ?= 2

VENV_PYTHON := .venv/bin/python
SUPPORTED := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))
PINS := requirements-bootstrap.txt requirements-dev.txt pyproject.toml
# What the installation was made from: where it stands and the content of the pins.
STATE := pwd -P; cat $(PINS) | cksum
LOCK := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

.PHONY: help install reinstall demo ui run test format format-check lint types imports pytest bench \
	bench-models bench-database bench-alerts docs screenshots lock clean

help: ## show this list
	@echo "Klines to signals as Dagster assets. Start with: make demo"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Add arguments with ARGS, for example:"
	@echo "  make run ARGS=\"--symbols BTCUSDT --freqs 5m\""
	@echo "  make pytest ARGS=\"itb_assets_tests/domain -k gaps\""
	@echo "Another Python: make install PYTHON=/path/to/python3.11"

install: ## make .venv with the package and its tools; does nothing when they are there
	@[ "$$( $(STATE) )" = "$$(cat .venv/.installed 2>/dev/null)" ] || $(MAKE) --no-print-directory reinstall

reinstall: ## install again from the pinned requirements
	@set -e; \
	if [ -e .venv/.installed ] && [ "$$(head -n 1 .venv/.installed)" != "$$(pwd -P)" ]; then \
		echo "This checkout was moved: making .venv anew."; rm -rf .venv; \
	fi; \
	rm -f .venv/.installed; \
	if "$(VENV_PYTHON)" -c "$(SUPPORTED)" 2>/dev/null; then exit 0; fi; \
	for candidate in "$(PYTHON)" python3 python3.11 python3.12; do \
		if [ -n "$$candidate" ] && "$$candidate" -c "$(SUPPORTED)" >/dev/null 2>&1; then \
			echo "Making .venv with $$candidate"; \
			rm -rf .venv; "$$candidate" -m venv .venv; exit 0; \
		fi; \
		if [ -n "$(PYTHON)" ]; then break; fi; \
	done; \
	if [ -n "$(PYTHON)" ]; then echo "PYTHON=$(PYTHON) is not a usable Python." >&2; fi; \
	echo "Found no Python 3.11 or 3.12 with its venv module." >&2; \
	echo "Debian or Ubuntu: apt-get install python3 python3-venv. Elsewhere: install Python 3.11," >&2; \
	echo "then name it: make install PYTHON=/path/to/python3.11" >&2; exit 1
	@"$(VENV_PYTHON)" -m pip --version >/dev/null 2>&1 || "$(VENV_PYTHON)" -m ensurepip >/dev/null
	@echo "Installing the pinned packages; the first time downloads about 500 MB."
	@"$(VENV_PYTHON)" -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements-bootstrap.txt
	@.venv/bin/uv pip install --quiet --python "$(VENV_PYTHON)" --require-hashes -r requirements-dev.txt
	@.venv/bin/uv pip install --quiet --python "$(VENV_PYTHON)" --no-deps --no-build-isolation -e .
	@"$(VENV_PYTHON)" deploy/provide_openmp.py
	@{ $(STATE); } > .venv/.installed
	@echo "Installed in .venv"

demo: install ## run the whole pipeline on the demo exchange; a second time is incremental
	@.venv/bin/itb demo $(ARGS)

ui: install ## open the Dagster UI on the demo's instance, or on yours
	@.venv/bin/itb ui $(ARGS)

run: install ## run the pipeline on your settings (.env, ITB_*), against the exchange
	@.venv/bin/itb run $(ARGS)

test: install format-check lint types imports pytest ## everything that must pass: format, lint, types, imports, tests

format: install ## rewrite the files in the agreed format
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix --quiet . || true

format-check: install
	@echo "== format"; .venv/bin/ruff format --check --quiet --diff .

lint: install ## look for mistakes
	@echo "== lint"; .venv/bin/ruff check .

types: install ## check the types (mypy --strict)
	@echo "== types"; "$(VENV_PYTHON)" -m mypy

imports: install ## check that imports point down
	@echo "== imports"; .venv/bin/lint-imports

pytest: install ## run the tests alone; ARGS names files or options
	@echo "== tests"; "$(VENV_PYTHON)" -m pytest $(if $(ARGS),$(ARGS),-n $(WORKERS) --dist loadfile --cov --cov-report=)

bench: install ## print the benchmark: each stage beside its floor and the plain way
	@"$(VENV_PYTHON)" benchmarks/pipeline.py $(ARGS)

bench-models: install ## judge models, paper trading and drift alarms by numbers; quarter of an hour
	@failed=0; for script in evaluation trading drift_simulation; do \
		printf '\n== %s\n\n' $$script; "$(VENV_PYTHON)" "benchmarks/$$script.py" || failed=1; \
	done; exit $$failed

bench-database: install ## measure the database: writing, reading, questions, compression; half an hour
	@failed=0; for script in database queries compression; do \
		printf '\n== %s\n\n' $$script; "$(VENV_PYTHON)" "benchmarks/$$script.py" || failed=1; \
	done; exit $$failed

bench-alerts: install ## measure the alerts: a storm, then how soon each trouble is told; half an hour
	@failed=0; for script in alert_storm alert_latency; do \
		printf '\n== %s\n\n' $$script; "$(VENV_PYTHON)" "benchmarks/$$script.py" || failed=1; \
	done; exit $$failed

docs: install ## write the generated tables of docs/ and .env.example again
	@"$(VENV_PYTHON)" docs/render_tables.py

screenshots: install ## draw the pictures of docs/ again, from the demo's UI; needs Chromium
	@"$(VENV_PYTHON)" docs/take_screenshots.py $(ARGS)

lock: install ## pin the requirements again with hashes; UPGRADE=1 takes newer versions
	@$(LOCK) pyproject.toml --extra apprise --output-file requirements.txt
	@$(LOCK) pyproject.toml --extra dev --constraints requirements.txt --output-file requirements-dev.txt
	@$(LOCK) --group bootstrap --output-file requirements-bootstrap.txt

clean: ## remove .venv, caches and build output; data stays
	@rm -rf .venv .cache build dist itb_assets.egg-info .coverage .coverage.* .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
