## make demo              Table 5 on images that ship with scikit-learn; later calls only run what has changed
## make test              the tests of every day
## make test-all          the slow ones too
## make bench             a step of AMOC beside a plain implementation, and beside a matrix product of this machine
## make bench-roofline    where the time of a step goes, and the least that it would take
## make bench-cheaper     seconds of the cheaper attacks of reports/fast
## make bench-evaluation  PGD20 and AutoAttack beside plain calls of foolbox and pyautoattack
## make bench-waiting     a step on a CPU, by how threads wait for each other
## make bench-startup     seconds of stages that have hardly anything to do
## make bench-growth      how time and memory of a step grow, into the folder GROWTH
## make setup             the environment in .venv, which the others make when they need it
## make lock              requirements.txt anew, from pyproject.toml and requirements.in

PYTHON ?= python3
GROWTH = growth
UV = 0.13.8

# Stages call `python`, so .venv comes first on the path.
IN_VENV = PATH="$(CURDIR)/.venv/bin:$$PATH"

.PHONY: help setup demo test test-all lock
.PHONY: bench bench-roofline bench-cheaper bench-evaluation bench-waiting bench-startup bench-growth

help:
	@sed -n 's/^## //p' Makefile

setup: .venv/.ready

.venv/.ready: requirements.txt
	@$(PYTHON) -c 'from sys import exit, version_info as v; exit(v < (3, 11) or v[:3] == (3, 13, 0))' || { \
	    echo "Python 3.11 or newer, but not 3.13.0, is needed, and $(PYTHON) is not;" \
	        "name one: make setup PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	.venv/bin/uv pip install --compile-bytecode --python .venv/bin/python --requirement requirements.txt
	@touch $@

demo: setup
	@grep -Eq '^profile: *"?demo"? *(#|$$)' params.yaml || { \
	    echo 'params.yaml has another profile than demo: set it, or run `dvc repro reports/table5` for that one' >&2; exit 2; }
	$(IN_VENV) python -m stages.parallel reports/table5
	@cat reports/table5/demo/table5.md

test: setup
	$(IN_VENV) python -m pytest -n 2

test-all: setup
	$(IN_VENV) python -m pytest -n 2 -m "slow or not slow"

bench: setup
	$(IN_VENV) python -m benchmarks.step

bench-roofline: setup
	$(IN_VENV) python -m benchmarks.roofline

bench-cheaper: setup
	$(IN_VENV) python -m benchmarks.cheaper

bench-evaluation: setup
	$(IN_VENV) python -m benchmarks.evaluation

bench-waiting: setup
	$(IN_VENV) python -m benchmarks.waiting

bench-startup: setup
	$(IN_VENV) python -m benchmarks.startup

bench-growth: setup
	$(IN_VENV) python -m benchmarks.growth $(GROWTH)

lock: setup
	.venv/bin/uv pip compile pyproject.toml requirements.in --universal --no-annotate \
	    --custom-compile-command "make lock" --output-file requirements.txt
