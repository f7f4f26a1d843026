# make                                   create the environment, then all figures, the claims and the audit
# make CONFIG="workflow/scales/tiny.yaml mine.yaml"   the same with overlays over config.yaml
# make CONFIG="'my file.yaml'"           an overlay with a space in its name
# make results/figures/figure1.png       one file
# make data|train|measures|figures       one stage, and the stages before it
# make report                            all results in one page, results/report.html
# make clean                             delete all results, after a question
#
# make check                             lint, examples in docstrings, tests without Snakemake: for each change
# make test                              all tests that do not need SLURM
# make docs                              the documentation, in docs/_build/html
#
# CONTRIBUTING.md describes the other targets: env, lint, browser, test-slurm, reliability, bench, findings, schema.

PYTHON ?= python3
BIN := .venv/bin
CONFIG ?=
CONFIRM ?=
SNAKEMAKE := $(BIN)/snakemake $(if $(CONFIG),--configfile $(CONFIG))
PYTEST := $(BIN)/pytest --durations 15
# two workers; an idle one takes tests from the other
PARALLEL := --numprocesses 2 --dist worksteal

.PHONY: help all data train measures figures report settings env clean
.PHONY: check lint browser test test-slurm reliability bench findings schema docs

all: settings
	$(SNAKEMAKE)

results/%: settings
	$(SNAKEMAKE) -- $@

data train measures figures: settings
	$(SNAKEMAKE) -- $@

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

report: all
	@$(SNAKEMAKE) --report results/report.html --quiet all
	@echo "Report: results/report.html ($$(du -h results/report.html | cut -f 1)); open it in a browser"

# report errors in the configuration before Snakemake starts
settings: env
	@$(BIN)/python workflow/scripts/show_settings.py $(CONFIG) > /dev/null

env: .venv/installed

# An existing environment is updated. It is created again only if its Python does not run.
.venv/installed: requirements.lock pyproject.toml
	@if $(BIN)/python -m pip --version > /dev/null 2>&1; then \
	  echo "Updating the packages in .venv"; \
	else \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11" >&2; exit 1; }; \
	  $(PYTHON) -c 'import ensurepip' \
	    || { echo "Python has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
	  echo "Installing into .venv: torch with CUDA is large, this takes 2 to 5 minutes."; \
	  $(PYTHON) -m venv --clear .venv; \
	fi
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

check: lint
	$(PYTEST) $(PARALLEL) -m "not workflow and not slurm"

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check .
	$(BIN)/snakemake --lint

# Chromium from Debian, in which tests open pages; needs root
browser:
	@command -v chromedriver > /dev/null \
	  || { apt-get update -q && apt-get install -y -q --no-install-recommends chromium chromium-driver; }

test: env
	$(PYTEST) $(PARALLEL)

# tests on a SLURM cluster of one node, which they install and start; needs root
test-slurm: env
	$(PYTEST) -m slurm tests/slurm

# all faults, and the table in docs/reliability.md
reliability: env
	$(BIN)/pytest -m "slurm or not slurm" --faults docs/reliability.md tests/test_faults*.py tests/slurm

# the pins of requirements.lock, for conda
envs/nrc.yaml: requirements.lock
	{ sed '/- pip:/q' $@; sed -nE 's/^([a-z0-9][^ ]*==[^ ;]+)( ; [^\]*[^ \])?.*/      - "\1\2"/p' $<; } > $@.new
	mv $@.new $@

# timings, into docs/bench.md and the README; QUICK=1 prints timings of small problems instead
bench: env
	PYTHONPATH=. $(BIN)/python -m bench $(if $(QUICK),--quick)

# numbers and pictures of the documentation, from results/; BRANCHES=FOLDER/results adds a run of
# workflow/scales/branches.yaml, and FRESH=FOLDER/results one of workflow/scales/fresh_seeds.yaml
findings: env
	PYTHONPATH=. $(BIN)/python -m tools.findings $(if $(BRANCHES),--branches $(BRANCHES)) \
	    $(if $(FRESH),--fresh $(FRESH))

# the JSON schema of configuration files, for editors
schema: env
	PYTHONPATH=. $(BIN)/python -m tools.editor_schema

# warnings are errors
docs: env
	PYTHONPATH=. $(BIN)/sphinx-build --builder html --nitpicky --fail-on-warning --keep-going --quiet \
	  docs docs/_build/html
	@echo "The manual: docs/_build/html/index.html"

# without a terminal only with CONFIRM=yes
clean:
	@[ -e results ] || [ -e .snakemake ] || { echo "There is nothing to delete."; exit 0; }; \
	echo "This deletes all results and Snakemake's records of them:"; \
	du -sh results .snakemake 2> /dev/null; \
	echo "They include $$(find results -name '*.nc' -path '*/train/*' 2> /dev/null | wc -l) files of trained networks."; \
	answer="$(CONFIRM)"; \
	if [ -z "$$answer" ] && [ -t 0 ]; then printf "Delete them? [yes/no] "; read -r answer; fi; \
	[ "$$answer" = yes ] || { echo "Nothing was deleted. Answer yes, or run: make clean CONFIRM=yes" >&2; exit 1; }; \
	rm -rf results .snakemake
