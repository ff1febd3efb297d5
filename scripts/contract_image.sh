#!/usr/bin/env bash
# Put additions to the contract into the image that it is held against. After a merge
# with a conflict in the image take either side first, then run this.
set -euo pipefail
cd "$(dirname "$0")/.."

image=tests/contract/v1.binpb
buf breaking --against "$image"
buf build --exclude-source-info --output "$image"
