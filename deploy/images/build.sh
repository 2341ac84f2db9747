#!/usr/bin/env bash
# The steps of an image, which the Dockerfiles run and which run as well in any folder. Needs uv and Python 3.11.
#   build.sh packages LOCK VENV     the locked packages, checked by their hashes, into a new virtual environment
#   build.sh encoder VENV MODELS    the text encoder, checked by its hash
#   build.sh code VENV CODE         aisle itself, beside the packages: a change of it changes only this folder
#   build.sh sbom VENV CODE FILE    the bill of materials of both, CycloneDX 1.6 as JSON
set -euo pipefail
source_folder=$(cd "$(dirname "$0")/../.." && pwd)
uv=${UV:-uv}
export UV_LINK_MODE=${UV_LINK_MODE:-copy} VIRTUAL_ENV=
# An image is read-only: without bytecode in it, every start of a container would compile TensorFlow anew. By the
# sources' hashes, and not by their times, the same sources give the same files.
export UV_COMPILE_BYTECODE=1 PYC_INVALIDATION_MODE=UNCHECKED_HASH

packages() {
    "$uv" venv --quiet --python "${PYTHON:-python3.11}" "$2"
    (cd "$source_folder" && "$uv" pip sync --quiet --python "$2/bin/python" --require-hashes "$1")
}

encoder() {
    (cd "$source_folder" && "$1/bin/python" -m trainer.encoders.fetch "$2" "${PYTHON:-python3.11}" -m pip)
}

code() {
    "$uv" pip install --quiet --python "$1/bin/python" --no-deps --no-build-isolation --target "$2" "$source_folder"
}

sbom() {
    local tool
    tool=$(mktemp -d)
    "$uv" venv --quiet --python "$1/bin/python" "$tool"
    (cd "$source_folder" && "$uv" pip sync --quiet --python "$tool/bin/python" --require-hashes deploy/images/sbom.lock)
    PYTHONPATH=$2 "$tool/bin/cyclonedx-py" environment --no-validate --output-reproducible --spec-version 1.6 --output-format JSON \
        --output-file "$3" "$1/bin/python"
    rm -rf "$tool"
}

step=${1:?"expected a step: packages, encoder, code or sbom"}
shift
case $step in
packages | encoder | code | sbom) "$step" "$@" ;;
*) printf 'error: %s: expected packages, encoder, code or sbom\n' "$step" >&2 && exit 2 ;;
esac
