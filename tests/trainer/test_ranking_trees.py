"""Trees in the graph answer what CatBoost answers."""

import numpy as np
import pytest
import tensorflow as tf
from catboost import CatBoostClassifier
from hypothesis import given, settings
from hypothesis import strategies as st
from ranked_shop import ranked_config

from pipeline.config.ranking import TreesConfig
from trainer.ranking.lists import CandidateLists
from trainer.ranking.trees import BoostedTrees, fit_trees, tables_of

FEATURES = 5
MISSING = -1e30


def drawn_values(rows: int, seed: int) -> np.ndarray:
    """Numbers of every size, two-valued, constant and missing ones; many lie on a threshold."""
    generator = np.random.default_rng(seed)
    values = np.round(generator.normal(size=(rows, FEATURES)), 1).astype(np.float32)
    values[:, 1] = np.exp(9 * values[:, 1])
    values[:, 2] = values[:, 2] > 0
    values[:, 3] = 0.1
    values[generator.random(rows) < 0.4, 4] = np.nan
    return values


def drawn_labels(values: np.ndarray, seed: int) -> np.ndarray:
    odds = values[:, 0] * (values[:, 2] - 0.5) + np.isnan(values[:, 4])
    return odds + np.random.default_rng(seed).normal(size=len(values)) > 0.5


def lists_of(values: np.ndarray, labels: np.ndarray) -> CandidateLists:
    return CandidateLists(values, labels, np.array([0, len(values)]))


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.integers(1, 8), st.integers(1, 130), st.booleans())
def test_the_graph_answers_what_catboost_answers(seed: int, depth: int, count: int, starts: bool) -> None:
    values = drawn_values(400, seed)
    learner = CatBoostClassifier(
        iterations=count, depth=depth, boost_from_average=starts, allow_writing_files=False, verbose=False
    )
    learner.fit(np.nan_to_num(values, nan=MISSING), drawn_labels(values, seed))
    asked = drawn_values(300, seed + 1)
    expected = learner.predict(np.nan_to_num(asked, nan=MISSING), prediction_type="RawFormulaVal")
    found = BoostedTrees(tables_of(learner))(tf.constant(asked.T)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_trees_learn_what_is_bought_and_the_same_each_time() -> None:
    values = drawn_values(3000, 3)
    labels = drawn_labels(values, 3)
    config = TreesConfig(count=20, first=6, depth=4, learning_rate=0.2)
    fitted = [fit_trees(lists_of(values, labels), config, 7) for _ in range(2)]
    for one, other in zip(*([table for part in parts for table in part.symmetric] for parts in fitted), strict=True):
        np.testing.assert_array_equal(one, other)
    asked = drawn_values(3000, 4)
    odds = sum(part(tf.constant(asked.T)).numpy() for part in fitted[0])
    bought = drawn_labels(asked, 4)
    share = 1 / (1 + np.exp(-odds))
    assert share[bought].mean() > share[~bought].mean() + 0.15
    assert share.mean() == pytest.approx(bought.mean(), abs=0.03)  # log-odds, not only an order


@pytest.mark.parametrize("first", [1, 11, 12, 40])
def test_the_first_trees_and_the_rest_say_together_what_all_say(first: int) -> None:
    values = drawn_values(1000, 5)
    labels = drawn_labels(values, 5)
    config = {"count": 12, "depth": 3}
    few, rest = fit_trees(lists_of(values, labels), TreesConfig(**config, first=first), 7)
    alone, nothing = fit_trees(lists_of(values, labels), TreesConfig(**config, first=12), 7)
    asked = tf.constant(drawn_values(300, 6).T)
    np.testing.assert_allclose(few(asked) + rest(asked), alone(asked), atol=1e-5)
    np.testing.assert_array_equal(nothing(asked), 0.0)
    fewer, _ = fit_trees(lists_of(values, labels), TreesConfig(**{**config, "count": min(first, 12)}), 7)
    np.testing.assert_array_equal(few(asked), fewer(asked))


@pytest.mark.parametrize(
    ("values", "bought", "odds"),
    [
        (np.ones((30, 5)), 6, 6 / 24),
        (np.eye(30), 30, 999.0),
        (np.where(np.arange(30)[:, np.newaxis] % 2, np.inf, np.nan), 6, 6 / 24),
    ],
)
def test_where_nothing_can_be_told_apart_trees_answer_the_base_rate(
    values: np.ndarray, bought: int, odds: float
) -> None:
    lists = lists_of(values.astype(np.float32), np.arange(30) < bought)
    few, rest = fit_trees(lists, TreesConfig(count=3, first=2), 0)
    asked = tf.constant(drawn_values(40, 0).T)
    np.testing.assert_allclose(few(asked) + rest(asked), np.full(40, np.log(odds)), rtol=1e-4)


def test_a_shop_may_go_without_trees() -> None:
    assert ranked_config(trees={"count": 0}).ranking.trees.count == 0
