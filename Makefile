# Two commands do everything and are safe to repeat: make bench, make test.
# Run as root or as a user with sudo: scripts/as-root decides.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup bench test lint docs pins check-setup

help:  ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' Makefile | while IFS='|' read -r name what; do \
	    printf 'make %-12s %s\n' "$$name" "$$what"; done

setup:  ## install what is missing and create .venv
	@scripts/setup

bench: setup  ## bring both worlds up, compare them, print the table
	@scripts/as-root .venv/bin/invoke net.up docker.up bench

test: setup  ## run every test (PYTEST='-k words' narrows)
	@scripts/test $(PYTEST)

lint: setup  ## check style, types and imports only
	@.venv/bin/pytest -q tests/pure/test_project.py

docs: setup  ## build the searchable site of README.md and docs/: build/site/index.html
	@rm -rf build/site
	@.venv/bin/python -m sphinx -qWE --keep-going -c docs -d build/doctrees . build/site
	@echo "build/site/index.html"

check-setup: setup  ## prove, in temporary Debian trees, that set-up starts and enables nothing
	@scripts/as-root .venv/bin/pytest -m "kernel or long" tests/setup

pins: setup  ## rewrite constraints.txt from what .venv holds
	@scripts/pin
