#!/usr/bin/env bash
# Runs tests with another Python than the one of .venv:
#
#     scripts/test_version.sh 3.13 python -m pytest tests/chain
#
# The environment is build/python-3.13, with the locked tools and this checkout's wheel. Where
# that Python is not installed nothing runs, which is an error under CI.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$1
shift

# A shim of pyenv is there for each version, and works for the chosen one only.
for python in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
    found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    [ "$found" != "$version" ] || break
    found=
done
if [ "${found:-}" != "$version" ]; then
    if [ "${CI:-}" = true ]; then
        echo "test_version: Python $version is not installed" >&2
        exit 1
    fi
    echo "test_version: SKIPPED, Python $version is not installed"
    exit 0
fi

environment=build/python-$version
[ -x "$environment/bin/python" ] || "$python" -m venv "$environment"
export PATH="$PWD/$environment/bin:$PATH"
# uv, which is one of the tools of .venv, does in seconds what pip needs a minute for.
uv pip install --quiet --python "$environment" --require-hashes --requirement requirements-dev.lock
uv pip install --quiet --python "$environment" --no-deps --reinstall-package majordomo-grpc .
exec "$@"
