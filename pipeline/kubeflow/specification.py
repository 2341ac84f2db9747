"""A compiled specification as it lies in a file: its documents, and what is where in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp import components
from kfp.pipeline_spec import pipeline_spec_pb2

ROOT = "root"
SCHEMA = "2.1.0"


class SpecificationError(ValueError):
    """The file is no specification that Kubeflow loads; the message says why and what to do."""


@dataclass(frozen=True)
class Task:
    """A task and what belongs to it.

    Args:
      name: the task's name.
      owner: the component whose part the task is, `root` for the outermost.
      spec: the task as it stands in the file.
      component: its component.
      executor: its executor; empty where the component holds tasks itself, or the executor is missing.
    """

    name: str
    owner: str
    spec: dict[str, Any]
    component: dict[str, Any]
    executor: dict[str, Any]

    @property
    def container(self) -> dict[str, Any]:
        """The container; empty where the executor is none."""
        found: dict[str, Any] = self.executor.get("container", {})
        return found

    def parameters(self) -> dict[str, Any]:
        """Returns the task's input parameters by name."""
        found: dict[str, Any] = self.spec.get("inputs", {}).get("parameters", {})
        return found

    def artifacts(self) -> dict[str, Any]:
        """Returns the task's input artifacts by name."""
        found: dict[str, Any] = self.spec.get("inputs", {}).get("artifacts", {})
        return found

    def declared(self, kind: str, direction: str = "inputDefinitions") -> dict[str, Any]:
        """Returns what the component declares.

        Args:
          kind: "parameters" or "artifacts".
          direction: "inputDefinitions" or "outputDefinitions".
        """
        found: dict[str, Any] = self.component.get(direction, {}).get(kind, {})
        return found

    def constants(self) -> dict[str, Any]:
        """Returns the parameters that are the same in each run."""
        return {
            name: value["runtimeValue"]["constant"]
            for name, value in self.parameters().items()
            if "constant" in value.get("runtimeValue", {})
        }


@dataclass(frozen=True)
class Specification:
    """What a file holds.

    Args:
      spec: the pipeline.
      platforms: by platform what the second document says; empty where there is none.
    """

    spec: dict[str, Any]
    platforms: dict[str, Any] = field(default_factory=dict)

    @property
    def executors(self) -> dict[str, Any]:
        """The executors by label."""
        found: dict[str, Any] = self.spec.get("deploymentSpec", {}).get("executors", {})
        return found

    def component(self, name: str) -> dict[str, Any]:
        """Returns a component; empty where there is none of the name."""
        found: dict[str, Any] = self.spec["root"] if name == ROOT else self.spec.get("components", {}).get(name, {})
        return found

    def tasks_of(self, owner: str) -> dict[str, Task]:
        """Returns the tasks that a component holds, by name."""
        found = {}
        for name, spec in self.component(owner).get("dag", {}).get("tasks", {}).items():
            component = self.component(spec.get("componentRef", {}).get("name", ""))
            executor = self.executors.get(component.get("executorLabel", ""), {})
            found[name] = Task(name, owner, spec, component, executor)
        return found

    def owners(self) -> list[str]:
        """Returns the components that hold tasks, from the outermost inwards."""
        found, waiting = list[str](), [ROOT]
        while waiting:
            owner = waiting.pop(0)
            if owner in found or "dag" not in self.component(owner):
                continue
            found.append(owner)
            waiting += [task.spec.get("componentRef", {}).get("name", "") for task in self.tasks_of(owner).values()]
        return found

    def tasks(self) -> Iterator[Task]:
        """Yields every task."""
        for owner in self.owners():
            yield from self.tasks_of(owner).values()


def read_specification(file: Path) -> Specification:
    """Reads what `aisle compile`, TFX or Kubeflow's own compiler has written.

    Args:
      file: YAML of one or two documents.

    Returns:
      What it holds.

    Raises:
      SpecificationError: if Kubeflow would not load it.
    """
    try:
        documents = [found for found in yaml.safe_load_all(file.read_text(encoding="utf-8")) if found is not None]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SpecificationError(f"cannot be read as YAML: {error}; compile it again") from error
    pipelines = [found for found in documents if isinstance(found, dict) and "pipelineInfo" in found]
    if any(isinstance(found, dict) and "pipelineSpec" in found for found in documents):
        raise SpecificationError("is a PipelineJob, which only Vertex takes; compile it to a file that ends in .yaml")
    if len(pipelines) != 1:
        raise SpecificationError(f"expected one document with 'pipelineInfo', found {len(pipelines)}; compile it again")
    [spec] = pipelines
    version = spec.get("schemaVersion")
    if version != SCHEMA:
        raise SpecificationError(f"schemaVersion: expected {SCHEMA}, the only one that Kubeflow takes, got {version}")
    others = [found for found in documents if found is not spec]
    if len(others) > 1 or any(not isinstance(found, dict) or set(found) != {"platforms"} for found in others):
        raise SpecificationError("expected beside the pipeline at most one document, with the key 'platforms' alone")
    _require_types(file, spec)
    return Specification(spec, others[0]["platforms"] if others else {})


def _require_types(file: Path, spec: dict[str, Any]) -> None:
    """Reads the pipeline as Kubeflow's server and its client do."""
    try:
        json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
        json_format.ParseDict(spec.get("deploymentSpec", {}), pipeline_spec_pb2.PipelineDeploymentConfig())
    except json_format.ParseError as error:
        raise SpecificationError(f"is no PipelineSpec: {error}; compile it again") from error
    try:
        components.load_component_from_file(str(file))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise SpecificationError(f"kfp cannot load it: {type(error).__name__}: {error}; compile it again") from error
