#!/usr/bin/env bash
# Installs h2load, which asks the server in `make bench-serving`, from Debian's packages.
# As root on Debian it runs apt-get; elsewhere it says what to install. Exit status 1 where it cannot.
set -euo pipefail

command -v h2load >/dev/null && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    printf '%s\n' "error: h2load is missing; on Debian: sudo apt-get install --no-install-recommends nghttp2-client" >&2
    exit 1
fi
printf '%s\n' "installing h2load from Debian's packages" >&2
apt-get update -qq >&2
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nghttp2-client >&2
