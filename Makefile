# Needs python3 (3.11 or newer, with pip and venv) and nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install run test bench check format lock

install: $(VENV)/.runtime

# Serve on http://127.0.0.1:8000. MAILBOX_* variables and .env are honoured.
run: $(VENV)/.runtime
	@$(BIN)/slow-mailbox migrate
	@exec $(BIN)/slow-mailbox serve

# The whole suite, a part of it for each core; ARGS="tests/unit -k delay" runs what it names, one after the other.
ARGS ?= --numprocesses=auto --dist=worksteal
test: $(VENV)/.development
	@$(BIN)/python -m pytest $(ARGS)

# How fast it is, beside others; ARGS="fast delayed --letters 20000" measures a part, ARGS=--help says which.
bench: $(VENV)/.development
	@$(BIN)/python -W "ignore:XDG_RUNTIME_DIR" -m tests.bench $(ARGS)

check: $(VENV)/.development
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.development
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

# Write the locks anew from what the .in files ask for.
UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
lock: $(VENV)/.development
	$(UV_COMPILE) requirements.in -o requirements.txt
	$(UV_COMPILE) requirements-dev.in -o requirements-dev.txt

$(VENV)/.runtime: requirements.txt pyproject.toml
	$(install)

$(VENV)/.development: requirements-dev.txt pyproject.toml
	$(install)

# The lock is the first prerequisite. The build backend comes with it, so nothing is fetched unhashed.
define install
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	@echo "Installing $< into $(VENV); this takes a minute, and only the first time."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
endef
