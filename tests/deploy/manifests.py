"""The manifests of deploy/kubernetes as kubectl builds them, and typed models that know every field of them."""

import functools
import importlib
import re
import sys
import types
from collections.abc import Iterator
from typing import Any

import yaml
from kubernetes import client
from programs import ROOT, program, run, tool_folder

FOLDER = ROOT / "deploy/kubernetes"
SETS = tuple(sorted(path.parent.name for path in FOLDER.glob("*/kustomization.yaml")))
OVERLAYS = tuple(name for name in SETS if name.startswith("production-"))
_PLAIN: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "bool": bool, "float": (int, float)}
_GROUPS = {
    "v1": "V1",
    "apps/v1": "V1",
    "autoscaling/v2": "V2",
    "batch/v1": "V1",
    "networking.k8s.io/v1": "V1",
    "policy/v1": "V1",
    "serving.kserve.io/v1alpha1": "V1alpha1",
    "serving.kserve.io/v1beta1": "V1beta1",
}


class ManifestError(ValueError):
    """A manifest says what no API knows; the message names the place."""


@functools.cache
def build(name: str) -> tuple[dict[str, Any], ...]:
    """Builds one set of manifests with `kubectl kustomize`."""
    done = run(program("kubectl"), "kustomize", str(FOLDER / name))
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def pods(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the name and the pod's specification of everything in a set that runs containers."""
    for found in build(name):
        if found["kind"] in {"Deployment", "Job"}:
            yield found["metadata"]["name"], found["spec"]["template"]["spec"]
        elif found["kind"] == "ClusterServingRuntime":
            yield found["metadata"]["name"], found["spec"]


def load(document: dict[str, Any]) -> Any:
    """Makes the typed model of an object.

    Raises:
      ManifestError: if a field is unknown, is of another type, or lacks.
    """
    if document["apiVersion"] not in _GROUPS:
        raise ManifestError(f"apiVersion {document['apiVersion']}: expected one of {', '.join(_GROUPS)}")
    return _make(_GROUPS[document["apiVersion"]] + document["kind"], document, document["kind"])


def _make(kind: str, value: Any, place: str) -> Any:
    if value is None:
        raise ManifestError(f"{place}: is empty; expected {kind}")
    if kind in _PLAIN:
        if not isinstance(value, _PLAIN[kind]) or (kind != "bool" and isinstance(value, bool)):
            raise ManifestError(f"{place}: expected {kind}, got {value!r}")
        return value
    if inner := re.fullmatch(r"list\[(.*)\]", kind):
        return [_make(inner[1], entry, f"{place}[{row}]") for row, entry in enumerate(value)]
    if inner := re.fullmatch(r"dict[\[(]str, (.*)[\])]", kind):
        return {key: _make(inner[1], entry, f"{place}.{key}") for key, entry in value.items()}
    return value if kind == "object" else _make_model(_model(kind), value, place)


def _make_model(model: Any, value: Any, place: str) -> Any:
    names = {wire: name for name, wire in model.attribute_map.items()}
    unknown = sorted(set(value) - set(names))
    if unknown:
        raise ManifestError(f"{place}: unknown fields {', '.join(unknown)}")
    given = {
        names[wire]: _make(model.openapi_types[names[wire]], entry, f"{place}.{wire}") for wire, entry in value.items()
    }
    try:
        return model(**given)  # the model itself knows which fields it must have
    except ValueError as error:
        raise ManifestError(f"{place}: {error}") from error


def _model(kind: str) -> Any:
    if found := getattr(client, kind, None):
        return found
    return getattr(_kserve_models(), kind)


@functools.cache
def _kserve_models() -> types.ModuleType:
    """KServe's models alone: the package itself would start by importing its servers and what those need."""
    package = types.ModuleType("kserve")
    package.__path__ = [str(tool_folder("kserve"))]
    sys.modules["kserve"] = package
    try:
        return importlib.import_module("kserve.models")
    finally:
        del sys.modules["kserve"]
