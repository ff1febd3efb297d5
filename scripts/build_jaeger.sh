#!/usr/bin/env bash
# Builds Jaeger, all in one process, from its Go module into build/bin, without its pages:
# tests ask its API. Takes some minutes the first time.
set -euo pipefail
cd "$(dirname "$0")/.."

version=v1.76.0
mkdir -p build/bin
bin=$PWD/build/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# As a tool of a module of its own: its go.mod replaces a module, which `go install`
# does not take.
go mod init build.invalid/jaeger 2>/dev/null
go get -tool "github.com/jaegertracing/jaeger/cmd/all-in-one@$version" 2>get.log \
    || { cat get.log >&2; exit 1; }
go build -o "$bin/jaeger" github.com/jaegertracing/jaeger/cmd/all-in-one
echo "built jaeger $version"
