"""What the configuration says of a step's pod, in the two forms in which Kubeflow reads it.

Resources, environment variables and retries stand in the pipeline's specification itself. Volumes, secrets, node
selectors and tolerations stand in a second YAML document, for the platform "kubernetes".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.config import PodConfig

_Resources = pipeline_spec_pb2.PipelineDeploymentConfig.PipelineContainerSpec.ResourceSpec


def resources(pod: PodConfig) -> dict[str, Any]:
    """Returns processors, memory and accelerators; each is asked for and is the limit."""
    spec = _Resources()
    if pod.cpu:
        spec.resource_cpu_limit = spec.resource_cpu_request = pod.cpu
    if pod.memory:
        spec.resource_memory_limit = spec.resource_memory_request = pod.memory
    if pod.gpus:
        spec.accelerator.resource_type = pod.gpu_resource
        spec.accelerator.resource_count = str(pod.gpus)
    return _plain(spec)


def environment(pod: PodConfig) -> list[dict[str, str]]:
    """Returns the environment variables."""
    return [{"name": name, "value": value} for name, value in sorted(pod.variables.items())]


def platform_document(pods: Mapping[str, PodConfig]) -> dict[str, Any] | None:
    """Returns the document for the platform "kubernetes".

    Args:
      pods: by the executor's label.

    Returns:
      The document; None where no pod gets anything of it.
    """
    executors = {label: _plain(_executor(pod)) for label, pod in pods.items()}
    executors = {label: executor for label, executor in executors.items() if executor}
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}} if executors else None


def _executor(pod: PodConfig) -> Any:
    spec = kubernetes_pb2.KubernetesExecutorConfig()
    for claim in pod.claims:
        spec.pvc_mount.add(constant=claim.claim, mount_path=claim.mount_path)
    for volume in pod.secret_volumes:
        spec.secret_as_volume.add(secret_name=volume.secret, mount_path=volume.mount_path, optional=False)
    for variable in pod.secret_variables:
        spec.secret_as_env.add(secret_name=variable.secret).key_to_env.add(
            secret_key=variable.key, env_var=variable.variable
        )
    for name in pod.pull_secrets:
        spec.image_pull_secret.add(secret_name=name)
    spec.node_selector.labels.update(pod.node_selector)
    if not pod.node_selector:
        spec.ClearField("node_selector")
    for found in pod.tolerations:
        toleration = spec.tolerations.add(
            key=found.key, operator=found.operator, value=found.value, effect=found.effect
        )
        if found.seconds is not None:
            toleration.toleration_seconds = found.seconds
    return spec


def _plain(message: Any) -> dict[str, Any]:
    tree: dict[str, Any] = json_format.MessageToDict(message)
    return tree
