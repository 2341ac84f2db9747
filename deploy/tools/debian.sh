#!/usr/bin/env bash
# Installs one of Debian's packages unless its programs are there: debian.sh PACKAGE PROGRAM...
# As root on Debian it runs apt-get; elsewhere it says what to install. Exit status 1 where it cannot.
set -euo pipefail

readonly PACKAGE=$1
shift

say() { printf '%s\n' "$*" >&2; }

missing=
for program; do command -v "$program" >/dev/null || missing="$missing $program"; done
[ "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "error: missing:$missing; on Debian: sudo apt-get install --no-install-recommends $PACKAGE"
    exit 1
fi
say "installing $PACKAGE from Debian's packages"
apt-get update -qq >&2
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$PACKAGE" >&2 || {
    say "error: apt-get could not install $PACKAGE; its own words stand above"
    exit 1
}
