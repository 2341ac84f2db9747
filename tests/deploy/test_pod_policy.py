"""What every pod of ours must keep to, as a cluster's admission would ask it."""

import copy
from typing import Any

import pytest
from manifests import SETS, build, pods

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def _breaches(pod: dict[str, Any]) -> list[str]:
    """Returns what is loose in a pod's specification."""
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    found += ["hostPath" for volume in pod.get("volumes", []) if "hostPath" in volume]
    shared = pod.get("securityContext", {})
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        found += _loose_rights({**shared, **container.get("securityContext", {})})
        resources = container.get("resources", {})
        found += [kind for kind in ("requests", "limits") if not {"cpu", "memory"} <= set(resources.get(kind, {}))]
        ends = pod.get("restartPolicy", "Always") != "Always"
        found += [probe for probe in PROBES if probe not in container and not ends]
    return found


def _loose_rights(rights: dict[str, Any]) -> list[str]:
    capabilities = rights.get("capabilities", {})
    loose = {
        "root": not rights.get("runAsNonRoot") or rights.get("runAsUser", 0) == 0,
        "privilege": bool(rights.get("privileged")) or rights.get("allowPrivilegeEscalation") is not False,
        "writable root": rights.get("readOnlyRootFilesystem") is not True,
        "capabilities": capabilities.get("drop") != ["ALL"] or bool(capabilities.get("add")),
        "seccomp": rights.get("seccompProfile", {}).get("type") != "RuntimeDefault",
    }
    return [name for name, is_loose in loose.items() if is_loose]


def _all_pods() -> list[tuple[str, dict[str, Any]]]:
    return [(f"{name}/{pod_name}", pod) for name in SETS for pod_name, pod in pods(name)]


def test_every_pod_keeps_to_the_policy() -> None:
    found = _all_pods()
    assert len(found) >= 10
    assert {where: _breaches(pod) for where, pod in found if _breaches(pod)} == {}


@pytest.mark.parametrize(
    ("place", "key", "value", "breach"),
    [
        ("container", "readinessProbe", None, "readinessProbe"),
        ("container", "resources", {"requests": {"cpu": "1", "memory": "1Gi"}}, "limits"),
        ("security", "readOnlyRootFilesystem", False, "writable root"),
        ("security", "allowPrivilegeEscalation", True, "privilege"),
        ("security", "runAsUser", 0, "root"),
        ("security", "capabilities", {"drop": ["ALL"], "add": ["NET_ADMIN"]}, "capabilities"),
        ("pod", "hostNetwork", True, "hostNetwork"),
    ],
)
def test_the_policy_can_fail(place: str, key: str, value: Any, breach: str) -> None:
    pod = copy.deepcopy(next(pod for name, pod in pods("tensorflow-serving")))
    container = pod["containers"][0]
    changed = {"pod": pod, "container": container, "security": container["securityContext"]}[place]
    changed[key] = value
    if value is None:
        del changed[key]
    assert breach in _breaches(pod)


def test_no_pod_gets_a_token_of_the_cluster() -> None:
    assert all(pod["automountServiceAccountToken"] is False for name, pod in _all_pods() if "kserve" not in name)


@pytest.mark.parametrize("name", ["tensorflow-serving", "embedded-server"])
def test_servers_only_read_models_and_outlive_their_drain(name: str) -> None:
    ((_, pod),) = pods(name)
    (container,) = pod["containers"]
    (models,) = [mount for mount in container["volumeMounts"] if mount["name"] == "models"]
    assert models["readOnly"] is True
    readiness = container["readinessProbe"]
    until_unready_s = readiness["periodSeconds"] * readiness["failureThreshold"]
    hook = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
    drain = [word.partition("=")[2] for word in container["args"] if word.startswith("--drain-seconds=")]
    waits_s = float(hook[1]) + sum(map(float, drain))
    assert until_unready_s < waits_s < pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("name", ["tensorflow-serving", "embedded-server"])
def test_there_is_always_a_pod_that_answers(name: str) -> None:
    by_kind = {found["kind"]: found["spec"] for found in build(name) if "spec" in found}
    scaling, budget = by_kind["HorizontalPodAutoscaler"], by_kind["PodDisruptionBudget"]
    assert scaling["minReplicas"] > budget["maxUnavailable"] > 0
    assert by_kind["Deployment"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    # A number here would undo what the autoscaler has chosen, each time that the manifests are applied.
    assert "replicas" not in by_kind["Deployment"]
