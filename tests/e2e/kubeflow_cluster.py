"""Open-source Kubeflow without Kubernetes: does with a specification what its driver and its launcher do.

Each container is a process with exactly the command line that the launcher would start, and a disk of its own: nothing
goes from one to another but by URI, through a folder that stands for the object store. As on Kubeflow, artifacts lose
their types between steps, numbers become floats, and the launcher adds a log of its own to the outputs. The first
container is a Python of its own; the others are forked from a process that has imported TFX, and then run the module
that their command names, with the arguments that it gives. Kubeflow's cache is left out.
"""

import contextlib
import graphlib
import json
import multiprocessing
import os
import runpy
import shutil
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attempts import PRELOAD
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.kubeflow.specification import Specification, Task

STORE = "minio://mlpipeline/v2/artifacts"
_FOLDERS = {"gs": "gcs", "s3": "s3", "minio": "minio"}
_OWN_LOG = {"executor-logs": {"artifactType": {"schemaTitle": "system.Artifact"}}}


@dataclass
class Run:
    """What a run did.

    Args:
      name: what its driver puts in the place of the placeholders for its name and its id.
      state: how it ended.
      images: by step the image that its pod would have.
      artifacts: by step and key what the metadata store has: `uri` and `metadata`.
      failures: by step the end of its log.
    """

    name: str
    state: str = "RUNNING"
    images: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Container:
    """A container that is ready to start.

    Args:
      command: the whole command line.
      disk: the folder that stands for the root of its disk.
      log: where what it writes goes.
      variables: its environment beside that of the image.
    """

    command: list[str]
    disk: Path
    log: Path
    variables: dict[str, str]

    def environment(self) -> dict[str, str]:
        """Returns what is different in its environment."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {"AISLE_LAUNCHER_ROOT": str(self.disk), "PATH": path, **self.variables}


class Cluster:
    """Runs specifications.

    Args:
      specification: what was compiled.
      folder: where everything is kept: `store`, the object store, and the containers' disks and logs.
    """

    def __init__(self, specification: Specification, folder: Path) -> None:
        self._specification, self._folder = specification, folder
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOAD)

    def stored(self, uri: str) -> Path:
        """Returns where the object store keeps what a URI names."""
        scheme, _, path = uri.partition("://")
        return self._folder / "store" / _FOLDERS[scheme] / path

    def run(self, **parameters: Any) -> Run:
        """Runs the pipeline as `POST /runs` with these parameters would; a failing step ends it."""
        run = Run(f"run-{len(list(self._folder.glob('run-*')))}")
        declared = self._specification.spec["root"]["inputDefinitions"]["parameters"]
        values = {name: spec["defaultValue"] for name, spec in declared.items() if "defaultValue" in spec} | parameters
        assert set(values) == set(declared), "the API server takes no other parameters, and no fewer"
        tasks = self._specification.tasks_of("root")
        [inner] = [task for task in tasks.values() if "dag" in task.component]
        try:
            self._run_dag(inner, self._parameters(inner, values, run), run)
            run.state = "COMPLETE"
        except subprocess.CalledProcessError:
            run.state = "FAILED"
        for task in tasks.values():
            if task.spec.get("triggerPolicy", {}).get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED":
                self._run_container(task, self._parameters(task, values, run), run)
        return run

    def _run_dag(self, owner: Task, values: dict[str, Any], run: Run) -> None:
        tasks = self._specification.tasks_of(owner.spec["componentRef"]["name"])
        before = {
            name: {
                *task.spec.get("dependentTasks", ()),
                *(value["taskOutputArtifact"]["producerTask"] for value in task.artifacts().values()),
            }
            for name, task in tasks.items()
        }
        for name in graphlib.TopologicalSorter(before).static_order():
            given = self._parameters(tasks[name], values, run)
            if tasks[name].container:
                self._run_container(tasks[name], given, run)
            else:
                self._import(tasks[name], given, run)

    def _parameters(self, task: Task, values: Mapping[str, Any], run: Run) -> dict[str, Any]:
        """What the driver makes of a task's parameters."""
        found = {}
        for name, value in task.parameters().items():
            if "componentInputParameter" in value:
                given = values[value["componentInputParameter"]]
            elif "taskFinalStatus" in value:
                given = {"state": run.state, "pipelineTaskName": value["taskFinalStatus"]["producerTask"], "error": {}}
            else:
                given = value["runtimeValue"]["constant"]
                given = run.name if given in {"{{$.pipeline_job_name}}", "{{$.pipeline_job_uuid}}"} else given
            kind = task.declared("parameters")[name]["parameterType"]
            if kind == "STRING" and not isinstance(given, str):
                given = json.dumps(given)
            assert isinstance(given, str) == (kind == "STRING"), f"{task.name}.{name}: expected {kind}, got {given!r}"
            found[name] = given
        return found

    def _import(self, task: Task, given: dict[str, Any], run: Run) -> None:
        """What the importer does: it looks at nothing but the scheme."""
        address = task.executor["importer"]["artifactUri"]
        uri = given[address["runtimeParameter"]] if "runtimeParameter" in address else address["constant"]
        assert uri.split("://")[0] in _FOLDERS, f"no provider scheme found in artifact URI: {uri}"
        [key] = task.declared("artifacts", "outputDefinitions")
        session = json.dumps({"Provider": uri.split("://")[0], "Params": {"fromEnv": "true"}})
        run.artifacts[task.name] = {key: {"uri": uri, "metadata": {"store_session_info": session}}}

    def _run_container(self, task: Task, given: dict[str, Any], run: Run) -> None:
        """The driver's work, then the launcher's."""
        home = self._folder / run.name / task.name
        disk = home / "disk"
        # What the container finds on its disk: its inputs, under the paths that their URIs stand for.
        inputs = {key: self._input(task, key, run) for key in task.artifacts()}
        for artifact in inputs.values():
            self._copy(self.stored(artifact["uri"]), self._local(disk, artifact["uri"]))
        base = f"{STORE}/{self._specification.spec['pipelineInfo']['name']}/{run.name}/{task.name}/{uuid.uuid4()}"
        declared = task.declared("artifacts", "outputDefinitions") | _OWN_LOG
        outputs = {
            key: {"name": key, "uri": f"{base}/{key}", "type": spec["artifactType"]} for key, spec in declared.items()
        }
        output_file = self._local(disk, base) / "output_metadata.json"
        output_file.parent.mkdir(parents=True, exist_ok=True)
        handed = {
            "inputs": {
                "parameterValues": given,
                "artifacts": {key: {"artifacts": [artifact]} for key, artifact in inputs.items()},
            },
            "outputs": {
                "artifacts": {key: {"artifacts": [artifact]} for key, artifact in outputs.items()},
                "outputFile": str(output_file),
            },
        }
        run.images[task.name] = _filled(task.container["image"], given)
        words = [*task.container["command"], *task.container["args"]]
        message = json_format.ParseDict(handed, pipeline_spec_pb2.ExecutorInput())
        text = json_format.MessageToJson(message, indent=None)
        command = [_filled(word.replace("{{$}}", text), given) for word in words]
        variables = {variable["name"]: variable["value"] for variable in task.container.get("env", ())}
        self._start(task.name, Container(command, disk, home / "log.txt", variables), run)
        self._keep(task, disk, outputs, output_file, run)
        shutil.rmtree(disk)

    def _input(self, task: Task, key: str, run: Run) -> dict[str, Any]:
        """An artifact as the driver reads it from the metadata store: without its type."""
        source = task.artifacts()[key]["taskOutputArtifact"]
        found = run.artifacts[source["producerTask"]][source["outputArtifactKey"]]
        return {"name": str(abs(hash(found["uri"])) % 1000), "type": {"instanceSchema": ""}, **found}

    def _start(self, name: str, container: Container, run: Run) -> None:
        if not any(run.artifacts[step] for step in run.artifacts if self._made_by_container(step)):
            with container.log.open("w") as log:
                environment = {**os.environ, **container.environment()}
                status = subprocess.run(
                    container.command, env=environment, stdout=log, stderr=log, check=False, cwd=container.disk
                ).returncode
        else:
            process = self._context.Process(target=_run_forked, args=(container,))
            process.start()
            process.join()
            status = process.exitcode or 0
        if status:
            run.failures[name] = container.log.read_text(encoding="utf-8")[-4000:]
            raise subprocess.CalledProcessError(status, container.command[:3])

    def _made_by_container(self, step: str) -> bool:
        return any(task.name == step and bool(task.container) for task in self._specification.tasks())

    def _keep(self, task: Task, disk: Path, outputs: dict[str, Any], output_file: Path, run: Run) -> None:
        """Uploads the outputs and records them; what the executor says of their URIs is believed."""
        told = json.loads(output_file.read_text(encoding="utf-8")).get("artifacts", {})
        kept = {}
        for key in task.declared("artifacts", "outputDefinitions"):
            [said] = told[key]["artifacts"]
            uri = said.get("uri") or outputs[key]["uri"]
            scheme = uri.partition("://")[0]
            if scheme in _FOLDERS:  # other URIs the launcher passes over
                self._copy(self._local(disk, uri), self.stored(uri))
            metadata = {name: _as_stored(value) for name, value in said.get("metadata", {}).items()}
            kept[key] = {"uri": uri, "metadata": metadata}
        run.artifacts[task.name] = kept

    def _local(self, disk: Path, uri: str) -> Path:
        scheme, _, path = uri.partition("://")
        return disk / _FOLDERS[scheme] / path

    def _copy(self, source: Path, target: Path) -> None:
        """Copies files as an object store does: empty folders are nothing to it."""
        for file in sorted(path for path in source.rglob("*") if path.is_file()):
            place = target / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)


def _filled(word: str, given: Mapping[str, Any]) -> str:
    for name, value in given.items():
        word = word.replace(f"{{{{$.inputs.parameters['{name}']}}}}", str(value))
    return word


def _as_stored(value: Any) -> Any:
    """What a value is after the metadata store."""
    if isinstance(value, bool | int | float):
        return float(value)
    return {"struct": value} if isinstance(value, dict) else value


def _run_forked(container: Container) -> None:
    """Becomes the container: its environment, its arguments, its module."""
    with container.log.open("w") as log:
        for descriptor in (1, 2):
            os.dup2(log.fileno(), descriptor)
    os.environ.update(container.environment())
    os.chdir(container.disk)
    interpreter, option, module, *arguments = container.command
    assert (interpreter, option) == ("python", "-m")
    sys.argv = [module, *arguments]
    with contextlib.suppress(SystemExit):
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    raise SystemExit(1)  # the module ends the process itself when all is well
