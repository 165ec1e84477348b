# On a fresh machine with Python 3.11 or newer and make: `make run`, then `make test`.
PYTHON ?= python3
BIN = .venv/bin
PIP_OPTIONS = --disable-pip-version-check --quiet
CHECKS = tests/test_architecture.py tests/test_docs.py

.PHONY: run test check reproduce docs site clean

run: .venv/ready  ## train a character model on text that comes with Python, sample from it, draw its pictures
	$(BIN)/unspool train char-lm
	@echo && echo "It writes, after the prompt 'The ':" && echo
	@$(BIN)/unspool sample latest --prompt "The " --seed 1 --temperature 0.6

test: .venv/ready  ## run the tests, the examples of the docstrings among them, but those that `make check` runs
	$(BIN)/python -m pytest -n auto --dist worksteal --doctest-modules src/unspool tests $(CHECKS:%=--ignore=%)

check: .venv/ready  ## lint, types, architecture, docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --dist worksteal $(CHECKS)

reproduce: .venv/ready  ## run the slow tests and what every recipe claims (see also `unspool verify RECIPE`): docs/lectures.md
	$(BIN)/python -m pytest -m slow -s
	$(BIN)/python docs/reproduce.py; status=$$?; $(BIN)/python docs/generate.py; exit $$status

docs: .venv/ready  ## write the pages that are generated
	$(BIN)/python docs/generate.py

site: .venv/site  ## build the documentation site, the lecture pages run, in site/
	$(BIN)/python docs/generate.py
	$(BIN)/python -m sphinx -W --keep-going -b html docs site

.venv/site: .venv/ready
	$(BIN)/python -m pip install $(PIP_OPTIONS) -c constraints.txt -e '.[docs]'
	touch $@

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Unspool needs Python 3.11 or newer: make PYTHON=python3.11')"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install $(PIP_OPTIONS) -c constraints.txt -e '.[dev]'
	touch $@

clean:  ## remove what was made, but no run
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache
