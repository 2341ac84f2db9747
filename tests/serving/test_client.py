"""The client's typed calls, the same over gRPC and in the process, and what it does when a server is away."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import ITEMS, TITLES

from serving.client import (
    Client,
    Code,
    GrpcTransport,
    History,
    LocalTransport,
    Moment,
    Rules,
    ScoredItem,
    ServingError,
)
from serving.model_store import ModelStore
from serving.server import Server
from serving.transports import find_version


@pytest.fixture(scope="module", params=["grpc", "local"])
def client(request: pytest.FixtureRequest, server: Any, run_path: Path) -> Iterator[Client]:
    local = request.param == "local"
    transport = LocalTransport(run_path / "serving/shop", "shop") if local else GrpcTransport(server.grpc_address)
    with Client(transport, model_name="shop") as opened:
        yield opened


def ids(listed: list[list[ScoredItem]]) -> list[list[str]]:
    return [[item.item_id for item in items] for items in listed]


def test_recommend_uses_defaults(client: Client) -> None:
    (items,) = client.recommend(["anybody"])
    assert [item.item_id for item in items] == list(ITEMS[:4])
    assert items[0] == ScoredItem("apple", pytest.approx(0.6), TITLES[0])


def test_recommend_takes_history_moment_query_exclusions_and_k(client: Client) -> None:
    listed = client.recommend(
        ["a", "b"],
        k=2,
        histories=[History(["figs", "eggs"], ["view", "view"], [1.0, 30.0]), History()],
        moments=[Moment(1, {"country": "DE"}), Moment(context={"holiday": "Noël"})],
        queries=["", "Fine eggs"],
        exclude_item_ids=[["bread"], []],
    )
    assert ids(listed) == [["figs", "dates"], ["figs", "eggs"]]
    assert [item.score for item in listed[0]] == pytest.approx([6.1, 5.3])


def test_fewer_items_than_asked_for(client: Client) -> None:
    assert ids(client.recommend(["a"], k=50)) == [list(ITEMS)]
    assert ids(client.recommend(["a"], k=50, exclude_item_ids=[ITEMS])) == [[]]


def test_search(client: Client) -> None:
    listed = client.search(["Fine figs", "nothing"], k=1)
    assert ids(listed) == [["figs"], ["apple"]]
    assert ids(client.search(["Fine figs"], k=2, user_ids=["a"], histories=[History(["eggs"])])) == [["figs", "eggs"]]


def test_similar(client: Client) -> None:
    assert ids(client.similar(["apple", "no such item"], k=2)) == [["bread", "cheese"], []]
    assert ids(client.similar(["apple"], k=2, exclude_item_ids=[["bread"]])) == [["cheese", "dates"]]


def test_rank(client: Client) -> None:
    scores = client.rank(["a", "b"], [["figs", "no such item"], ["apple"]])
    assert scores[0] == pytest.approx([0.1, float("-inf")])
    assert scores[1] == pytest.approx([0.6])


def test_rules_hold_for_every_row(client: Client) -> None:
    rules = Rules(include_item_ids=["figs", "eggs", "apple"], max_price=5.5, boosts={"eggs": 50.0, "dates": 90.0})
    assert ids(client.recommend(["anna", "bert"], rules=rules)) == [["eggs", "apple"]] * 2
    assert ids(client.search(["Fine figs"], rules=rules)) == [["eggs", "apple"]]
    assert ids(client.similar(["apple", "eggs"], rules=rules)) == [["eggs"], ["apple"]]
    [scores] = client.rank(["anna"], [["eggs", "figs", "apple"]], rules=rules)
    assert [score > -np.inf for score in scores] == [True, False, True]


def test_rules_that_are_not_used_stay_away() -> None:
    assert Rules().inputs(2) == {}
    everything = Rules(["a"], ["b"], ["c"], ["d"], 1.0, 2.0, True, {"e": 1.0, "f": -1.0}, 0.5, 3).inputs(2)
    assert {name: values.shape for name, values in everything.items()} == {
        "include_item_ids": (2, 1),
        "categories": (2, 1),
        "exclude_categories": (2, 1),
        "brands": (2, 1),
        "min_price": (2,),
        "max_price": (2,),
        "in_stock_only": (2,),
        "boost_item_ids": (2, 2),
        "boosts": (2, 2),
        "diversity": (2,),
        "max_per_category": (2,),
    }


def test_embed(client: Client) -> None:
    vectors = client.embed(["Tea", "Milk"], prices=[2.0, 3.0])
    np.testing.assert_array_equal(vectors, [[3.0, 2.0], [4.0, 3.0]])


def test_inputs_and_versions(client: Client) -> None:
    assert {"user_id", "country", "k"} < client.inputs("recommend").keys()
    assert client.inputs("no such signature") == {}
    (version,) = client.versions()
    assert (version.version, version.state) == (3, "AVAILABLE")


def test_errors_are_typed(client: Client) -> None:
    with pytest.raises(ServingError, match="k must be at least 1") as caught:
        client.recommend(["a"], k=0)
    assert caught.value.code == Code.INVALID_ARGUMENT
    with pytest.raises(ServingError, match="Serving signature key"):
        client.predict("s", {})


def test_an_unknown_model_and_version(server: Any) -> None:
    with Client(GrpcTransport(server.grpc_address), model_name="m") as client:
        with pytest.raises(ServingError) as caught:
            client.recommend(["a"])
        assert (caught.value.code, caught.value.message) == (
            Code.NOT_FOUND,
            "Servable not found for request: Latest(m)",
        )
    client = Client(GrpcTransport(server.grpc_address), model_name="shop", version=2)
    with client, pytest.raises(ServingError, match=r"Specific\(shop, 2\)"):
        client.recommend(["a"])


def test_a_history_is_whole() -> None:
    with pytest.raises(ValueError, match="a history of 2 items has 1 event_types"):
        History(["a", "b"], ["view"])


class Flaky:
    """A transport that is away for some calls and records when it was called."""

    def __init__(self, failures: int, code: Code = Code.UNAVAILABLE) -> None:
        self.failures = failures
        self.code = code
        self.timeouts_s: list[float] = []

    def call(self, method: str, request: bytes, timeout_s: float) -> bytes:
        self.timeouts_s.append(timeout_s)
        if len(self.timeouts_s) <= self.failures:
            raise ServingError(self.code, "away")
        return b""

    def close(self) -> None:
        pass


def test_unavailable_is_tried_again_with_growing_pauses() -> None:
    pauses: list[float] = []
    transport = Flaky(3)
    client = Client(transport, backoff_s=0.1, sleep=pauses.append)
    assert client.predict("", {}) == {}
    assert len(transport.timeouts_s) == 4
    assert all(low <= pause <= 2 * low for low, pause in zip((0.05, 0.1, 0.2), pauses, strict=True))


def test_retries_end() -> None:
    transport = Flaky(100)
    with pytest.raises(ServingError, match="UNAVAILABLE: away"):
        Client(transport, retries=2, sleep=lambda _seconds: None).predict("", {})
    assert len(transport.timeouts_s) == 3


def test_retries_stay_within_the_deadline() -> None:
    transport = Flaky(100)
    started_s = time.monotonic()
    with pytest.raises(ServingError):
        Client(transport, deadline_s=0.5, retries=100, backoff_s=0.1).predict("", {})
    assert time.monotonic() - started_s < 2
    assert all(timeout_s <= 0.5 for timeout_s in transport.timeouts_s)


@pytest.mark.parametrize("code", [Code.INVALID_ARGUMENT, Code.DEADLINE_EXCEEDED, Code.NOT_FOUND])
def test_other_errors_are_not_tried_again(code: Code) -> None:
    transport = Flaky(100, code)
    with pytest.raises(ServingError):
        Client(transport).predict("", {})
    assert len(transport.timeouts_s) == 1


def test_deadline_ends_a_call(server: Any) -> None:
    with Client(GrpcTransport(server.grpc_address), model_name="half_plus_two") as client:
        started_s = time.monotonic()
        with pytest.raises(ServingError) as caught:
            client.predict("loop", {"rounds": np.array([10**9])}, deadline_s=0.2)
        assert caught.value.code == Code.DEADLINE_EXCEEDED
        assert time.monotonic() - started_s < 5


def test_a_server_that_comes_back_is_found(half_path: Path) -> None:
    with Server([ModelStore("half_plus_two", half_path)], rest_port=None) as first:
        port = first.grpc_port
        client = Client(GrpcTransport(first.grpc_address), model_name="half_plus_two", retries=50, deadline_s=30)
        inputs = {"x": np.ones(1, np.float32)}
        assert client.predict("", inputs)["y"].tolist() == [2.5]
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(client.predict("", inputs)["y"].tolist()))
    waiting.start()
    time.sleep(0.3)
    assert answers == []
    with Server([ModelStore("half_plus_two", half_path)], grpc_port=port, rest_port=None):
        waiting.join()
    client.close()
    assert answers == [[2.5]]


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
