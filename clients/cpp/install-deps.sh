#!/bin/sh
# Install what the client needs of Debian 12 or a later one, as root.
set -eu

PACKAGES="clang-format clang-tidy cmake g++ libgrpc++-dev libgtest-dev libprotobuf-dev
    make pkg-config protobuf-compiler protobuf-compiler-grpc"

install() {
    # shellcheck disable=SC2086 # one word a package
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends $PACKAGES
}

# shellcheck disable=SC2086
if dpkg --status $PACKAGES >/dev/null 2>&1; then
    exit 0
fi
install || {
    apt-get update --quiet=2
    install
}
