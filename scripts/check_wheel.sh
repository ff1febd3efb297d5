#!/usr/bin/env bash
# Builds the wheel into dist/; installed alone it is whole: every module imports, but for
# those that only an extra needs, and they do with it.
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
cat >every_module.py <<'PYTHON'
import importlib
import pkgutil
import sys

import majordomo

of_extras = {"majordomo.telemetry.otlp_spans"}
modules = {m.name for m in pkgutil.walk_packages(majordomo.__path__, "majordomo.")}
assert of_extras <= modules
for module in sorted(modules if "extras" in sys.argv else modules - of_extras):
    importlib.import_module(module)
print("every module imports", *sys.argv[1:])
PYTHON
venv/bin/python every_module.py
wheel=$(echo "$OLDPWD"/dist/majordomo-*.whl)
venv/bin/python -m pip install --quiet "$wheel[otlp]"
venv/bin/python every_module.py extras
