"""Rules about containers: the image, what they start, and whether that can be found in the image."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.orchestration.kubeflow.v2.compiler_utils import TITLE_TO_CLASS_PATH

from pipeline.kubeflow import entry_point
from pipeline.kubeflow.finding import Finding
from pipeline.kubeflow.graph_rules import title_of
from pipeline.kubeflow.specification import Specification, Task

_PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")
_PATTERNS = re.compile(r"\{(SPAN|VERSION|YYYY|MM|DD)(:\d+)?\}")
_CLASS, _HANDED, _DECLARED = (
    "--executor_class_path",
    "--json_serialized_invocation_args",
    "--json_serialized_inputs_spec_args",
)


def _containers(specification: Specification) -> Iterator[Task]:
    return (task for task in specification.tasks() if task.container)


def images(specification: Specification) -> Iterator[Finding]:
    """All steps run in one image; those that ask for accelerators may run in another."""
    seen: dict[bool, tuple[str, str]] = {}
    for task in _containers(specification):
        image = str(task.container.get("image", ""))
        found = _PLACEHOLDER.fullmatch(image)
        if not image:
            yield Finding(task.name, "has no image; set kubeflow.image")
            continue
        if found is not None and found.group(1) not in task.parameters():
            yield Finding(task.name, f"its image is the parameter '{found.group(1)}', which it does not get")
        if found is None and "{{" in image:
            yield Finding(task.name, f"expected an image or one parameter, got '{image}'")
        on_accelerator = "accelerator" in task.container.get("resources", {})
        first, expected = seen.setdefault(on_accelerator, (task.name, image))
        if image != expected:
            yield Finding(task.name, f"expected the image of {first}, '{expected}', got '{image}'; set kubeflow.image")


def commands(specification: Specification) -> Iterator[Finding]:
    """Containers start our entry point, which stands in the package, with what it needs."""
    for task in _containers(specification):
        command = tuple(task.container.get("command", ()))
        if command != entry_point.COMMAND:
            yield Finding(
                task.name,
                f"expected the command '{' '.join(entry_point.COMMAND)}', got '{' '.join(command)}'; TFX's own entry "
                "point does not find artifact types on Kubeflow",
            )
        for option in (_CLASS, _HANDED, _DECLARED):
            if _argument(task, option) is None:
                yield Finding(task.name, f"expected the argument {option} with a value; compile it again")
        if _argument(task, _HANDED) not in (None, "{{$}}"):
            yield Finding(task.name, f"expected '{{{{$}}}}' after {_HANDED}, got '{_argument(task, _HANDED)}'")
    if importlib.util.find_spec(entry_point.MODULE) is None:
        yield Finding(entry_point.MODULE, "is not in the package")


def lifecycles(specification: Specification) -> Iterator[Finding]:
    """Kubeflow starts no hooks before a step."""
    for task in _containers(specification):
        if "lifecycle" in task.container:
            yield Finding(task.name, "has 'lifecycle', which only Vertex knows; use no file-based ExampleGen of TFX")


def executors(specification: Specification) -> Iterator[Finding]:
    """The class that a step names can be imported, and is an executor."""
    for task in _containers(specification):
        path = _argument(task, _CLASS)
        if path is None:
            continue
        found, why = _imported(path)
        if found is None:
            yield Finding(
                task.name, f"its executor {path} cannot be imported: {why}; build the image from this package"
            )
        elif not (isinstance(found, type) and issubclass(found, BaseExecutor)):
            yield Finding(task.name, f"{path} is no executor of TFX")


def functions(specification: Specification) -> Iterator[Finding]:
    """Functions that a step calls are dotted paths into the package, not files to be uploaded."""
    for task in _containers(specification):
        for name, value in task.constants().items():
            if name == "module_file" and value:
                yield Finding(task.name, f"module_file '{value}' would be uploaded at compile time; name a dotted path")
            if name.endswith("_fn") and value:
                found, why = _imported(str(value))
                if not callable(found):
                    yield Finding(task.name, f"{name} '{value}' is no function: {why or 'it is something else'}")


def patterns(specification: Specification) -> Iterator[Finding]:
    """Nothing on Kubeflow fills in spans or versions."""
    for task in specification.tasks():
        for name, value in task.constants().items():
            found = _PATTERNS.search(value) if isinstance(value, str) else None
            if found is not None:
                yield Finding(
                    task.name, f"'{name}' holds {found.group(0)}, which nothing fills in; name files or a glob"
                )


def artifact_types(specification: Specification) -> Iterator[Finding]:
    """Each type's name leads to its class: the entry point knows an artifact by that alone."""
    for task in specification.tasks():
        for direction in ("inputDefinitions", "outputDefinitions"):
            for key, artifact in task.declared("artifacts", direction).items():
                title = title_of(artifact)
                found, why = _imported(TITLE_TO_CLASS_PATH.get(title, title))
                if found is None:
                    yield Finding(task.name, f"the type '{title}' of '{key}' leads to no class: {why}")


def _argument(task: Task, option: str) -> str | None:
    """The value after an option."""
    arguments = [str(argument) for argument in task.container.get("args", ())]
    place = arguments.index(option) + 1 if option in arguments else len(arguments)
    return arguments[place] if place < len(arguments) else None


def _imported(path: str) -> tuple[Any, str]:
    """What a dotted path leads to, or None and why it leads nowhere."""
    module, _, name = path.rpartition(".")
    if not module:
        return None, f"'{path}' names no module"
    try:
        return getattr(importlib.import_module(module), name), ""
    except (ImportError, AttributeError) as error:
        return None, str(error)
