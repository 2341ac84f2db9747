"""Rules about the tasks of a specification: their names, their kinds, and what flows between them."""

from __future__ import annotations

import graphlib
import re
from collections.abc import Iterator
from typing import Any

import yaml

from pipeline.kubeflow.finding import Finding
from pipeline.kubeflow.specification import ROOT, Specification, Task

_PIPELINE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,126}[a-z0-9])?")
_NODE_NAME = re.compile(r"[A-Za-z0-9][-A-Za-z0-9]{0,99}")  # Argo's, with room for what Kubeflow adds
_AT_THE_END = "ALL_UPSTREAM_TASKS_COMPLETED"
_NOT_THERE = {
    "resolver": "Kubeflow has no resolver; let the step find what it needs by the paths that it is given",
    "customJob": "only Vertex has custom jobs; make it a container",
}


def names(specification: Specification) -> Iterator[Finding]:
    """Names must be such as Kubernetes and Argo take."""
    name = str(specification.spec["pipelineInfo"].get("name", ""))
    if not _PIPELINE_NAME.fullmatch(name):
        yield Finding(
            "pipelineInfo.name", f"expected lower-case letters, digits and '-', got '{name}'; rename the shop"
        )
    for task in specification.tasks():
        if not _NODE_NAME.fullmatch(task.name) or task.name == ROOT:
            yield Finding(
                task.name, f"expected a name of at most 100 letters, digits and '-', not '{ROOT}'; rename the node"
            )


def executor_kinds(specification: Specification) -> Iterator[Finding]:
    """Only containers and importers run."""
    for task in specification.tasks():
        if "dag" in task.component:
            continue
        label = task.component.get("executorLabel")
        kinds = sorted(task.executor)
        if not task.component:
            yield Finding(task.name, f"its component '{task.spec.get('componentRef', {}).get('name')}' is missing")
        elif not kinds:
            yield Finding(task.name, f"its executor '{label}' is missing; compile it again")
        elif kinds not in (["container"], ["importer"]):
            remedy = _NOT_THERE.get(kinds[0], "make it a container")
            yield Finding(task.name, f"expected an executor that is a container or an importer, got {kinds}: {remedy}")
        elif kinds == ["importer"] and task.spec.get("triggerPolicy", {}).get("condition"):
            yield Finding(task.name, "Kubeflow starts importers without conditions; put the condition elsewhere")


def wiring(specification: Specification) -> Iterator[Finding]:
    """What a task reads must be declared by whoever gives it, and be of the type that the task declares."""
    for task in specification.tasks():
        beside = specification.tasks_of(task.owner)
        given = specification.component(task.owner).get("inputDefinitions", {}).get("parameters", {})
        for name, value in task.parameters().items():
            yield from _parameter(task, name, value, given)
        for name, value in task.artifacts().items():
            yield from _artifact(task, name, value, beside)


def _parameter(task: Task, name: str, value: dict[str, Any], given: dict[str, Any]) -> Iterator[Finding]:
    wanted = task.declared("parameters").get(name, {}).get("parameterType")
    if wanted is None:
        yield Finding(task.name, f"gets the parameter '{name}', which it does not declare; compile it again")
        return
    source = value.get("componentInputParameter")
    if source is not None:
        got = given.get(source, {}).get("parameterType")
        if got is None:
            yield Finding(
                task.name, f"'{name}' comes from the parameter '{source}', which '{task.owner}' does not have"
            )
        elif got != wanted:
            yield Finding(task.name, f"'{name}' is declared {wanted}, but the parameter '{source}' is {got}")
    constant = value.get("runtimeValue", {}).get("constant")
    if constant is not None and not _is(constant, wanted):
        yield Finding(task.name, f"'{name}' is declared {wanted}, but its value is {type(constant).__name__}")
    if value.get("taskFinalStatus") is not None and task.spec.get("triggerPolicy", {}).get("strategy") != _AT_THE_END:
        yield Finding(task.name, f"only a task with the strategy {_AT_THE_END} can be told how the run ended")


def _is(constant: Any, kind: str) -> bool:
    if kind.startswith("NUMBER"):
        return isinstance(constant, int | float) and not isinstance(constant, bool)
    return not (kind == "STRING" and not isinstance(constant, str))


def _artifact(task: Task, name: str, value: dict[str, Any], beside: dict[str, Task]) -> Iterator[Finding]:
    declared = task.declared("artifacts").get(name)
    if declared is None:
        yield Finding(task.name, f"gets the artifact '{name}', which it does not declare; compile it again")
        return
    source = value.get("taskOutputArtifact", {})
    producer, key = source.get("producerTask", ""), source.get("outputArtifactKey", "")
    made = beside[producer].declared("artifacts", "outputDefinitions").get(key) if producer in beside else None
    if made is None:
        yield Finding(task.name, f"'{name}' comes from '{producer}.{key}', which is not made")
    elif title_of(made) != title_of(declared):
        yield Finding(task.name, f"'{name}' is declared {title_of(declared)}, but '{producer}' makes {title_of(made)}")


def title_of(artifact: dict[str, Any]) -> str:
    """Returns the name of an artifact's type; "" where it has none."""
    kind = artifact.get("artifactType", {})
    if "schemaTitle" in kind:
        return str(kind["schemaTitle"])
    schema = yaml.safe_load(kind.get("instanceSchema", "") or "{}")
    return str(schema.get("title", ""))


def required_inputs(specification: Specification) -> Iterator[Finding]:
    """A task must get everything that it declares and that has no default."""
    for task in specification.tasks():
        for kind, got in (("parameters", task.parameters()), ("artifacts", task.artifacts())):
            for name, declared in task.declared(kind).items():
                if name not in got and not declared.get("isOptional") and "defaultValue" not in declared:
                    yield Finding(task.name, f"declares the input '{name}', which nothing gives it; compile it again")


def order(specification: Specification) -> Iterator[Finding]:
    """Tasks that a task waits for must be there, and no task may wait for itself."""
    for owner in specification.owners():
        tasks = specification.tasks_of(owner)
        before = {name: set(task.spec.get("dependentTasks", [])) for name, task in tasks.items()}
        for name, task in tasks.items():
            for missing in sorted(before[name] - set(tasks)):
                yield Finding(name, f"waits for '{missing}', which is not in '{owner}'")
            before[name] |= {
                value["taskOutputArtifact"]["producerTask"]
                for value in task.artifacts().values()
                if "taskOutputArtifact" in value
            }
        try:
            graphlib.TopologicalSorter(before).prepare()
        except graphlib.CycleError as error:
            yield Finding(owner, f"tasks wait for one another: {' → '.join(error.args[1])}")
