# Everything a contributor types. It needs Python 3.11 or later, git and make; all else is set up in
# .venv with the versions pinned in requirements/. Stamps, written last, say what is set up: a second
# run does nothing, an interrupted one is taken up again.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

# Settings: make test WORKERS=4, make setup PYTHON=python3.12, make lock UPGRADE=--upgrade
PYTHON ?=
WORKERS ?= 2
UPGRADE ?=

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))
TESTED := tests evolution_lab README.md $(NOTEBOOKS)

# Precompiling every module of every library takes longer than compiling those that are used.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --no-input --no-compile --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --durations=15
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --quiet \
	--no-emit-index-url --no-emit-find-links --no-annotate \
	--custom-compile-command "make lock" $(UPGRADE)

# An environment works where it was made, while the interpreter it was made from is there.
VENV_WORKS := test -x $(BIN)/python && grep -qsF "$(CURDIR)/$(VENV)/" $(BIN)/pip
$(shell { $(VENV_WORKS); } || rm -rf $(STAMPS))

.PHONY: help
help: ## list what make can do
	@awk -F ': .*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(STAMPS)/demo ## land the bundled sample, find its faults, write the report to reports/
	@$(BIN)/evolution-lab demo

.PHONY: test
test: lint ## check the code, then run all tests but the slow ones
	@$(PYTEST) -m "not slow" --nbmake --nbmake-timeout 600 $(TESTED)

# Watching each line makes the run a third longer.
.PHONY: coverage
coverage: $(STAMPS)/test ## run the same tests and say which lines they reach
	@rm -f .coverage .coverage.*
	@$(PYTEST) -m "not slow" --cov --nbmake --nbmake-timeout 600 $(TESTED)

.PHONY: test-long
test-long: $(STAMPS)/test $(STAMPS)/spark ## run the slow tests; needs Java 17, or EVOLUTION_LAB_REQUIRE=
	@EVOLUTION_LAB_REQUIRE=$${EVOLUTION_LAB_REQUIRE-java} $(PYTEST) -m slow tests

.PHONY: lint
lint: $(STAMPS)/test ## check style, types and the order of imports
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy
	@$(BIN)/lint-imports

.PHONY: format
format: $(STAMPS)/test ## let ruff repair and format the code
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m ruff format .

.PHONY: setup
setup: $(STAMPS)/test ## set up .venv with everything a contributor needs
	@echo "$(VENV) is ready: $(BIN)/evolution-lab --help"

.PHONY: javascript
javascript: tests/js/node_modules/.complete ## install Vitest, Jest and the SDKs of flag systems for the tests; needs npm

# Where a registry lacks the optional packages of other platforms, npm ci refuses any lock file.
NPM_OPTIONS := --prefix tests/js --prefer-offline --ignore-scripts --no-audit --no-fund --loglevel=error
tests/js/node_modules/.complete: tests/js/package-lock.json
	@npm ci $(NPM_OPTIONS) 2> /dev/null || npm install --package-lock=false $(NPM_OPTIONS)
	@touch $@

.PHONY: spark
spark: $(STAMPS)/spark ## install PySpark for the tests of Spark, half a gigabyte

.PHONY: picture
picture: $(STAMPS)/test ## take the pictures of the README anew; needs Chromium
	@$(BIN)/python tests/export/picture.py reports/example.png
	@$(BIN)/python tests/review/picture.py reports/review.png
	@$(BIN)/python tests/export/exploration/picture.py reports/notebook.png reports/notebook_dark.png

.PHONY: lock
lock: $(STAMPS)/venv ## pin versions anew; UPGRADE=--upgrade takes the newest
	@$(PIP_INSTALL) "uv>=0.13"
	@$(LOCK) --extra demo --extra otel --group test --output-file requirements/test.txt
	@$(LOCK) --group build --constraints requirements/test.txt --output-file requirements/demo.txt
	@$(subst pyproject.toml ,,$(LOCK)) --group spark --constraints requirements/test.txt --output-file requirements/spark.txt

.PHONY: clean
clean: ## remove .venv, caches and what builds leave behind; data and reports stay
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@rm -rf .coverage .coverage.* htmlcov build dist
	@find evolution_lab tests -type d -name __pycache__ -prune -exec rm -rf {} +

$(STAMPS)/venv:
	@if ! { $(VENV_WORKS) && $(BIN)/python -m pip --version > /dev/null 2>&1; }; then \
		found=; \
		for candidate in $(or $(PYTHON),python3.11 python3.12 python3.13 python3.14 python3 python); do \
			if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; \
			then found=$$candidate; break; fi; \
		done; \
		if [ -z "$$found" ]; then \
			echo "No Python 3.11 or later found; name one: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; \
			exit 1; \
		fi; \
		echo "Making $(VENV) with $$("$$found" --version)." >&2; \
		if ! "$$found" -m venv --clear $(VENV); then \
			rm -rf $(VENV); \
			echo "$$found cannot make environments; on Debian install python3-venv." >&2; \
			exit 1; \
		fi; \
	fi
	@mkdir -p $(STAMPS)
	@touch $@

$(STAMPS)/demo $(STAMPS)/test: $(STAMPS)/%: requirements/%.txt pyproject.toml $(STAMPS)/venv
	@echo "Installing requirements/$*.txt; this takes a minute." >&2
	@$(PIP_INSTALL) --requirement requirements/$*.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMPS)/spark: requirements/spark.txt $(STAMPS)/test
	@echo "Installing requirements/spark.txt; this takes a minute." >&2
	@$(PIP_INSTALL) --requirement requirements/spark.txt
	@touch $@
