"""A model in the client's own process answers as it does behind a server."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.client import Client, GrpcTransport, History, LocalTransport, Moment, Rules, ServingError
from serving.transports import find_version

CALLS: dict[str, Callable[[Client], Any]] = {
    "recommend": lambda client: client.recommend(
        ["a", "b"],
        k=2,
        histories=[History(["figs", "eggs"], ["view", "view"], [1.0, 30.0]), History()],
        moments=[Moment(1, {"country": "DE"}), Moment(context={"holiday": "Noël"})],
        exclude_item_ids=[["bread"], []],
    ),
    "search": lambda client: client.search(["Fine figs"], k=1, rules=Rules(max_price=5.5)),
    "similar": lambda client: client.similar(["apple", "nothing"], k=2),
    "rank": lambda client: client.rank(["a"], [["figs", "no such item"]]),
    "embed": lambda client: client.embed(["Tea"], prices=[2.0]).tolist(),
    "inputs": lambda client: client.inputs("recommend"),
    "versions": lambda client: client.versions(),
}
ERRORS: dict[str, Callable[[Client], Any]] = {
    "signature": lambda client: client.predict("s", {}),
    "graph": lambda client: client.recommend(["a"], k=0),
    "input": lambda client: client.predict("recommend", {"q": np.ones(1, np.float32)}),
    "label": lambda client: Client(client.transport, model_name="shop", label="x").recommend(["a"]),
}


@pytest.fixture(scope="module")
def local(run_path: Path) -> Iterator[Client]:
    with Client(LocalTransport(run_path / "serving/shop", "shop"), model_name="shop") as client:
        yield client


@pytest.fixture(scope="module")
def remote(server: Any) -> Iterator[Client]:
    with Client(GrpcTransport(server.grpc_address), model_name="shop") as client:
        yield client


@pytest.mark.parametrize("name", CALLS)
def test_answers_are_those_of_a_server(local: Client, remote: Client, name: str) -> None:
    assert CALLS[name](local) == CALLS[name](remote)


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_those_of_a_server(local: Client, remote: Client, name: str) -> None:
    ended = []
    for client in (local, remote):
        with pytest.raises(ServingError) as caught:
            ERRORS[name](client)
        ended.append((caught.value.code, caught.value.message))
    assert ended[0] == ended[1]


def test_versions_are_found(tmp_path: Path) -> None:
    for name in ("2", "10"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    assert find_version(tmp_path).name == "10"
    assert find_version(tmp_path / "2").name == "2"
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no version"):
        find_version(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="is no folder"):
        find_version(tmp_path / "missing")


def test_a_broken_model_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "4").mkdir()
    (tmp_path / "4/saved_model.pb").write_bytes(b"broken")
    with pytest.raises(ServingError, match="4: does not load: "):
        LocalTransport(tmp_path)
