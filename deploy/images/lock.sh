#!/usr/bin/env bash
# Writes the locks of the images from requirements.in: the product alone, for processors and for GPUs, in the versions of
# requirements.lock; the lock of what writes the bill of materials; and that of the optional tracker. Run it after each
# change of requirements.lock.
set -euo pipefail
cd "$(dirname "$0")/../.."

lock() { # FILE EXTRA..., the requirements on the standard input
    local file=$1
    shift
    .tools/bin/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command deploy/images/lock.sh \
        "$@" - -o "deploy/images/$file"
}

product=$(sed '/^# development/,$d' requirements.in)
lock requirements.lock --constraints requirements.lock <<<"$product"
lock requirements-gpu.lock --constraints requirements.lock \
    <<<"$(sed 's/^tensorflow==/tensorflow[and-cuda]==/' <<<"$product")"
lock sbom.lock <<<"cyclonedx-bom==7.5.0"
# An extra beside the product, for tracking.wandb: the newest that goes with the versions of requirements.lock.
lock ../../requirements-wandb.lock --constraints requirements.lock <<<"wandb"
