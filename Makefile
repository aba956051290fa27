# make setup   the command .venv/bin/engram, with all it needs to compress and decompress
# make demo    one photo to a small file and back
# make test    all checks: ruff, mypy, pytest (installs what they need, torch included, the first time)
# make lint    the quick ones of them: ruff, mypy
#
# PYTHON=... chooses the Python that .venv is made with: 3.11 or newer.

BIN := .venv/bin
PYTHONS := python3.14 python3.13 python3.12 python3.11 python3

.PHONY: setup demo test lint clean
.DELETE_ON_ERROR:

setup: .venv/.setup

demo: .venv/.setup
	@mkdir -p demo
	$(BIN)/engram compress docs/sample.png -o demo/sample.egm -q 30 -f
	$(BIN)/engram decompress demo/sample.egm -o demo/sample.png -f
	@$(BIN)/python tools/demo.py docs/sample.png demo/sample.egm demo/sample.png demo/comparison.png

test: lint
	$(BIN)/pytest

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf demo build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/.setup: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/.test: .venv/.setup
	@echo "installing what the checks need, torch included; the first time this takes minutes"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,train,tools,cluster,video]'
	@touch $@

$(BIN)/python:
	@for python in $(PYTHON) $(PYTHONS); do \
		$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		$$python -c 'import ensurepip, venv' 2>/dev/null || { bare=$$python; continue; }; \
		echo "making .venv with $$python"; exec $$python -m venv .venv; \
	done; \
	if [ "$$bare" ]; then echo "$$bare cannot make a .venv. On Debian or Ubuntu: apt install python3-venv."; \
	else echo "Python 3.11 or newer is needed, and there is none."; fi; \
	echo "Or name another one: make PYTHON=/path/to/python $(MAKECMDGOALS)"; exit 1
