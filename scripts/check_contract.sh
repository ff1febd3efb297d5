#!/usr/bin/env bash
# The generated code is what the protos say, and no release is broken.
set -euo pipefail
cd "$(dirname "$0")/.."

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
buf generate --output "$fresh"
diff --recursive --exclude=__pycache__ "$fresh/server/majordomo/v1" server/majordomo/v1 \
    || { echo "generated code is stale: run 'make protos' and commit" >&2; exit 1; }

release=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || true)
if [ -n "$release" ]; then
    buf breaking --against ".git#tag=$release"
else
    echo "no release yet: nothing that the contract could break"
fi
