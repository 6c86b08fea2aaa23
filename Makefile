# Every target makes .venv here first; nothing else on the machine is touched. `make help` lists them.
PYTHON ?= python3
PY := .venv/bin/python
export PADAM_PROGRESS = 0
export REPOSITORY
.PHONY: help book html check test mutants notebooks results stamp wheel format clean
.DEFAULT_GOAL := help

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.complete: pyproject.toml requirements.txt
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet uv
	$(PY) -m uv pip install --quiet --python $(PY) -r requirements.txt
	touch $@

book: .venv/.complete  ## run the chapters (quick profile) and build the book from them
	$(PY) book/make.py book

html: .venv/.complete  ## build the book from the outputs stored in the chapters
	$(PY) book/make.py html

check: .venv/.complete  ## before each commit, about 90 seconds: style, types of a user's script, the tests that are not marked slow
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n 2 --dist loadfile -m "not slow" tests

test: .venv/.complete  ## run the tests, and every chapter once
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 3 --dist loadfile tests --nbval-lax chapters

mutants: .venv/.complete  ## make named mistakes in the package: a test must notice each (hours; MUTANTS="--help" says how to run some)
	$(PY) tests/mutants.py $(MUTANTS)

notebooks: results  ## run the chapters in place: refreshes their stored outputs
	$(PY) book/make.py notebooks

results: .venv/.complete  ## write the page of results from the records
	$(PY) -m padam results --to book/results.md

stamp: .venv/.complete  ## write the repository's address (pyproject.toml, or REPOSITORY=...) into the book and the chapters
	$(PY) book/make.py stamp

wheel: .venv/.complete  ## build the package's wheel into dist/
	$(PY) -m uv build --wheel --out-dir dist .

format: .venv/.complete  ## format the code and the notebooks
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean:  ## remove what was built, and .venv
	rm -rf .venv book/_build build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
