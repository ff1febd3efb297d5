#!/usr/bin/env bash
# The generated code is what the protos say, and nothing that callers have is broken.
set -euo pipefail
cd "$(dirname "$0")/.."

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
buf generate --output "$fresh"
diff --recursive --exclude=__pycache__ "$fresh/server/majordomo/v1" server/majordomo/v1 \
    || { echo "generated code is stale: run 'make protos' and commit" >&2; exit 1; }

buf breaking --against tests/contract/v1.binpb
buf build --exclude-source-info --output "$fresh/v1.binpb"
cmp --quiet "$fresh/v1.binpb" tests/contract/v1.binpb || {
    echo "tests/contract/v1.binpb lacks what was added to the contract:" \
        "run scripts/contract_image.sh and commit" >&2
    exit 1
}

release=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || true)
if [ -n "$release" ]; then
    buf breaking --against ".git#tag=$release"
fi
