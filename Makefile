# Two commands do everything: `make run` moves the arm, `make test` checks the project.
PYTHON ?= python3
VENV ?= .venv
SAY ?= open the window
comma := ,
EXTRAS := ros,sim,train,ray,language,voice,web,record,docs,dev
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: run test lint docs lock clean help
.DEFAULT_GOAL := help

help: ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

run: $(READY) ## start the deployment graph in simulation, send the sentence SAY="...", report
	$(BIN)/legion deploy --instruction "$(SAY)" --once

# The running graph gets the machine to itself.
test: lint ## lint, type-check and test
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/system
	$(BIN)/python -m pytest tests/system

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY) ## build the documentation site into build/site
	$(BIN)/mkdocs build --strict

# Installed again only when the dependencies change.
$(READY): setup.py requirements/lock.txt requirements/no-deps.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 10) <= v <= (3, 13) or sys.exit("Python %d.%d found; 3.10 to 3.13 needed: make PYTHON=/path/to/python3.11 ..." % v)'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "the venv module is missing: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "installing the pinned dependencies (about 2 GB, a few minutes)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements/lock.txt -e '.[$(EXTRAS)]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/no-deps.txt || \
	  echo "bnpy has to be compiled, which failed here (apt-get install build-essential python3-dev, then make clean);" \
	    "everything works without it, with the mixture engine of this project, and the tests that compare the two are skipped"
	@touch $@

lock: ## resolve the dependencies again for Python 3.10 to 3.13
	$(PYTHON) -m uv pip compile --quiet --universal --python-version 3.10 --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	  $(foreach extra,$(subst $(comma), ,$(EXTRAS)),--extra $(extra)) setup.py requirements/pins.in -o requirements/lock.txt

clean: ## remove what the build and the tests leave behind
	rm -rf $(VENV) build install log *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
