"""Every set of manifests builds, and every object is one that the cluster's API knows, to the last field."""

import copy
import functools
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing.jsonschema
from manifests import OVERLAYS, SETS, ManifestError, build, load, pods
from programs import tool_folder

# The oldest version that cloud vendors still look after, and the newest whose schemas there are.
VERSIONS = ("v1.31.0", "v1.37.0")


def _validator(version: str, document: dict[str, Any]) -> jsonschema.Draft7Validator | None:
    """Makes the validator of an object's kind; None where Kubernetes itself does not know the kind."""
    group, _, api = document["apiVersion"].rpartition("/")
    name = "-".join([document["kind"].lower(), *([group.split(".")[0]] if group else []), api])
    folder = tool_folder("kubernetes_validate") / "kubernetes-json-schema" / f"{version}-local-strict"
    if not (folder / f"{name}.json").is_file():
        return None
    schema = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return jsonschema.Draft7Validator(schema, registry=_definitions(folder))


@functools.cache
def _definitions(folder: Path) -> referencing.Registry:
    text = (folder / "_definitions.json").read_text(encoding="utf-8")
    resource = referencing.Resource.from_contents(json.loads(text), referencing.jsonschema.DRAFT7)
    return referencing.Registry().with_resource("/api/_definitions.json", resource)


def test_there_are_sets_and_overlays() -> None:
    assert {"tensorflow-serving", "embedded-server", "tensorboard", "kserve", "monitor", "storage", "training"} <= set(
        SETS
    )
    assert set(OVERLAYS) == {"production-stock", "production-embedded"}


@pytest.mark.parametrize("name", SETS)
def test_every_object_loads_into_its_typed_model(name: str) -> None:
    for document in build(name):
        assert load(document).metadata is not None


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_obeys_the_published_schema(version: str) -> None:
    for name in (*OVERLAYS, "kserve", "training"):
        for document in build(name):
            validator = _validator(version, document)
            if validator is None:
                assert document["apiVersion"].startswith("serving.kserve.io/"), document["kind"]
            else:
                validator.validate(document)


def _deployments() -> jsonschema.Draft7Validator:
    found = _validator(VERSIONS[0], {"apiVersion": "apps/v1", "kind": "Deployment"})
    assert found is not None
    return found


def test_the_checks_refuse_what_is_wrong() -> None:
    good = next(found for found in build("tensorflow-serving") if found["kind"] == "Deployment")
    misspelt, mistyped, bare = copy.deepcopy(good), copy.deepcopy(good), copy.deepcopy(good)
    misspelt["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    mistyped["spec"]["minReadySeconds"] = "5"
    del bare["spec"]["selector"]
    for wrong in (misspelt, mistyped, bare):
        with pytest.raises(ManifestError, match="Deployment"):
            load(wrong)
        with pytest.raises(jsonschema.ValidationError):
            _deployments().validate(wrong)


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_a_pod_mounts_and_names_is_there(name: str) -> None:
    there = {(found["kind"], found["metadata"]["name"]) for found in build(name)}
    for _, pod in pods(name):
        assert ("ServiceAccount", pod["serviceAccountName"]) in there
        mounted = {volume["name"] for volume in pod["volumes"]}
        for volume in pod["volumes"]:
            if claim := volume.get("persistentVolumeClaim"):
                assert ("PersistentVolumeClaim", claim["claimName"]) in there
            if config := volume.get("configMap"):
                assert ("ConfigMap", config["name"]) in there
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == mounted


@pytest.mark.parametrize("name", OVERLAYS)
def test_selectors_find_the_pods_they_are_for(name: str) -> None:
    documents = build(name)
    templates = {
        found["metadata"]["name"]: found["spec"]["template"]["metadata"]["labels"]
        for found in documents
        if found["kind"] == "Deployment"
    }
    seen = 0
    for found in documents:
        spec = found.get("spec", {})
        if found["kind"] == "HorizontalPodAutoscaler":
            assert spec["scaleTargetRef"]["name"] in templates
            continue
        selector = spec.get("podSelector", spec.get("selector"))
        if not selector:
            continue
        wanted = selector if found["kind"] == "Service" else selector["matchLabels"]
        chosen = [pod for pod, labels in templates.items() if wanted.items() <= labels.items()]
        assert chosen == [found["metadata"]["name"]], f"{found['kind']} {found['metadata']['name']} selects {chosen}"
        seen += 1
    assert seen >= 8


@pytest.mark.parametrize("name", OVERLAYS)
def test_everything_is_in_the_namespace_that_refuses_loose_pods(name: str) -> None:
    documents = build(name)
    (namespace,) = [found for found in documents if found["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    rest = [found for found in documents if found is not namespace]
    assert {found["metadata"]["namespace"] for found in rest} == {namespace["metadata"]["name"]}


@pytest.mark.parametrize("name", OVERLAYS)
def test_images_have_a_version(name: str) -> None:
    images = [container["image"] for _, pod in pods(name) for container in pod["containers"]]
    assert images
    assert all(":" in image.rpartition("/")[2] and not image.endswith(":latest") for image in images), images


def test_workers_find_each_other_by_the_names_that_the_job_gives_them() -> None:
    by_kind = {found["kind"]: found for found in build("training")}
    job, service = by_kind["Job"]["spec"], by_kind["Service"]
    ((_, pod),) = pods("training")
    (container,) = pod["containers"]
    assert job["completionMode"] == "Indexed"
    assert job["parallelism"] == job["completions"]
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"].items() <= job["template"]["metadata"]["labels"].items()
    names = [variable["name"] for variable in container["env"]]
    assert names.index("WORKER") < names.index("TF_CONFIG")  # Kubernetes fills in what stands before
    told = next(variable["value"] for variable in container["env"] if variable["name"] == "TF_CONFIG")
    (port,) = [port["containerPort"] for port in container["ports"]]
    host = by_kind["Job"]["metadata"]["name"]
    for index in range(job["completions"]):
        read = json.loads(told.replace("$(WORKER)", str(index)))
        assert read["task"] == {"type": "worker", "index": index}
        assert read["cluster"]["worker"][index] == f"{host}-{index}.{pod['subdomain']}:{port}"
    assert len(read["cluster"]["worker"]) == job["completions"]
