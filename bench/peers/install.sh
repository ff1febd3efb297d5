#!/usr/bin/env bash
# Installs each peer, in the version named here, into an environment of its own under
# build/peers. What is there already stays.
set -euo pipefail
cd "$(dirname "$0")"
build=$PWD/../../build/peers
mkdir -p "$build"

for library in litellm openai tensorzero; do
  into=$build/$library
  cmp --silent "$library.txt" "$into/installed.txt" && continue
  echo "installing $(cat "$library.txt")"
  rm -rf "$into"
  "${PYTHON:-python3}" -m venv "$into"
  "$into/bin/pip" install --quiet --requirement "$library.txt"
  cp "$library.txt" "$into/installed.txt"
done

into=$build/portkey
if ! cmp --silent portkey.json "$into/installed.json"; then
  echo "installing Portkey's gateway"
  rm -rf "$into"
  mkdir "$into"
  cp portkey.json "$into/package.json"
  npm install --prefix "$into" --silent --no-audit --no-fund
  cp portkey.json "$into/installed.json"
fi
