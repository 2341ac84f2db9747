"""Each rule finds what it is there for, names the step, and says what to do."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from tiny_shop import shop_config

from pipeline.commands.compile import command
from pipeline.kubeflow.checker import RULES, check_file
from pipeline.kubeflow.compilation import compile_documents
from pipeline.kubeflow.specification import Specification

Tree = dict[str, Any]
Change = Callable[[Tree, Tree], None]
POD = {"claims": [{"claim": "aisle", "mount_path": "/mnt/aisle"}], "cpu": "1"}


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tree, Tree]:
    config = shop_config(tmp_path_factory.mktemp("shop"), kubeflow={"pod": POD, "data": "s3://bucket/tables"})
    specification, platform = compile_documents(config)
    assert platform is not None
    return specification, platform


def _task(spec: Tree, name: str) -> Tree:
    found: Tree = spec["components"]["tfx-dag"]["dag"]["tasks"][name]
    return found


def _container(spec: Tree, name: str) -> Tree:
    found: Tree = spec["deploymentSpec"]["executors"][f"{name}_executor"]["container"]
    return found


def _constant(spec: Tree, name: str, parameter: str, value: Any) -> None:
    _task(spec, name)["inputs"]["parameters"][parameter]["runtimeValue"]["constant"] = value


def _executor(spec: Tree, name: str, executor: Tree) -> None:
    spec["deploymentSpec"]["executors"][f"{name}_executor"] = executor


def _argument(spec: Tree, name: str, option: str, value: str) -> None:
    arguments = _container(spec, name)["args"]
    arguments[arguments.index(option) + 1] = value


def _rename(spec: Tree, old: str, new: str) -> None:
    tasks = spec["components"]["tfx-dag"]["dag"]["tasks"]
    tasks[new] = tasks.pop(old)


def _title(spec: Tree, name: str, key: str, schema: str) -> None:
    spec["components"][name]["outputDefinitions"]["artifacts"][key]["artifactType"]["instanceSchema"] = schema


def _unlink(platform: Tree, label: str) -> Tree:
    found: Tree = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return found.setdefault(label, {})


BROKEN: dict[str, tuple[Change, str, str]] = {
    "pipeline name": (
        lambda spec, _: spec["pipelineInfo"].update(name="My_Shop"),
        "pipelineInfo.name",
        "expected lower-case letters, digits and '-', got 'My_Shop'",
    ),
    "node name": (lambda spec, _: _rename(spec, "Pusher", "The Pusher"), "The Pusher", "rename the node"),
    "resolver": (
        lambda spec, _: _executor(spec, "InfraCheck", {"resolver": {}}),
        "InfraCheck",
        "got ['resolver']: Kubeflow has no resolver",
    ),
    "custom job": (lambda spec, _: _executor(spec, "Trainer", {"customJob": {}}), "Trainer", "only Vertex has custom"),
    "no executor": (
        lambda spec, _: spec["deploymentSpec"]["executors"].pop("Pusher_executor"),
        "Pusher",
        "its executor 'Pusher_executor' is missing",
    ),
    "parameter that nobody has": (
        lambda spec, _: spec["components"]["tfx-dag"].pop("inputDefinitions"),
        "Trainer",
        "'epochs' comes from the parameter 'epochs', which 'tfx-dag' does not have",
    ),
    "parameter of another type": (
        lambda spec, _: spec["components"]["tfx-dag"]["inputDefinitions"]["parameters"]["epochs"].update(
            parameterType="STRING"
        ),
        "Trainer",
        "'epochs' is declared NUMBER_INTEGER, but the parameter 'epochs' is STRING",
    ),
    "constant of another type": (
        lambda spec, _: _constant(spec, "Trainer", "code", 7),
        "Trainer",
        "'code' is declared STRING, but its value is int",
    ),
    "artifact that nobody makes": (
        lambda spec, _: spec["components"]["TableGen"]["outputDefinitions"]["artifacts"].pop("tables"),
        "ItemExampleGen",
        "'tables' comes from 'TableGen.tables', which is not made",
    ),
    "artifact of another type": (
        lambda spec, _: _title(spec, "TableGen", "tables", "title: tfx.Schema\n"),
        "Trainer",
        "'tables' is declared pipeline.Tables, but 'TableGen' makes tfx.Schema",
    ),
    "input that nothing gives": (
        lambda spec, _: _task(spec, "Pusher")["inputs"]["artifacts"].pop("cases"),
        "Pusher",
        "declares the input 'cases', which nothing gives it",
    ),
    "waits for nobody": (
        lambda spec, _: _task(spec, "Pusher")["dependentTasks"].append("Blesser"),
        "Pusher",
        "waits for 'Blesser', which is not in 'tfx-dag'",
    ),
    "circle": (
        lambda spec, _: _task(spec, "TableGen")["dependentTasks"].append("Pusher"),
        "tfx-dag",
        "tasks wait for one another",
    ),
    "another image": (
        lambda spec, _: _container(spec, "Pusher").update(image="tensorflow/tfx:1.16.0"),
        "Pusher",
        "got 'tensorflow/tfx:1.16.0'; set kubeflow.image",
    ),
    "image from nowhere": (
        lambda spec, _: _task(spec, "Pusher")["inputs"]["parameters"].pop("image"),
        "Pusher",
        "its image is the parameter 'image', which it does not get",
    ),
    "TFX's entry point": (
        lambda spec, _: _container(spec, "Pusher").update(command=["python", "-m", "tfx.run_executor"]),
        "Pusher",
        "expected the command 'python -m pipeline.kubeflow.entry_point'",
    ),
    "lost argument": (
        lambda spec, _: _container(spec, "Pusher").update(args=_container(spec, "Pusher")["args"][:4]),
        "Pusher",
        "expected the argument --json_serialized_inputs_spec_args",
    ),
    "lifecycle": (
        lambda spec, _: _container(spec, "TableGen").update(lifecycle={"preCacheCheck": {"command": ["driver"]}}),
        "TableGen",
        "has 'lifecycle', which only Vertex knows",
    ),
    "executor that is not in the package": (
        lambda spec, _: _argument(spec, "Pusher", "--executor_class_path", "pipeline.pushing.Executor"),
        "Pusher",
        "pipeline.pushing.Executor cannot be imported",
    ),
    "executor that is none": (
        lambda spec, _: _argument(spec, "Pusher", "--executor_class_path", "pipeline.config.Config"),
        "Pusher",
        "pipeline.config.Config is no executor of TFX",
    ),
    "function that is not there": (
        lambda spec, _: _constant(spec, "Trainer", "run_fn", "trainer.run.fit"),
        "Trainer",
        "run_fn 'trainer.run.fit' is no function",
    ),
    "span": (
        lambda spec, _: _constant(spec, "Pusher", "push_destination", "/mnt/aisle/{SPAN}"),
        "Pusher",
        "'push_destination' holds {SPAN}, which nothing fills in",
    ),
    "type without a class": (
        lambda spec, _: _title(spec, "TableGen", "tables", "title: pipeline.Table\n"),
        "TableGen",
        "the type 'pipeline.Table' of 'tables' leads to no class",
    ),
    "status for a step that is not the last": (
        lambda spec, _: spec["root"]["dag"]["tasks"]["RunStatus"].pop("triggerPolicy"),
        "RunStatus",
        "only a task with the strategy ALL_UPSTREAM_TASKS_COMPLETED",
    ),
    "pod of nobody": (
        lambda _, platform: _unlink(platform, "Blesser_executor").update(pvcMount=[]),
        "Blesser_executor",
        "is no executor with a container",
    ),
    "pod in words that Kubeflow does not know": (
        lambda _, platform: _unlink(platform, "Pusher_executor").update(volumes=[]),
        "Pusher_executor",
        "is no KubernetesExecutorConfig",
    ),
    "no volume": (
        lambda _, platform: _unlink(platform, "Pusher_executor").pop("pvcMount"),
        "Pusher",
        "where no volume is mounted: it goes with the pod; set kubeflow.pod.claims",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_rule_finds_it(documents: tuple[Tree, Tree], name: str) -> None:
    change, node, says = BROKEN[name]
    spec, platform = copy.deepcopy(documents)
    change(spec, platform)
    found = [finding for rule in RULES for finding in rule(Specification(spec, platform["platforms"]))]
    assert [finding for finding in found if finding.node == node and says in finding.text], found
    assert any(not finding.is_error for finding in found) == (name == "no volume")


def test_every_rule_is_shown_to_find_something(documents: tuple[Tree, Tree]) -> None:
    silent = set(RULES)
    for change, _, _ in BROKEN.values():
        spec, platform = copy.deepcopy(documents)
        change(spec, platform)
        silent -= {rule for rule in silent if list(rule(Specification(spec, platform["platforms"])))}
    assert silent == set()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot be read as YAML"),
        ("pipelineSpec: {}", "is a PipelineJob, which only Vertex takes"),
        ("components: {}", "expected one document with 'pipelineInfo', found 0"),
        ("pipelineInfo: {name: a}\nschemaVersion: 2.0.0", "schemaVersion: expected 2.1.0"),
        ("pipelineInfo: {name: a}\nschemaVersion: 2.1.0\nstages: []", "is no PipelineSpec"),
        (
            "pipelineInfo: {name: a}\nschemaVersion: 2.1.0\nroot: {}\n---\nplatform: {}",
            "with the key 'platforms' alone",
        ),
    ],
)
def test_files_that_kubeflow_does_not_load(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(text, encoding="utf-8")
    [finding] = check_file(file)
    assert (finding.node, finding.is_error) == ("pipeline.yaml", True)
    assert says in finding.text


def test_the_command_checks_a_file(documents: tuple[Tree, Tree], tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    done = CliRunner().invoke(command, ["--check", str(file)])
    assert (done.exit_code, done.output) == (0, f"{file}: 0 errors, 0 warnings\n")
    spec, platform = copy.deepcopy(documents)
    _container(spec, "Pusher")["image"] = "other"
    file.write_text(yaml.safe_dump_all([spec, platform]), encoding="utf-8")
    done = CliRunner().invoke(command, ["--check", str(file)])
    assert done.exit_code == 1
    assert "error: Pusher: expected the image of" in done.output
    assert CliRunner().invoke(command, ["--output", str(file)]).exit_code == 2
