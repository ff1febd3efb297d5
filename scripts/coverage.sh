#!/usr/bin/env bash
# Runs the tests that the arguments name, child processes measured as well, and fails
# where fewer lines and branches are reached than pyproject.toml demands.
set -euo pipefail
cd "$(dirname "$0")/.."

rm -rf build/coverage
python -m coverage run -m pytest "$@"
python -m coverage combine --quiet
python -m coverage report
