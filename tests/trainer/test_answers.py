"""The answer path against NumPy: filters, order, ties, any k, boosts, caps, diversity, and the ranking stage."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from small_answers import BRANDS, CATEGORIES, DIMENSION, IDS, ITEMS, SmallShop, greedy

# Small whole numbers: products are exact, and many scores are equal.
VECTORS = np.random.default_rng(1).integers(-2, 3, (ITEMS, DIMENSION)).astype(np.float32)
SMOOTH = np.random.default_rng(2).normal(size=(ITEMS, DIMENSION)).astype(np.float32)
ONE = np.ones((1, DIMENSION), np.float32)


class Reverse(tf.Module):
    """A ranking stage that turns the towers' order around, and takes twice as many candidates as it must."""

    def look(self, request: Any, scores: tf.Tensor) -> tf.Tensor:
        """Remembers the towers' scores."""
        del request
        return scores

    def candidates(self, evidence: tf.Tensor, allowed_scores: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """Picks the best by the towers."""
        del evidence
        values, rows = tf.math.top_k(allowed_scores, tf.minimum(2 * count, ITEMS))
        return tf.where(values > -np.inf, tf.cast(rows, tf.int64), -1)

    def scores(self, evidence: tf.Tensor, rows: tf.Tensor, *, best: bool = False) -> tf.Tensor:
        """Scores against the towers."""
        del best
        return -tf.gather(evidence, tf.maximum(rows, 0), batch_dims=1)


@pytest.fixture(scope="module")
def shop() -> SmallShop:
    return SmallShop(VECTORS)


@pytest.fixture(scope="module")
def smooth() -> SmallShop:
    return SmallShop(SMOOTH)


@pytest.fixture(scope="module")
def staged() -> SmallShop:
    return SmallShop(SMOOTH, Reverse())


def texts(choices: list[str], most: int) -> st.SearchStrategy[list[list[str]]]:
    return st.lists(st.sampled_from([*choices, "", "unknown"]), max_size=most).map(lambda names: [["", *names]])


filters = st.fixed_dictionaries(
    {},
    optional={
        "exclude_item_ids": texts(IDS, 60),
        "include_item_ids": texts(IDS, 30),
        "categories": texts([*CATEGORIES, "Home"], 2),
        "exclude_categories": texts([*CATEGORIES, "Home"], 2),
        "brands": texts(BRANDS, 2),
        "min_price": st.sampled_from([[0.0], [2.5], [100.0]]),
        "max_price": st.sampled_from([[0.0], [2.0], [5.5]]),
        "in_stock_only": st.sampled_from([[0], [1]]),
        "min_rating": st.sampled_from([[0.0], [2.5], [4.0]]),
    },
)
queries = st.integers(0, 10_000).map(lambda seed: np.random.default_rng(seed).integers(-2, 3, (1, DIMENSION)))


@settings(max_examples=80, deadline=None)
@given(asked=filters, query=queries, k=st.integers(1, ITEMS + 9))
def test_filters_leave_the_best_of_what_is_allowed(shop: SmallShop, asked: Any, query: np.ndarray, k: int) -> None:
    scores = np.where(shop.allowed(**asked), (query @ VECTORS.T)[0], -np.inf)
    order = np.argsort(-scores, kind="stable")
    expected = [IDS[row] for row in order if scores[row] > -np.inf][:k]
    [ids], found = shop.ask(query, k=[k], **asked)
    assert ids == expected
    assert found.shape == (1, min(k, ITEMS))
    assert found[0, : len(ids)].tolist() == scores[order][: len(ids)].tolist()


@settings(max_examples=60, deadline=None)
@given(
    asked=filters,
    query=queries,
    k=st.integers(1, ITEMS),
    cap=st.integers(1, 4),
    strength=st.sampled_from([0.0, 0.3, 0.7, 1.0]),
)
def test_caps_hold_starve_nobody_and_mmr_is_numpys(
    *, smooth: SmallShop, asked: Any, query: np.ndarray, k: int, cap: int, strength: float
) -> None:
    scores = np.where(smooth.allowed(**asked), (query.astype(np.float32) @ SMOOTH.T)[0], -np.inf)
    for limit in (0, cap):
        expected = greedy(smooth, scores, k=k, cap=limit, strength=strength)
        [ids], _ = smooth.ask(query, k=[k], max_per_category=[limit], diversity=[strength], **asked)
        assert ids == expected


@settings(max_examples=40, deadline=None)
@given(asked=filters, query=queries, k=st.integers(1, 12), cap=st.integers(0, 3), strength=st.sampled_from([0.0, 0.5]))
def test_a_stage_keeps_filters_and_caps(
    *, staged: SmallShop, asked: Any, query: np.ndarray, k: int, cap: int, strength: float
) -> None:
    allowed = staged.allowed(**asked)
    [ids], found = staged.ask(query, k=[k], max_per_category=[cap], diversity=[strength], **asked)
    rows = [IDS.index(each) for each in ids]
    assert len(set(rows)) == len(rows)
    assert allowed[rows].all()
    named = [staged.attributes.categories[row] for row in rows if staged.attributes.categories[row]]
    assert not cap or max(map(named.count, named), default=0) <= cap
    scores = np.where(allowed, (query.astype(np.float32) @ SMOOTH.T)[0], -np.inf)
    assert len(ids) == len(greedy(staged, scores, k=k, cap=cap, strength=0.0))
    np.testing.assert_allclose(found[0, : len(ids)], -scores[rows], atol=1e-5)
    if not cap and not strength:
        pool = np.argsort(-scores, kind="stable")[: 2 * k]
        assert rows == sorted((row for row in pool if scores[row] > -np.inf), key=lambda row: (scores[row], row))[:k]


@pytest.mark.parametrize("name", ["smooth", "staged"])
@settings(max_examples=25, deadline=None)
@given(query=queries, row=st.integers(0, ITEMS - 1), low=st.floats(-5, 5), more=st.floats(0.5, 5))
def test_a_larger_boost_never_lowers_an_item(
    *, name: str, request: pytest.FixtureRequest, query: np.ndarray, row: int, low: float, more: float
) -> None:
    shop = request.getfixturevalue(name)
    places = []
    for boost in (low, low + more):
        [ids], _ = shop.ask(query, k=[ITEMS], boost_item_ids=[[IDS[row], "unknown"]], boosts=[[boost, 9.0]])
        places.append(ids.index(IDS[row]))
    assert places[1] <= places[0]
    [top], _ = shop.ask(query, k=[3], boost_item_ids=[[IDS[row]]], boosts=[[50.0]])
    assert top[0] == IDS[row]
    [gone], _ = shop.ask(query, k=[3], boost_item_ids=[[IDS[row]]], exclude_item_ids=[[IDS[row]]], boosts=[[50.0]])
    assert IDS[row] not in gone


def test_a_boost_is_counted_in_standard_deviations(smooth: SmallShop) -> None:
    _, plain = smooth.ask(ONE, k=[ITEMS])
    one_for_all = {"boost_item_ids": [[IDS[4], IDS[9], IDS[9], ""]], "boosts": [[1.5]]}
    ids, scores = smooth.ask(ONE, k=[ITEMS], **one_for_all)
    found = dict(zip(ids[0], scores[0], strict=True))
    expected = ONE[0] @ SMOOTH.T + np.isin(np.arange(ITEMS), [4, 9]) * 1.5 * plain[0].std()
    expected[9] += 1.5 * plain[0].std()
    np.testing.assert_allclose([found[each] for each in IDS], expected, atol=1e-4)


def test_rows_of_one_batch_keep_their_own_rules(smooth: SmallShop) -> None:
    queries = np.repeat(ONE, 4, axis=0)
    rules = {
        "k": [3, 6, 40, 2],
        "diversity": [0.0, 0.8, 0.0, 0.0],
        "max_per_category": [0, 0, 2, 0],
        "categories": [[""], [""], [""], ["Toys"]],
        "boost_item_ids": [[""], [""], [""], ["i01"]],
        "boosts": [[0.0], [0.0], [0.0], [2.0]],
    }
    together, _ = smooth.ask(queries, **rules)
    for line in range(4):
        [alone], _ = smooth.ask(ONE, **{name: [values[line]] for name, values in rules.items()})
        assert together[line] == alone
    assert len(together[0]) == 3
    assert together[1] != smooth.ask(ONE, k=[6])[0][0]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"k": [0]}, "k must be at least 1"),
        ({"k": [-(2**31)]}, "k must be at least 1"),
        ({"diversity": [1.5]}, "diversity must be between 0 and 1"),
        ({"diversity": [np.nan]}, "diversity must be between 0 and 1"),
        ({"diversity": [0.1], "k": [1001]}, "k must be at most 1000 where diversity is above 0"),
        ({"max_per_category": [-1]}, "max_per_category must not be negative"),
        ({"min_price": [-1.0]}, "min_price must not be negative"),
        ({"max_price": [np.nan]}, "max_price must not be negative"),
        ({"min_rating": [-1.0]}, "min_rating must not be negative"),
        ({"in_stock_only": [2]}, "in_stock_only must be 0 or 1"),
        ({"boosts": [[101.0]]}, "boosts must be between -100 and 100"),
        ({"boosts": [[np.nan]]}, "boosts must be between -100 and 100"),
        ({"boosts": [[1.0, 2.0]], "boost_item_ids": [["i01"] * 3]}, "boosts must hold one number, or one for each of"),
    ],
)
def test_what_is_out_of_its_limits_is_named(shop: SmallShop, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        shop.ask(ONE, **inputs)


def test_everything_excluded_the_largest_k_and_an_empty_batch(shop: SmallShop) -> None:
    rules = {"max_per_category": [1], "diversity": [0.5]}
    for given_rules in ({}, rules):
        assert shop.ask(ONE, exclude_item_ids=[IDS], **given_rules)[0] == [[]]
        assert shop.ask(ONE, include_item_ids=[["unknown"]], **given_rules)[0] == [[]]
    ids, _ = shop.ask(ONE, k=[2**31 - 1], exclude_item_ids=[["i03", "i03", ""]])
    assert sorted(ids[0]) == [each for each in IDS if each != "i03"]
    assert shop.ask(ONE[:0])[0] == []
