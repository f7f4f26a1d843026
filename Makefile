# `make` builds the environment and every figure, `make check` is for every change, `make test` runs every test.
#
#     make CONFIG="workflow/scales/paper.yaml mine.yaml"   with overlays over config.yaml
#     make results/figures/figure1.png                     one file
#     make data, train, measures, figures, report          one stage, and those before it
#     make clean                                           all results away, after a question

PYTHON ?= python3
BIN := .venv/bin
CONFIG ?=
CONFIRM ?=
SNAKEMAKE := $(BIN)/snakemake $(if $(CONFIG),--configfile $(CONFIG))
PYTEST := $(BIN)/pytest --durations 15
# two workers, of which one that is done takes over from the other
BY_TWO := --numprocesses 2 --dist worksteal

.PHONY: help all data train measures figures report settings env clean
.PHONY: check lint browser test test-slurm reliability bench findings docs

all: settings
	$(SNAKEMAKE)

results/%: settings
	$(SNAKEMAKE) -- $@

data train measures figures: settings
	$(SNAKEMAKE) -- $@

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

# the same as all, and all of it in one page, to read in a browser
report: all
	@$(SNAKEMAKE) --report results/report.html --quiet all
	@echo "Report: results/report.html ($$(du -h results/report.html | cut -f 1)); open it in a browser"

# a mistake in the configuration is told in one line
settings: env
	@$(BIN)/python workflow/scripts/show_settings.py $(CONFIG) > /dev/null

env: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' \
	  || { echo "Python has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing into .venv: torch with CUDA is large, this takes 2 to 5 minutes."
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# lint, the examples in docstrings and the tests that start no Snakemake: about two minutes
check: lint
	$(PYTEST) $(BY_TWO) -m "not workflow and not slurm"

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check .
	$(BIN)/snakemake --lint

# Debian's Chromium, in which tests open pages; only root can
browser:
	@command -v chromedriver > /dev/null \
	  || { apt-get update -q && apt-get install -y -q --no-install-recommends chromium chromium-driver; }

test: env
	$(PYTEST) $(BY_TWO)

# on a real SLURM of one node, which the tests install and start; only root can
test-slurm: env
	$(PYTEST) -m slurm tests/slurm

# every fault, and the table of docs/reliability.md
reliability: env
	$(BIN)/pytest -m "slurm or not slurm" --faults docs/reliability.md tests/test_faults*.py tests/slurm

# the pins of the lock file, for conda
envs/nrc.yaml: requirements.lock
	{ sed '/- pip:/q' $@; sed -nE 's/^([a-z0-9][^ ]*==[^ ;]+)( ; [^\]*[^ \])?.*/      - "\1\2"/p' $<; } > $@.new
	mv $@.new $@

# times of this engine and of others, into docs/bench.md, and its first sentence into the README; QUICK=1 prints those of small sizes
bench: env
	PYTHONPATH=.:workflow/scripts $(BIN)/python -m bench $(if $(QUICK),--quick)

# the numbers of the manual and the pictures of docs/, from results/; with BRANCHES=FOLDER/results those of
# workflow/scales/branches.yaml
findings: env
	PYTHONPATH=.:workflow/scripts $(BIN)/python -m bench.findings $(if $(BRANCHES),--branches $(BRANCHES))

# the manual, in docs/_build/html; a warning is an error
docs: env
	PYTHONPATH=. $(BIN)/sphinx-build --builder html --nitpicky --fail-on-warning --keep-going --quiet \
	  docs docs/_build/html
	@echo "The manual: docs/_build/html/index.html"

# all results, after a question; without a terminal only with CONFIRM=yes
clean:
	@[ -e results ] || [ -e .snakemake ] || { echo "There is nothing to delete."; exit 0; }; \
	echo "This deletes all results and what Snakemake knows of them:"; \
	du -sh results .snakemake 2> /dev/null; \
	echo "$$(find results -name '*.nc' -path '*/train/*' 2> /dev/null | wc -l) files of trained networks are among them."; \
	answer="$(CONFIRM)"; \
	if [ -z "$$answer" ] && [ -t 0 ]; then printf "Delete them? [yes/no] "; read -r answer; fi; \
	[ "$$answer" = yes ] || { echo "Nothing is deleted; answer yes, or run: make clean CONFIRM=yes" >&2; exit 1; }; \
	rm -rf results .snakemake
