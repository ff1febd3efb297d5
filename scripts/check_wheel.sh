#!/usr/bin/env bash
# Builds the wheel into dist/ and uses it in fresh environments.
#
# Installed alone it is the client: few packages, nothing of the server, the examples of
# clients/python pass strict type checkers and are answered. With [server] it serves them.
set -euo pipefail
cd "$(dirname "$0")/.."
most_packages=7
pyright=pyright@1.1.414

fail() {
    echo "wheel: $*" >&2
    exit 1
}

work=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

rm -rf dist
python -m pip wheel --quiet --no-deps --wheel-dir dist .
wheel=$(echo "$PWD"/dist/majordomo_grpc-*.whl)
alone=$work/alone/bin
served=$work/served/bin
for name in alone served; do python -m venv "$work/$name"; done

cat >"$work/every_module.py" <<'PYTHON'
"""Import every module. Those of the extras that the arguments name must fail, and say so."""

import importlib
import pkgutil
import sys

import majordomo
from majordomo.distribution import MissingExtra

missing = set(sys.argv[1:])
with_otlp = "majordomo.telemetry.otlp_spans"
"""The one module that says so by an ImportError: majordomo.telemetry.setup handles it."""


def imports(module: str) -> bool:
    try:
        importlib.import_module(module)
    except MissingExtra as error:
        assert error.extra in missing, error
        return False
    except ImportError:
        if module != with_otlp or "otlp" not in missing:
            raise
        return False
    return True


packages = pkgutil.walk_packages(majordomo.__path__, "majordomo.", onerror=lambda _: None)
modules = {module.name: imports(module.name) for module in packages}
assert all(works for name, works in modules.items() if name.startswith("majordomo.client"))
assert modules["majordomo.rpc"] == ("server" not in missing)
assert modules.get(with_otlp, False) == ("otlp" not in missing)
print(sum(modules.values()), "modules import; missing extras:", *missing or {"none"})
PYTHON

"$alone/python" -m pip install --quiet "$wheel"
packages=$("$alone/python" -m pip list --format freeze)
[ "$(wc -l <<<"$packages")" -le $most_packages ] ||
    fail "the client brings more than $most_packages packages: ${packages//$'\n'/ }"
"$alone/python" "$work/every_module.py" server otlp
words=$("$alone/majordomo" --version 2>&1) && fail "the command runs without its extra"
[[ $words == *"pip install 'majordomo-grpc[server]'"* ]] ||
    fail "the command does not say what to install: $words"

mkdir "$work/user"
cp clients/python/ask.py clients/python/tools.py "$work/user"
cd "$work/user"
mypy --strict --python-executable "$alone/python" .
if command -v npx >/dev/null; then
    echo '{"typeCheckingMode": "strict"}' >pyrightconfig.json
    npx --yes "$pyright" --pythonpath "$alone/python"
elif [ "${CI:-}" = true ]; then
    fail "pyright needs npx"
else
    echo "wheel: SKIPPED, pyright checked nothing: it needs npx"
fi

"$served/python" -m pip install --quiet "$wheel[server]"
"$served/majordomo" --version
"$served/python" "$work/every_module.py" otlp vertex
mkfifo "$work/stdout"
MAJORDOMO_PROVIDERS__ACME__KIND=scripted "$served/majordomo" serve \
    --listen 127.0.0.1:0 >"$work/stdout" 2>"$work/log" &
server=$!
exec 3<"$work/stdout"
read -r -t 60 line <&3 || fail "the server did not start: $(cat "$work/log")"
answer=$("$alone/python" ask.py --address "${line##* }" --chain acme/echo "Hello, wheel.")
[ "$answer" = "Hello, wheel." ] || fail "the scripted provider answered: $answer"

"$served/python" -m pip install --quiet "$wheel[otlp]"
"$served/python" "$work/every_module.py" vertex
echo "wheel: $(wc -l <<<"$packages") packages alone; it calls, and with [server] it serves"
