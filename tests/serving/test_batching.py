"""Calls that run together answer as calls that run alone."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import INPUTS, ITEMS, save_half_plus

from serving.batching import Batcher
from serving.batching_parameters import Batching
from serving.errors import Code, ServingError, WouldWaitError
from serving.predictor import Predictor

ROUNDS = 400_000  # of the loop: longer than any test waits


def texts(*rows: list[str]) -> np.ndarray:
    width = max(map(len, rows))
    return np.array([[each.encode() for each in row] + [b""] * (width - len(row)) for row in rows], object)


@pytest.fixture(scope="module")
def half(half_path: Path) -> Iterator[Predictor]:
    predictor = Predictor(half_path / "1")
    yield predictor
    predictor.close()


@pytest.fixture(scope="module")
def shop(run_path: Path) -> Iterator[Predictor]:
    predictor = Predictor(run_path / "serving/shop/3")
    yield predictor
    predictor.close()


class Watched:
    """A batcher and what it tells. Its only thread can be held, so that calls pile up behind it."""

    def __init__(self, batching: Batching | None = None) -> None:
        self.runs: list[int] = []
        self.waits: list[float] = []
        self.batcher = Batcher(
            batching,
            processors=1,
            observe_batch=lambda _model, _signature, rows: self.runs.append(rows),
            observe_queue=lambda _model, _signature, seconds: self.waits.append(seconds),
        )

    def ask(self, predictor: Predictor, name: str, inputs: dict[str, Any], **settings: Any) -> dict[str, np.ndarray]:
        return self.batcher.run("model", predictor, predictor.signature(name), inputs, **settings)

    def ask_together(self, calls: list[Callable[[], Any]]) -> list[Any]:
        """Lets calls wait for the only thread until all have come, then frees it; errors are returned."""

        def caught(call: Callable[[], Any]) -> Any:
            try:
                return call()
            except ServingError as error:
                return error

        self.batcher._free = 0
        with ThreadPoolExecutor(len(calls)) as pool:
            futures = []
            for number, call in enumerate(calls):
                futures.append(pool.submit(caught, call))
                self.wait_for(number + 1)
            with self.batcher._changed:
                self.batcher._free = 1
                self.batcher._hand_out()
            return [future.result(timeout=30) for future in futures]

    def wait_for(self, count: int) -> None:
        with self.batcher._changed:
            assert self.batcher._changed.wait_for(lambda: len(self.batcher._waiting) >= count, timeout=30)


def same(found: Any, expected: dict[str, np.ndarray]) -> None:
    assert isinstance(found, dict), found
    assert found.keys() == expected.keys()
    for alias, value in expected.items():
        assert found[alias].shape == value.shape
        if value.dtype == object:
            np.testing.assert_array_equal(found[alias], value)
        else:
            np.testing.assert_allclose(found[alias], value, rtol=1e-6)


def random_call(generator: np.random.Generator) -> dict[str, Any]:
    """A call of `recommend` as clients make them: any number of rows, lists of any length, few or many inputs."""
    rows = int(generator.integers(1, 4))

    def lists(width: int) -> np.ndarray:
        return texts(*[list(generator.choice([*ITEMS, ""], width)) for _ in range(rows)])

    inputs: dict[str, Any] = {"user_id": texts(*[["u"]] * rows)[:, 0]}
    if generator.random() < 0.7:
        width = int(generator.integers(1, 5))
        inputs["history_item_ids"] = lists(width)
        if generator.random() < 0.8:
            shape = (rows, width if generator.random() < 0.5 else 1)
            inputs["history_ages_days"] = generator.choice([0.0, 30.0], shape).astype(np.float32)
    if generator.random() < 0.5:
        inputs["boost_item_ids"] = lists(int(generator.integers(1, 3)))
        shape = (rows, inputs["boost_item_ids"].shape[1] if generator.random() < 0.5 else 1)
        inputs["boosts"] = generator.normal(size=shape).astype(np.float32)
    if generator.random() < 0.5:
        inputs["k"] = generator.integers(1, 4, 1 if generator.random() < 0.5 else rows).astype(np.int32)
    if generator.random() < 0.3:
        inputs["exclude_item_ids"] = lists(2)
    return inputs


def test_calls_of_a_contract_run_together_and_answer_as_alone(shop: Predictor) -> None:
    generator, watched = np.random.default_rng(4), Watched(Batching(max_rows=64))
    inputs = [random_call(generator) for _ in range(60)]
    found = watched.ask_together([lambda call=call: watched.ask(shop, "recommend", call) for call in inputs])
    for call, answer in zip(inputs, found, strict=True):
        same(answer, shop.predict(shop.signature("recommend"), call))
    assert sum(watched.runs) == sum(len(call["user_id"]) for call in inputs)
    assert len(watched.runs) < len(inputs)
    assert len(watched.waits) == len(inputs)


@pytest.mark.parametrize("name", ["similar_items", "rank", "search", "embed_items"])
def test_every_signature_may_run_together(shop: Predictor, name: str) -> None:
    watched = Watched(Batching(max_rows=64))
    calls = []
    for item in ITEMS:
        needed = [alias for alias, (_, _, default) in INPUTS[name].items() if default is None]
        calls.append({alias: texts([item]) if "candidate" in alias else texts([item])[0] for alias in needed})
    found = watched.ask_together([lambda call=call: watched.ask(shop, name, call) for call in calls])
    for call, answer in zip(calls, found, strict=True):
        same(answer, shop.predict(shop.signature(name), call))
    assert watched.runs == [len(ITEMS)]


def test_a_call_that_is_alone_waits_for_nobody(shop: Predictor) -> None:
    watched = Watched()
    call = {"user_id": texts(["u"])[0]}
    same(watched.ask(shop, "recommend", call), shop.predict(shop.signature("recommend"), call))
    assert watched.runs == [1]
    assert watched.waits[0] < 0.1
    assert watched.batcher._free == 1


def test_a_call_that_must_not_wait_runs_at_once_or_not_at_all(half: Predictor, shop: Predictor) -> None:
    watched = Watched()
    call = {"item_id": texts(["a"])[0]}
    alone = watched.ask(shop, "similar_items", call, at_once=True)
    same(alone, shop.predict(shop.signature("similar_items"), call))
    watched.batcher._free = 0
    with pytest.raises(WouldWaitError):
        watched.ask(shop, "similar_items", call, at_once=True)
    assert not watched.batcher._waiting
    with pytest.raises(WouldWaitError):
        Watched(Batching(max_rows=4, wait_s=1.0)).ask(half, "", plain(1.0), at_once=True)


def test_calls_run_together_unasked_once_it_is_known_what_one_costs(shop: Predictor) -> None:
    watched = Watched()
    call = {"user_id": texts(["u"])[0]}
    expected = shop.predict(shop.signature("recommend"), call)
    for _ in range(5):
        for answer in watched.ask_together([lambda: watched.ask(shop, "recommend", call)] * 4):
            same(answer, expected)
    assert watched.runs[:8] == [1] * 8
    assert 2 in watched.runs


def test_only_the_call_at_fault_is_refused(shop: Predictor) -> None:
    watched = Watched(Batching(max_rows=64))
    good = {"user_id": texts(["u"])[0], "k": np.array([2], np.int32)}
    bad = {"user_id": texts(["u"])[0], "k": np.array([0], np.int32)}
    two = {"user_id": texts(["u", "v"])[0], "k": np.array([2, 0], np.int32)}
    found = watched.ask_together([lambda call=call: watched.ask(shop, "recommend", call) for call in (good, two, bad)])
    same(found[0], shop.predict(shop.signature("recommend"), good))
    for error in found[1:]:
        assert (error.code, "k must be at least 1" in error.message) == (Code.INVALID_ARGUMENT, True)
    assert watched.batcher._free == 1


def test_a_model_without_contract_runs_call_by_call_unasked(half: Predictor) -> None:
    watched = Watched()
    watched.batcher._free = 0
    np.testing.assert_array_equal(watched.ask(half, "", plain(1.0, 1.0))["y"], [2.5, 2.5])
    assert (watched.runs, watched.waits) == ([2], [])


def plain(*values: float) -> dict[str, np.ndarray]:
    return {"x": np.array(values, np.float32)}


def test_an_operator_may_ask_for_batches_of_any_model_in_allowed_sizes(half: Predictor) -> None:
    watched = Watched(Batching(max_rows=4, allowed_rows=(1, 4)))
    calls = [plain(1.0), plain(2.0, 3.0), plain(5.0), plain(7.0, 8.0)]
    found = watched.ask_together([lambda call=call: watched.ask(half, "", call) for call in calls])
    for call, answer in zip(calls, found, strict=True):
        np.testing.assert_array_equal(answer["y"], call["x"] / 2 + 2)
    assert watched.runs == [4, 4]


def test_a_run_waits_for_more_rows_where_the_operator_says_so(half: Predictor) -> None:
    watched = Watched(Batching(max_rows=3, wait_s=20.0))
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda value: watched.ask(half, "", plain(value))["y"][0], (2.0, 4.0, 6.0)))
    assert found == [3.0, 4.0, 5.0]
    assert watched.runs == [3]


@pytest.mark.parametrize(
    ("name", "inputs", "code", "message"),
    [
        (
            "two_outputs",
            {"x": np.ones(2, np.float32), "z": np.ones(3, np.float32)},
            Code.INVALID_ARGUMENT,
            "Batching Run() input tensors must have equal 0th-dimension size",
        ),
        (
            "two_outputs",
            {"x": np.ones(2, np.float32), "z": np.ones(2, np.float32)},
            Code.FAILED_PRECONDITION,
            "Batched output tensor has 0 dimensions",
        ),
        ("", {"x": np.ones(5, np.float32)}, Code.INVALID_ARGUMENT, "larger than maximum input batch size 4"),
        ("", {"x": np.ones((), np.float32)}, Code.INVALID_ARGUMENT, "must have at least one dimension"),
    ],
)
def test_batches_are_refused_in_the_stock_servers_words(
    half: Predictor, name: str, inputs: dict[str, Any], code: Code, message: str
) -> None:
    watched = Watched(Batching(max_rows=4, splits=False))
    with pytest.raises(ServingError) as caught:
        watched.ask(half, name, inputs)
    assert (caught.value.code, message in caught.value.message) == (code, True), caught.value


def test_waiting_ends_with_the_deadline(half: Predictor) -> None:
    watched = Watched(Batching())
    watched.batcher._free = 0
    with pytest.raises(ServingError, match="Run\\(\\) timeout exceeded while waiting in batching queue") as caught:
        watched.ask(half, "", plain(1.0), timeout_s=0.05)
    assert caught.value.code == Code.RESOURCE_EXHAUSTED
    assert not watched.batcher._waiting


def test_a_full_queue_takes_no_more(half: Predictor) -> None:
    watched = Watched(Batching(max_rows=1, max_waiting_runs=1))
    watched.batcher._free = 0
    first = threading.Thread(target=lambda: watched.ask(half, "", plain(1.0)))
    first.start()
    watched.wait_for(1)
    with pytest.raises(ServingError, match="queue to which this task was submitted is full") as caught:
        watched.ask(half, "", plain(1.0))
    assert caught.value.code == Code.UNAVAILABLE
    with watched.batcher._changed:
        watched.batcher._free = 1
        watched.batcher._hand_out()
    first.join(30)
    assert watched.runs == [1]


def test_the_deadline_of_a_call_bounds_its_run(half: Predictor) -> None:
    watched = Watched(Batching())
    with pytest.raises(ServingError) as caught:
        watched.ask(half, "loop", {"rounds": np.array([ROUNDS], np.int64)}, timeout_s=0.2)
    assert caught.value.code == Code.DEADLINE_EXCEEDED
    assert watched.batcher._free == 1


def test_refused_calls_say_nothing_of_what_answered_ones_cost(shop: Predictor) -> None:
    watched = Watched()
    user = texts(["u"])[0]
    for k in (0, 2, 0):
        with contextlib.nullcontext() if k else pytest.raises(ServingError):
            watched.ask(shop, "recommend", {"user_id": user, "k": np.array([k], np.int32)})
    ((_, pace),) = filter(None, watched.batcher._lanes[shop].values())
    assert pace._runs == 1


def test_a_new_predictor_learns_anew(half: Predictor, tmp_path: Path) -> None:
    watched = Watched(Batching())
    watched.ask(half, "", plain(1.0))
    save_half_plus(tmp_path / "1", 4.0)
    other = Predictor(tmp_path / "1")
    np.testing.assert_array_equal(watched.ask(other, "", plain(1.0))["y"], [4.5])
    assert len(watched.batcher._lanes) == 2
    other.close()
    del other
    assert len(watched.batcher._lanes) == 1
