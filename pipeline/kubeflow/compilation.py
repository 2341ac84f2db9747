"""Compiles the pipeline that the local runner runs into a specification for open-source Kubeflow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.kubeflow.utils import TFX_DAG_NAME
from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner

from pipeline import dag, run_parameters
from pipeline.components.run_status import NODE_ID as STATUS_ID
from pipeline.components.run_status import RunStatus
from pipeline.config import Config
from pipeline.kubeflow import entry_point, pods

IMAGE, GPU_IMAGE = "image", "gpu_image"
# Their result depends on what is pushed at the moment, which Kubeflow does not see.
NEVER_CACHED = ("Evaluator", "Pusher", STATUS_ID)
_SCHEMA_TYPES: dict[type, str] = {str: "STRING", int: "NUMBER_INTEGER"}


class CompilationError(ValueError):
    """The pipeline cannot be compiled for Kubeflow; the message names the key and what is allowed."""


def compile_pipeline(config: Config, output: Path) -> list[str]:
    """Writes a specification of schema 2.1.0, the one that open-source Kubeflow accepts.

    Args:
      config: the shop's configuration; its section `kubeflow` says the image, the storage and the pods.
      output: the YAML file.

    Returns:
      The names of the steps.

    Raises:
      CompilationError: if the file's name does not end in .yaml, or the section names a step that there is not.
    """
    if output.suffix not in {".yaml", ".yml"}:
        raise CompilationError(f"expected a file that ends in .yaml, got '{output}'; Kubeflow loads no TFX JSON")
    specification, platform = compile_documents(config)
    documents = [specification] if platform is None else [specification, platform]
    incoming = output.with_name(f".{output.name}.incoming")
    incoming.parent.mkdir(parents=True, exist_ok=True)
    incoming.write_text(_header(specification) + yaml.safe_dump_all(documents, sort_keys=True), encoding="utf-8")
    incoming.replace(output)
    return sorted(_tasks(specification))


def compile_documents(config: Config) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Compiles the pipeline.

    Args:
      config: the shop's configuration.

    Returns:
      The specification, and the document for the platform "kubernetes" where a pod gets anything of it.

    Raises:
      CompilationError: if the section `kubeflow` names a step that there is not.
    """
    defaults = parameter_defaults(config)
    specification = _specification(config, defaults)
    _require_steps(config, specification)
    _declare_parameters(specification, defaults)
    executors = specification["deploymentSpec"]["executors"]
    for name, task in _tasks(specification).items():
        if not config.kubeflow.cache or name in NEVER_CACHED:
            task.pop("cachingOptions", None)
        container = executors[specification["components"][name]["executorLabel"]].get("container")
        if container is not None:
            _set_pod(config, name, specification, container)
    labels = {name: specification["components"][name]["executorLabel"] for name in _containers(specification)}
    platform = pods.platform_document({label: config.kubeflow.pod_of(name) for name, label in labels.items()})
    return specification, platform


def parameter_defaults(config: Config) -> dict[str, Any]:
    """Returns the parameters of a run with their defaults; None where each run has to say them."""
    found: dict[str, Any] = run_parameters.defaults(config)
    if config.kubeflow.data is not None:
        found |= {**run_parameters.relative_paths(config), run_parameters.DATA: config.kubeflow.data}
    if config.kubeflow.cache:
        found[run_parameters.DATA_VERSION] = None
    found[IMAGE] = config.kubeflow.image
    if config.kubeflow.gpu_image is not None:
        found[GPU_IMAGE] = config.kubeflow.gpu_image
    return found


def pipeline_name(name: str) -> str:
    """Returns a shop's name as Kubeflow allows it: lower-case letters, digits and hyphens.

    Raises:
      CompilationError: if nothing is left of it.
    """
    result = re.sub(r"[^a-z0-9-]", "-", name.lower()).strip("-")
    if not result:
        raise CompilationError(f"name: Kubeflow needs a letter or a digit in it, got '{name}'")
    return result


def _specification(config: Config, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What TFX makes of the pipeline."""
    parameters = {
        name: RuntimeParameter(name=name, ptype=run_parameters.TYPES.get(name, str))
        for name in defaults
        if name not in {IMAGE, GPU_IMAGE}
    }
    root = f"{config.kubeflow.root.rstrip('/')}/{config.name}"
    # Where the tables lie on this machine is of no use there: each run says where they are.
    elsewhere = {name: "-" for name in run_parameters.defaults(config) if name in run_parameters.PATHS}
    placed = run_parameters.applied(config.model_dump(mode="json"), elsewhere, source="kubeflow")
    pipeline = dag.build(placed, dag.Locations.under(root), parameters=parameters)
    pipeline.pipeline_info.pipeline_name = pipeline_name(config.name)
    runner = kubeflow_v2_dag_runner.KubeflowV2DagRunner(
        config=kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(
            default_image=config.kubeflow.image,
            default_commands=list(entry_point.COMMAND),
            use_pipeline_spec_2_1=True,
        )
    )
    status = RunStatus(
        pipeline=config.name, destination=f"{root}/last-run.json", url=config.kubeflow.status_url or ""
    ).with_id(STATUS_ID)
    runner.set_exit_handler(status)
    specification: dict[str, Any] = runner.run(pipeline, write_out=False)["pipelineSpec"]
    return specification


def _tasks(specification: dict[str, Any]) -> dict[str, Any]:
    """All tasks: those of the pipeline, and the one that runs at its end."""
    return {
        **specification["components"][TFX_DAG_NAME]["dag"]["tasks"],
        STATUS_ID: specification["root"]["dag"]["tasks"][STATUS_ID],
    }


def _containers(specification: dict[str, Any]) -> list[str]:
    executors = specification["deploymentSpec"]["executors"]
    components = specification["components"]
    return [
        name for name in sorted(_tasks(specification)) if "container" in executors[components[name]["executorLabel"]]
    ]


def _require_steps(config: Config, specification: dict[str, Any]) -> None:
    allowed = _containers(specification)
    for name in config.kubeflow.steps:
        if name not in allowed:
            raise CompilationError(f"kubeflow.steps.{name}: is no step; steps are {', '.join(allowed)}")


def _declare_parameters(specification: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    """Gives the pipeline its parameters with defaults, and hands them on to the part that holds the steps.

    TFX puts the steps into a part of their own where there is a step at the end, and forgets the parameters then.
    """
    declared = {}
    for name, default in sorted(defaults.items()):
        kind = {"parameterType": _SCHEMA_TYPES[run_parameters.TYPES.get(name, str)]}
        declared[name] = kind if default is None else {**kind, "defaultValue": default, "isOptional": True}
    specification["root"]["inputDefinitions"] = {"parameters": declared}
    specification["components"][TFX_DAG_NAME]["inputDefinitions"] = {
        "parameters": {name: {"parameterType": spec["parameterType"]} for name, spec in declared.items()}
    }
    inputs = {name: {"componentInputParameter": name} for name in declared}
    specification["root"]["dag"]["tasks"][TFX_DAG_NAME]["inputs"] = {"parameters": inputs}


def _set_pod(config: Config, name: str, specification: dict[str, Any], container: dict[str, Any]) -> None:
    """Gives a step its image, which is a parameter, its resources, its variables and its retries."""
    pod = config.kubeflow.pod_of(name)
    image = GPU_IMAGE if pod.gpus and config.kubeflow.gpu_image is not None else IMAGE
    container["image"] = f"{{{{$.inputs.parameters['{image}']}}}}"
    component, task = specification["components"][name], _tasks(specification)[name]
    declared = component.setdefault("inputDefinitions", {}).setdefault("parameters", {})
    declared[image] = {"parameterType": "STRING"}
    task.setdefault("inputs", {}).setdefault("parameters", {})[image] = {"componentInputParameter": image}
    if resources := pods.resources(pod):
        container["resources"] = resources
    if variables := pods.environment(pod):
        container["env"] = variables
    if pod.retries:
        task["retryPolicy"] = {"maxRetryCount": pod.retries}


def _header(specification: dict[str, Any]) -> str:
    """The lines at the top, for people."""
    lines = [
        f"# Pipeline {specification['pipelineInfo']['name']}, for Kubeflow Pipelines 2.14 and newer.",
        "# Parameters:",
    ]
    for name, spec in specification["root"]["inputDefinitions"]["parameters"].items():
        lines.append(f"#   {name}: {spec.get('defaultValue', 'to be given for each run')}")
    return "\n".join(lines) + "\n"
