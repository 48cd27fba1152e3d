# thvideo: `make demo` sets up and makes a first video; `make test` runs the tests.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
EXTRAS ?= dev,examples
FLOORS ?= build/floors

.DEFAULT_GOAL := help
.PHONY: help setup demo test floors check bench torture clean

help: ## show what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.thvideo ## create .venv and install thvideo into it

$(VENV)/.thvideo: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("thvideo needs Python 3.11 or later, $(PYTHON) is " + sys.version.split()[0] + "; try make PYTHON=python3.12 $(MAKECMDGOALS)") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

demo: setup ## animate the example painting with the example driver
	@mkdir -p demo
	$(BIN)/thvideo reenact --source examples/painting.jpg --driver examples/driver.mp4 -o demo/painting.mp4 --workspace demo/workspace
	@echo "The video is at $(CURDIR)/demo/painting.mp4"

test: setup ## run the tests
	$(BIN)/python -m pytest -n 2

# On Linux PyPI's torch brings CUDA's libraries, 3 GB. A smaller one, where it can be reached:
# make floors PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
floors: ## run the tests with the oldest libraries that are allowed
	$(PYTHON) -m venv $(FLOORS)
	$(PYTHON) .ci/floors.py > $(FLOORS)/floors.txt
	$(FLOORS)/bin/python -m pip --disable-pip-version-check install --quiet --requirement $(FLOORS)/floors.txt --editable .
	$(FLOORS)/bin/python -m pytest -n 2

check: setup ## lint, types, layers, dead code, dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/vulture
	$(BIN)/deptry .

bench: setup ## time the pipeline, the networks and their training
	$(BIN)/python -m recipes.bench $(OPTIONS)

torture: setup ## kill, fill, damage and mix runs for ten minutes: all must come to the same end
	$(BIN)/python -m recipes.torture $(OPTIONS)

clean: ## remove what demo made
	rm -rf demo
