"""The client's typed calls, the same for threads and for asyncio, against our server and the stock one."""

import asyncio
import contextlib
import dataclasses
import inspect
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from endpoints import NO_STOCK_SERVER, has_stock_server
from tiny_models import ITEMS, TITLES

from serving.async_client import AsyncClient, AsyncGrpcTransport
from serving.client import (
    Client,
    Code,
    Facets,
    GrpcTransport,
    History,
    Moment,
    RangeCount,
    Rules,
    ScoredItem,
    ServingError,
    ValueCount,
)


class Awaited:
    """The asyncio client; each call is run to its end."""

    def __init__(self, client: AsyncClient, runner: asyncio.Runner) -> None:
        self._client = client
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        return lambda *args, **options: self._runner.run(call(*args, **options))


@contextlib.contextmanager
def opened(kind: str, address: str, **options: Any) -> Iterator[Any]:
    if kind == "threads":
        with Client(GrpcTransport(address), **options) as client:
            yield client
        return
    with asyncio.Runner() as runner:
        client = Awaited(AsyncClient(AsyncGrpcTransport(address), **options), runner)
        yield client
        client.close()


@pytest.fixture(scope="module", params=["threads", "asyncio"])
def client(request: pytest.FixtureRequest, endpoint: Any) -> Iterator[Any]:
    with opened(request.param, endpoint.grpc_address, model_name="shop") as found:
        yield found


def ids(listed: list[list[ScoredItem]]) -> list[list[str]]:
    return [[item.item_id for item in items] for items in listed]


def test_recommend_uses_defaults(client: Any) -> None:
    (items,) = client.recommend(["anybody"])
    assert [item.item_id for item in items] == list(ITEMS[:4])
    assert items[0] == ScoredItem("apple", pytest.approx(0.6), TITLES[0])


def test_recommend_takes_history_moment_query_exclusions_and_k(client: Any) -> None:
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


def test_fewer_items_than_asked_for(client: Any) -> None:
    assert ids(client.recommend(["a"], k=50)) == [list(ITEMS)]
    assert ids(client.recommend(["a"], k=50, exclude_item_ids=[ITEMS])) == [[]]


def test_search(client: Any) -> None:
    listed = client.search(["Fine figs", "nothing"], k=1)
    assert ids(listed) == [["figs"], ["apple"]]
    assert ids(client.search(["Fine figs"], k=2, user_ids=["a"], histories=[History(["eggs"])])) == [["figs", "eggs"]]


def test_similar(client: Any) -> None:
    assert ids(client.similar(["apple", "no such item"], k=2)) == [["bread", "cheese"], []]
    assert ids(client.similar(["apple"], k=2, exclude_item_ids=[["bread"]])) == [["cheese", "dates"]]


def test_rank(client: Any) -> None:
    scores = client.rank(["a", "b"], [["figs", "no such item"], ["apple"]])
    assert scores[0] == pytest.approx([0.1, float("-inf")])
    assert scores[1] == pytest.approx([0.6])


def test_rules_hold_for_every_row(client: Any) -> None:
    rules = Rules(include_item_ids=["figs", "eggs", "apple"], max_price=5.5, boosts={"eggs": 50.0, "dates": 90.0})
    assert ids(client.recommend(["anna", "bert"], rules=rules)) == [["eggs", "apple"]] * 2
    assert ids(client.search(["Fine figs"], rules=rules)) == [["eggs", "apple"]]
    assert ids(client.similar(["apple", "eggs"], rules=rules)) == [["eggs"], ["apple"]]
    [scores] = client.rank(["anna"], [["eggs", "figs", "apple"]], rules=rules)
    assert [score > -np.inf for score in scores] == [True, False, True]


def test_facets(client: Any) -> None:
    first, second = client.facets(["eggs", ""], size=1, exclude_item_ids=[["figs"], []], rules=Rules(max_price=5.5))
    assert first == Facets(
        total=5,
        brands=(ValueCount("Even", 3),),
        prices=(RangeCount(0.0, 5.0, 4), RangeCount(5.0, None, 1)),
    )
    assert second.total == 5
    assert second.in_stock is None


def test_rules_that_are_not_used_stay_away() -> None:
    assert Rules().inputs(2) == {}
    everything = Rules(["a"], ["b"], ["c"], ["d"], 1.0, 2.0, True, {"e": 1.0, "f": -1.0}, 0.5, 3, 4.0).inputs(2)
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
        "min_rating": (2,),
    }


def test_embed(client: Any) -> None:
    vectors = client.embed(["Tea", "Milk"], prices=[2.0, 3.0])
    np.testing.assert_array_equal(vectors, [[3.0, 2.0], [4.0, 3.0]])


def test_inputs_and_versions(client: Any) -> None:
    assert {"user_id", "country", "k"} < client.inputs("recommend").keys()
    assert client.inputs("no such signature") == {}
    (version,) = client.versions()
    assert (version.version, version.state) == (3, "AVAILABLE")


def test_errors_are_typed(client: Any) -> None:
    with pytest.raises(ServingError, match="k must be at least 1") as caught:
        client.recommend(["a"], k=0)
    assert caught.value.code == Code.INVALID_ARGUMENT
    with pytest.raises(ServingError, match="Serving signature key"):
        client.predict("s", {})


def test_an_unknown_model_and_version(endpoint: Any) -> None:
    with Client(GrpcTransport(endpoint.grpc_address), model_name="m") as client:
        with pytest.raises(ServingError) as caught:
            client.recommend(["a"])
        assert (caught.value.code, caught.value.message) == (
            Code.NOT_FOUND,
            "Servable not found for request: Latest(m)",
        )
    client = Client(GrpcTransport(endpoint.grpc_address), model_name="shop", version=2)
    with client, pytest.raises(ServingError, match=r"Specific\(shop, 2\)"):
        client.recommend(["a"])


def test_a_history_is_whole() -> None:
    with pytest.raises(ValueError, match="a history of 2 items has 1 event_types"):
        History(["a", "b"], ["view"])


@pytest.mark.parametrize("kind", ["threads", "asyncio"])
def test_a_label_nobody_gave(endpoint: Any, kind: str) -> None:
    with opened(kind, endpoint.grpc_address, model_name="shop", label="stable") as client:
        with pytest.raises(ServingError, match="Unrecognized servable version label: stable") as caught:
            client.recommend(["a"])
        assert caught.value.code == Code.INVALID_ARGUMENT


@pytest.mark.parametrize("kind", ["threads", "asyncio"])
def test_the_deadline_ends_a_call(endpoint: Any, kind: str) -> None:
    with opened(kind, endpoint.grpc_address, model_name="half_plus_two") as client:
        started_s = time.monotonic()
        with pytest.raises(ServingError) as caught:
            client.predict("loop", {"rounds": np.array([10**9])}, deadline_s=0.2)
        assert caught.value.code == Code.DEADLINE_EXCEEDED
        assert time.monotonic() - started_s < 5


def test_a_version_or_a_label() -> None:
    with pytest.raises(ValueError, match="expected a version or a label, got version 1 and label 'stable'"):
        Client(GrpcTransport("localhost:1"), version=1, label="stable")


def test_an_answer_of_another_kind_is_said_so(endpoint: Any) -> None:
    client = Client(GrpcTransport(endpoint.grpc_address), model_name="half_plus_two")
    made = client.questions.predict("", {"x": np.ones(1, np.float32)})
    wrong = dataclasses.replace(made, read=lambda _response: {}["item_ids"])
    with client, pytest.raises(ServingError, match="the answer to Predict cannot be read") as caught:
        client.ask(wrong)
    assert caught.value.code == Code.INTERNAL


def test_both_clients_show_the_same_arguments() -> None:
    for name in ("recommend", "search", "facets", "similar", "rank", "embed", "predict", "inputs", "versions"):
        assert inspect.signature(getattr(Client, name)) == inspect.signature(getattr(AsyncClient, name))
        assert "deadline_s" in inspect.signature(getattr(Client, name)).parameters
        assert getattr(Client, name).__doc__ == getattr(AsyncClient, name).__doc__


def test_this_suite_runs_against_the_stock_server() -> None:
    if not has_stock_server():
        pytest.skip(NO_STOCK_SERVER)
