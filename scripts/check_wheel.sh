#!/usr/bin/env bash
# The wheel, installed alone, is whole: every module is there and imports.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python -m pip wheel --quiet --no-deps --wheel-dir "$work" .
python -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet "$work"/majordomo-*.whl
cd "$work"
venv/bin/majordomo --version
venv/bin/python - <<'PYTHON'
import importlib
import pkgutil

import majordomo

# What only an extra brings is imported where it is used.
for module in pkgutil.walk_packages(majordomo.__path__, "majordomo."):
    if module.name != "majordomo.providers.llama_server":
        importlib.import_module(module.name)
        print("imported", module.name)
PYTHON
