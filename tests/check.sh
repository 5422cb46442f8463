#!/usr/bin/env bash
# What CI runs: format, lint, strict types, tests. With --all the slow tests too.
set -euo pipefail
cd "$(dirname "$0")/.."
which=(-m "not slow")
[ "${1:-}" = "--all" ] && which=()

ruff format --check --quiet .
ruff check --quiet .
mypy
pytest -n 2 --dist loadfile --durations 10 "${which[@]}"
