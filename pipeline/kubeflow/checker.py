"""Checks a compiled specification against what open-source Kubeflow can run, without a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.kubeflow import container_rules, graph_rules, pod_rules
from pipeline.kubeflow.finding import Finding
from pipeline.kubeflow.specification import Specification, SpecificationError, read_specification

Rule = Callable[[Specification], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    graph_rules.names,
    graph_rules.executor_kinds,
    graph_rules.wiring,
    graph_rules.required_inputs,
    graph_rules.order,
    container_rules.images,
    container_rules.commands,
    container_rules.lifecycles,
    container_rules.executors,
    container_rules.functions,
    container_rules.patterns,
    container_rules.artifact_types,
    pod_rules.platforms,
    pod_rules.storage,
)


def check_file(file: Path) -> list[Finding]:
    """Checks a file.

    Args:
      file: what was compiled.

    Returns:
      What was found, rule by rule; of a file that Kubeflow would not load, only why.
    """
    try:
        specification = read_specification(file)
    except SpecificationError as error:
        return [Finding(file.name, str(error))]
    return [finding for rule in RULES for finding in rule(specification)]
