#!/usr/bin/env bash
# Builds the wheel into dist/; installed alone it is whole: every module imports.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf dist
python -m pip wheel --quiet --no-deps --wheel-dir dist .
python -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet dist/majordomo-*.whl
cd "$work"
venv/bin/majordomo --version
venv/bin/python - <<'PYTHON'
import importlib
import pkgutil

import majordomo

modules = [m.name for m in pkgutil.walk_packages(majordomo.__path__, "majordomo.")]
for module in modules:
    importlib.import_module(module)  # what only an extra brings is not needed for it
print(f"imported {len(modules)} modules")
PYTHON
