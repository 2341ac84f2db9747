"""How our executors read and write what lies behind an artifact's URI.

They use nothing of an artifact but its URI: on Kubeflow, types and properties may be lost between steps.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import shutil
import socket
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx.types import Artifact
from tfx.types.component_spec import ExecutionParameter

from pipeline import run_parameters
from pipeline.config import Config

SUMMARY = "summary"  # custom property: one line for people about what the step made
_SCRATCH = ".scratch"
# Execution properties of a step that reads the configuration: what a run on a cluster says for itself.
RUN_PARAMETERS = {name: ExecutionParameter(type=kind, optional=True) for name, kind in run_parameters.TYPES.items()}
NO_PARAMETERS: Mapping[str, Any] = types.MappingProxyType({})

ArtifactsByKey = dict[str, list[Artifact]]


def single(artifacts: Mapping[str, Sequence[Artifact]], key: str) -> Artifact:
    """Returns the one artifact under `key`.

    Raises:
      ValueError: if there is none, or more than one.
    """
    found = artifacts.get(key, ())
    if len(found) != 1:
        raise ValueError(f"expected one artifact '{key}', got {len(found)}")
    return found[0]


def folder(artifacts: Mapping[str, Sequence[Artifact]], key: str) -> Path:
    """Returns the folder of the one artifact under `key`."""
    return Path(single(artifacts, key).uri)


@contextlib.contextmanager
def scratch(target: Path) -> Iterator[Path]:
    """Gives a folder to write in; what lies there at the end is moved to `target`.

    Args:
      target: an artifact's folder. What an interrupted attempt left there is removed first.

    Yields:
      An empty folder inside `target`, so that moving is renaming. After an error nothing is moved.
    """
    shutil.rmtree(target, ignore_errors=True)
    work = target / _SCRATCH
    work.mkdir(parents=True)
    yield work
    for entry in sorted(work.iterdir()):
        entry.rename(target / entry.name)
    work.rmdir()


def seen(path: str) -> Path:
    """Returns a folder or a file that one of Beam's workers was told of.

    Raises:
      FileNotFoundError: if this machine does not see it; what it wrote there would be lost.
    """
    if not Path(path).exists():
        raise FileNotFoundError(
            f"the worker on {socket.gethostname()} does not see {path}: every machine that works for Beam needs the "
            "folder of the run under the same path"
        )
    return Path(path)


def configuration(properties: Mapping[str, Any]) -> Config:
    """Reads the execution property `config`, with the run's parameters in the place of what stands there."""
    return run_parameters.applied(json.loads(properties["config"]), properties, source="execution property 'config'")


def function(path: str) -> Callable[..., Any]:
    """Imports a function by its dotted path.

    Raises:
      ValueError: if the path has no module.
    """
    module, _, name = path.rpartition(".")
    if not module:
        raise ValueError(f"expected a dotted path such as trainer.run.run_fn, got '{path}'")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def describe(artifact: Artifact, summary: str) -> None:
    """Keeps one line for people with the artifact; the runner prints it, also when the step is cached."""
    artifact.set_string_custom_property(SUMMARY, summary)
