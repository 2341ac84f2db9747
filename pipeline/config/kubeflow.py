"""The section that says how the pipeline runs on Kubeflow: image, storage, what each step's pod gets."""

from __future__ import annotations

from typing import Literal

import pydantic

from pipeline.config.tables import Section

_QUANTITY = r"^[0-9]+(\.[0-9]+)?([munkMGTPE]|[KMGTPE]i)?$"
_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"  # what Kubernetes allows
_FOLDER = r"^/[^\s]+$"


class ClaimMount(Section):
    """A persistent volume claim that steps see as a folder."""

    claim: str = pydantic.Field(pattern=_NAME, description="name of the PersistentVolumeClaim")
    mount_path: str = pydantic.Field(pattern=_FOLDER, description="folder in the container")


class SecretVolume(Section):
    """A secret that steps see as a folder, with a file for each key."""

    secret: str = pydantic.Field(pattern=_NAME, description="name of the Secret")
    mount_path: str = pydantic.Field(pattern=_FOLDER, description="folder in the container")


class SecretVariable(Section):
    """A key of a secret that steps see as an environment variable."""

    secret: str = pydantic.Field(pattern=_NAME, description="name of the Secret")
    key: str = pydantic.Field(min_length=1, description="key in the Secret")
    variable: str = pydantic.Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="the environment variable")


class Toleration(Section):
    """A taint of nodes that pods may stand."""

    key: str = pydantic.Field("", description="the taint's key; empty with 'Exists' means every taint")
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str = pydantic.Field("", description="the taint's value, for 'Equal'")
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = pydantic.Field(
        "", description="empty means every effect"
    )
    seconds: int | None = pydantic.Field(None, ge=0, description="NoExecute: how long to stay, seconds; none: forever")

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Toleration:
        if self.operator == "Exists" and self.value:
            raise ValueError("operator 'Exists' takes no 'value'; use 'Equal', or leave 'value' out")
        if self.operator == "Equal" and not self.key:
            raise ValueError("operator 'Equal' needs 'key'")
        return self


class PodConfig(Section):
    """What the pod of a step gets."""

    cpu: str | None = pydantic.Field(None, pattern=_QUANTITY, description="processors, such as '8' or '500m'")
    memory: str | None = pydantic.Field(None, pattern=_QUANTITY, description="memory, such as '32Gi'")
    gpus: int = pydantic.Field(0, ge=0, description="accelerators")
    gpu_resource: str = pydantic.Field("nvidia.com/gpu", min_length=1, description="what the cluster calls them")
    claims: tuple[ClaimMount, ...] = pydantic.Field((), description="persistent volumes; 'root' must lie in one")
    secret_volumes: tuple[SecretVolume, ...] = ()
    secret_variables: tuple[SecretVariable, ...] = ()
    variables: dict[str, str] = pydantic.Field(default_factory=dict, description="environment variables; no secrets")
    pull_secrets: tuple[str, ...] = pydantic.Field((), description="Secrets to pull the image with")
    node_selector: dict[str, str] = pydantic.Field(default_factory=dict, description="labels that nodes must have")
    tolerations: tuple[Toleration, ...] = ()
    retries: int = pydantic.Field(0, ge=0, description="how often a failed step is tried again")


class KubeflowConfig(Section):
    """How the pipeline runs on Kubeflow; `aisle run` reads none of it."""

    image: str = pydantic.Field(
        "aisle:latest", min_length=1, description="the image of every step; a run may name another"
    )
    gpu_image: str | None = pydantic.Field(
        None, min_length=1, description="the image of steps that ask for accelerators; none: that of every step"
    )
    root: str = pydantic.Field(
        "/mnt/aisle",
        pattern=_FOLDER,
        description="folder that outlives runs: pushed models, histories, checkpoints; NAME is added",
    )
    data: str | None = pydantic.Field(
        None,
        pattern=r"^(gs|s3|minio)://[^/\s]+/[^\s]+$",
        description="folder of the tables in an object store, which Kubeflow brings to the step that reads them; none: "
        "the tables' paths are files that the pods see",
    )
    cache: bool = pydantic.Field(
        False,
        description="take steps from earlier runs; each run then says by 'data_version' which state of the tables it "
        "reads, because Kubeflow does not look at files",
    )
    status_url: str | None = pydantic.Field(
        None, pattern=r"^https?://[^\s]+$", description="where the end of each run is posted to, as JSON"
    )
    pod: PodConfig = pydantic.Field(PodConfig(), description="for every step")
    steps: dict[str, PodConfig] = pydantic.Field(
        default_factory=dict, description="step: what it gets; keys that are given here replace those of 'pod'"
    )

    def pod_of(self, step: str) -> PodConfig:
        """Returns what the pod of a step gets: the keys given for the step, and for the others those of `pod`."""
        own = self.steps.get(step, PodConfig())
        return self.pod.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})
