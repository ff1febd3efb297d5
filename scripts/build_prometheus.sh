#!/usr/bin/env bash
# Builds Prometheus and promtool from their Go module into build/bin, for the tests that
# ask them. Takes about three minutes the first time.
set -euo pipefail
cd "$(dirname "$0")/.."

version=v0.316.0 # Prometheus 3.16.0
mkdir -p build/bin
bin=$PWD/build/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
module=github.com/prometheus/prometheus
go mod init build.invalid/prometheus 2>/dev/null
go get -tool "$module/cmd/prometheus@$version" "$module/cmd/promtool@$version" 2>get.log \
    || { cat get.log >&2; exit 1; }
# Of all the ways to find what to scrape only the one that prometheus.yml uses: the
# others bring the libraries of a dozen clouds.
go build -tags remove_all_sd,enable_dns_sd -o "$bin/" "$module/cmd/prometheus" "$module/cmd/promtool"
echo "built prometheus $version"
