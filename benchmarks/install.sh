#!/usr/bin/env bash
# Installs h2load, which asks the server in `make bench-serving`, from Debian's packages.
set -euo pipefail
cd "$(dirname "$0")/.."
exec deploy/tools/debian.sh nghttp2-client h2load
