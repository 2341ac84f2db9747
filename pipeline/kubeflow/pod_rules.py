"""Rules about the second document, and about what must outlive a pod."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes_pb2

from pipeline.kubeflow.finding import Finding
from pipeline.kubeflow.specification import Specification, Task

PLATFORM = "kubernetes"
# The parameters that name what is written for others, or for the next run.
_LASTING = ("push_destination", "histories_destination", "destination")
_LASTING_SETTINGS = ("checkpoints", "cache")


def platforms(specification: Specification) -> Iterator[Finding]:
    """The second document speaks of executors that there are, in words that Kubeflow knows."""
    for name in specification.platforms:
        if name != PLATFORM:
            yield Finding(f"platforms.{name}", f"expected only '{PLATFORM}'")
    for label, config in _configs(specification).items():
        if "container" not in specification.executors.get(label, {}):
            yield Finding(label, "is configured for Kubernetes, but is no executor with a container")
        try:
            json_format.ParseDict(config, kubernetes_pb2.KubernetesExecutorConfig())
        except json_format.ParseError as error:
            yield Finding(label, f"is no KubernetesExecutorConfig: {error}")


def storage(specification: Specification) -> Iterator[Finding]:
    """What is written for others lies in a volume. A cluster may mount one by itself, so this only warns."""
    for task in specification.tasks():
        if not task.container:
            continue
        mounts = _configs(specification).get(str(task.component.get("executorLabel")), {}).get("pvcMount", [])
        folders = [PurePosixPath(mount.get("mountPath", "")) for mount in mounts]
        for path in sorted(_lasting(task)):
            if not any(PurePosixPath(path).is_relative_to(folder) for folder in folders):
                text = f"writes to {path}, where no volume is mounted: it goes with the pod; set kubeflow.pod.claims"
                yield Finding(task.name, text, is_error=False)


def _configs(specification: Specification) -> dict[str, Any]:
    found: dict[str, Any] = specification.platforms.get(PLATFORM, {}).get("deploymentSpec", {}).get("executors", {})
    return found


def _lasting(task: Task) -> set[str]:
    constants = task.constants()
    settings = json.loads(constants.get("custom_config") or "{}") or {}
    found = [constants.get(name) for name in _LASTING] + [settings.get(name) for name in _LASTING_SETTINGS]
    return {path for path in found if path}
