"""Models, policies and labels that change while a server runs: over gRPC, by file, and by `aisle models`."""

import json
import operator
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from click.testing import CliRunner
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc, prediction_service_pb2_grpc
from tiny_models import request, save_half_plus
from waiting import eventually

from serving.commands.models import command
from serving.config_watch import ConfigWatch
from serving.deployment import Deployment, running
from serving.errors import ServingError
from serving.model_catalog import ModelCatalog
from serving.model_config import ModelSettings, config_text, parse_config, read_config, write_config
from serving.versions import every, latest, specific

TIMEOUT_S = 20


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models to copy from: 1, 2 and 3 add that number."""
    folder = tmp_path_factory.mktemp("finished")
    for number in (1, 2, 3):
        save_half_plus(folder / str(number), float(number))
    return folder


@pytest.fixture
def base_path(tmp_path: Path, finished: Path) -> Path:
    shutil.copytree(finished, tmp_path / "m")
    return tmp_path / "m"


@pytest.fixture
def server(base_path: Path) -> Iterator[Any]:
    """Serves the newest version of `m`, as `aisle serve` does, but looks more often."""
    model = ModelSettings("m", base_path)
    deployment = Deployment("127.0.0.1", 0, 0, model, config_poll_s=0.02, version_poll_s=0.02)
    with running(deployment) as opened:
        yield opened


@pytest.fixture
def channel(server: Any) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.grpc_address) as opened:
        yield opened


def reload(channel: grpc.Channel, *models: ModelSettings) -> None:
    made = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(config_text(models), made.config)
    model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(made, timeout=TIMEOUT_S)


def ask(channel: grpc.Channel, name: str = "m", label: str = "", version: int = 0) -> float:
    made = request(name, "", x=np.zeros(1, np.float32))
    if label:
        made.model_spec.version_label = label
    if version:
        made.model_spec.version.value = version
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    return float(stub.Predict(made, timeout=TIMEOUT_S).outputs["y"].float_val[0])


def error_of(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code().name, caught.value.details()


def test_a_reload_changes_policies_and_labels(channel: grpc.Channel, server: Any, base_path: Path) -> None:
    assert ask(channel) == 3.0
    assert error_of(lambda: ask(channel, label="stable"))[1] == "Unrecognized servable version label: stable"
    reload(channel, ModelSettings("m", base_path, specific(1, 3), {"stable": 1, "canary": 3}))
    assert (ask(channel), ask(channel, label="stable"), ask(channel, label="canary")) == (3.0, 1.0, 3.0)
    rest = f"http://{server.rest_address}/v1/models/m/labels/stable:predict"
    assert httpx.post(rest, json={"instances": [0.0]}).json() == {"predictions": [1.0]}
    reload(channel, ModelSettings("m", base_path, every(), {"stable": 2}))
    assert (ask(channel, label="stable"), ask(channel, version=1)) == (2.0, 1.0)
    assert error_of(lambda: ask(channel, label="canary"))[0] == "INVALID_ARGUMENT"


def test_a_label_needs_a_version_that_answers(channel: grpc.Channel, base_path: Path) -> None:
    settings = ModelSettings("m", base_path, latest(), {"stable": 9})
    message = "Request to assign label to version 9 of model m, which is not currently available for inference"
    assert error_of(lambda: reload(channel, settings)) == ("FAILED_PRECONDITION", message)
    assert ask(channel) == 3.0


def test_a_label_that_cannot_move_keeps_its_version(channel: grpc.Channel, base_path: Path) -> None:
    reload(channel, ModelSettings("m", base_path, specific(1), {"stable": 1}))
    wanted = ModelSettings("m", base_path, specific(2), {"stable": 9})
    assert error_of(lambda: reload(channel, wanted))[0] == "FAILED_PRECONDITION"
    assert (ask(channel), ask(channel, label="stable")) == (1.0, 1.0)


def test_a_label_answers_while_it_moves(channel: grpc.Channel, server: Any, base_path: Path) -> None:
    reload(channel, ModelSettings("m", base_path, specific(1), {"stable": 1}))
    done = threading.Event()
    answers: set[float] = set()

    def keep_asking() -> None:
        while not done.is_set():
            answers.add(ask(channel, label="stable"))  # raises where no version answers

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(keep_asking) for _ in range(4)]
        try:
            for version in (2, 1, 3, 1, 2):
                server.catalog.reload([ModelSettings("m", base_path, specific(version), {"stable": version})])
                eventually(partial(operator.contains, answers, float(version)))
        finally:
            done.set()
        for client in clients:
            client.result(timeout=TIMEOUT_S)
    assert answers == {1.0, 2.0, 3.0}


def test_labels_may_come_before_their_version_where_that_is_asked_for(base_path: Path) -> None:
    catalog = ModelCatalog(labels_ahead=True)
    catalog.reload([ModelSettings("m", base_path, latest(), {"stable": 9})])
    with pytest.raises(ServingError, match="not currently available"):
        catalog.reload([ModelSettings("m", base_path, latest(), {"stable": 8})])
    assert catalog.labels == {"m": {"stable": 9}}


def test_models_come_and_go(channel: grpc.Channel, base_path: Path, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "1", tmp_path / "other" / "7")
    reload(channel, ModelSettings("m", base_path), ModelSettings("other", tmp_path / "other"))
    assert (ask(channel), ask(channel, "other")) == (3.0, 1.0)
    reload(channel, ModelSettings("other", base_path, specific(2)))  # the name stays, the folder is another one
    assert ask(channel, "other") == 2.0
    assert error_of(lambda: ask(channel)) == ("NOT_FOUND", "Servable not found for request: Latest(m)")


def test_a_model_that_does_not_load_takes_no_clients_from_the_others(
    server: Any, channel: grpc.Channel, base_path: Path, tmp_path: Path
) -> None:
    assert server.ready()
    (tmp_path / "empty").mkdir()
    reload(channel, ModelSettings("m", base_path), ModelSettings("later", tmp_path / "empty"))
    assert server.ready()
    assert ask(channel) == 3.0
    assert not ModelCatalog([server.catalog.stores["m"], server.catalog.stores["later"]]).ready()
    reload(channel, ModelSettings("later", tmp_path / "empty"))
    assert not server.ready()


CONFIG_ERRORS = {
    "twice": ('config { name: "a" base_path: "/a" } config { name: "a" base_path: "/b" }', "Illegal to list model a"),
    "no name": ('config { base_path: "/a" }', "has no name"),
    "relative": ('config { name: "a" base_path: "a" }', "Expected model a to have an absolute path or URI"),
    "platform": ('config { name: "a" base_path: "/a" model_platform: "x" }', "requests unsupported platform x"),
    "no version": ('config { name: "a" base_path: "/a" model_version_policy { specific {} } }', "names no version"),
    "no field": ("config { nam: 1 }", "is no ModelServerConfig"),
}


@pytest.mark.parametrize("case", CONFIG_ERRORS)
def test_wrong_configurations_are_refused(case: str) -> None:
    text, message = CONFIG_ERRORS[case]
    with pytest.raises(ServingError, match=message):
        parse_config(f"model_config_list {{ {text} }}")


def test_configurations_are_read_as_they_are_written(tmp_path: Path) -> None:
    models = [
        ModelSettings("a", Path("/a"), specific(3, 5), {"stable": 3}),
        ModelSettings("b", Path("/b"), latest(2)),
        ModelSettings("c", Path("/c"), every()),
    ]
    write_config(tmp_path / "models.config", models)
    assert read_config(tmp_path / "models.config") == models
    assert [path.name for path in tmp_path.iterdir()] == ["models.config"]


def test_a_configuration_file_is_followed_and_a_broken_one_is_not(
    base_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "models.config"
    write_config(file, [ModelSettings("m", base_path, specific(1))])
    deployment = Deployment("127.0.0.1", 0, None, None, config_file=file, config_poll_s=0.02, version_poll_s=0.02)
    with running(deployment) as server, grpc.insecure_channel(server.grpc_address) as channel:
        assert ask(channel) == 1.0
        file.write_text("model_config_list { nonsense")
        eventually(lambda: "models.config: is no ModelServerConfig" in caplog.text)
        file.unlink()
        time.sleep(0.1)
        assert ask(channel) == 1.0
        write_config(file, [ModelSettings("m", base_path, specific(2), {"stable": 2})])
        eventually(lambda: server.catalog.labels == {"m": {"stable": 2}})
        assert ask(channel, label="stable") == 2.0


def test_processes_of_one_server_tell_each_other(base_path: Path, tmp_path: Path) -> None:
    deployment = Deployment("", 0, None, None, shared_config=tmp_path / "told")
    catalog = ModelCatalog()
    watch = ConfigWatch(catalog, tmp_path / "told", deployment.told, 0.01)
    watch.start()
    try:
        assert catalog.stores == {}
        deployment.tell([ModelSettings("m", base_path)])
        eventually(lambda: set(catalog.stores) == {"m"})
    finally:
        watch.stop()


def models_command(*words: str) -> Any:
    result = CliRunner().invoke(command, [*words, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return {version.pop("version"): version for version in json.loads(result.stdout)["models"][0]["versions"]}


def test_promotions_and_their_way_back(server: Any, channel: grpc.Channel, base_path: Path) -> None:
    where = [str(base_path), "--server", server.grpc_address]
    assert models_command("list", *where)[3] == {"labels": [], "state": "AVAILABLE"}
    assert models_command("promote", *where, "2")[2] == {"labels": ["stable"], "state": "AVAILABLE"}
    assert (ask(channel), ask(channel, label="stable")) == (2.0, 2.0)
    promoted = models_command("promote", *where, "3")
    assert (promoted[3]["labels"], promoted[2]["labels"]) == (["stable"], ["stable-before"])
    assert (ask(channel), ask(channel, label="stable"), ask(channel, label="stable-before")) == (3.0, 3.0, 2.0)
    # Without --server the running server sees the file.
    assert models_command("rollback", str(base_path))[2]["labels"] == ["stable"]
    eventually(lambda: ask(channel) == 2.0)
    assert ask(channel, label="stable") == 2.0
    (base_path / "model.config").unlink()
    eventually(lambda: ask(channel) == 3.0)


def test_what_cannot_be_promoted(base_path: Path) -> None:
    runner = CliRunner()
    config = base_path / "models.config"
    write_config(config, [ModelSettings("a", base_path)])
    (base_path / "model.config").write_text(config_text([ModelSettings("m", base_path, specific(1), {"old": 1})]))
    for words, status, message in (
        (["promote", str(base_path), "9"], 1, "has no version 9; there are: 3, 2, 1"),
        (["rollback", str(base_path)], 1, "no version bore 'stable' before"),
        (["promote", str(base_path), "1", "--label", "x-before"], 1, "labels that end in '-before'"),
        (["promote", str(base_path), "1", "--server", "127.0.0.1:1"], 1, "does not agree, nothing was changed"),
        (["promote", str(config), "1", "--model-name", "q"], 2, "say which model with --model-name; there are: a"),
    ):
        result = runner.invoke(command, words, catch_exceptions=False)
        assert (result.exit_code, message in " ".join(result.stderr.split())) == (status, True), result.stderr
    assert models_command("list", str(base_path))[1] == {"labels": ["old"]}
    result = runner.invoke(command, ["list", str(base_path)], catch_exceptions=False)
    assert result.stdout.split()[:4] == ["m", str(base_path), "3", "-"]


def test_a_fault_of_our_own_does_not_end_the_watch(
    base_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "models.config"
    rounds = []

    def read() -> list[ModelSettings]:
        rounds.append(1)
        if 1 < len(rounds) < 5:
            raise ZeroDivisionError("a bug")
        return [ModelSettings("m", base_path)]

    watch = ConfigWatch(ModelCatalog(), file, read, 0.01)
    watch.start()
    write_config(file, [])
    eventually(lambda: len(rounds) >= 5)
    watch.stop()
    assert caplog.text.count("met a fault of the server's own and tries again") == 1
