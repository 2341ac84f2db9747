"""Which items speak for which, against explicit solutions; how their votes are counted, against a matrix product."""

import numpy as np
import pytest
import tensorflow as tf
from ranked_shop import END, ITEMS, USERS, interactions_of, random_interactions
from shop_tables import DAY

from trainer.baselines.ease import ease_weights
from trainer.interactions import Interactions, presence
from trainer.ranking import neighbours
from trainer.ranking.knowledge import NeighbourTable
from trainer.ranking.neighbours import Neighbours, alike, copurchases, next_purchases

ALL = {"most_items": ITEMS, "count": ITEMS}


def dense(found: Neighbours) -> np.ndarray:
    weights = np.zeros((len(found.rows), len(found.rows)))
    for row, (others, values) in enumerate(zip(found.rows, found.weights, strict=True)):
        for other, value in zip(others, values, strict=True):
            if other >= 0:
                assert weights[row, other] == 0.0
                weights[row, other] = value
            else:
                assert value == 0.0
    return weights


def slow_ease(bought: Interactions) -> np.ndarray:
    gram = np.eye(ITEMS) * neighbours.EASE_PENALTY
    for user in range(USERS):
        items = set(bought.item_rows[bought.users == user].tolist())
        for one in items:
            for other in items:
                gram[one, other] += 1
    inverse = np.linalg.inv(gram)
    weights = np.zeros((ITEMS, ITEMS))
    for one in range(ITEMS):
        for other in range(ITEMS):
            weights[one, other] = 0.0 if one == other else -inverse[one, other] / inverse[other, other]
    return weights


def slow_next(bought: Interactions, days: int) -> np.ndarray:
    inputs, targets = [], []
    for window in range(1, 1 + neighbours.NEXT_WINDOWS):
        start = bought.end - window * days * DAY
        end = start + days * DAY
        for user in range(USERS):
            own = bought.users == user
            then = own & (bought.timestamps >= start) & (bought.timestamps < end)
            if then.any():
                line = np.zeros(ITEMS)
                for event in np.flatnonzero(own & (bought.timestamps < start)):
                    age = (start - bought.timestamps[event]) / DAY
                    line[bought.item_rows[event]] += 0.5 ** (age / neighbours.HALF_LIFE_DAYS)
                inputs.append(np.minimum(line, 1.0))
                targets.append(np.isin(np.arange(ITEMS), bought.item_rows[then]).astype(float))
    x, y = np.array(inputs), np.array(targets)
    return np.linalg.solve(x.T @ x + neighbours.NEXT_PENALTY * np.eye(ITEMS), x.T @ y)


@pytest.fixture
def bought() -> Interactions:
    return random_interactions(4)


def test_copurchases_are_ease_in_closed_form(bought: Interactions) -> None:
    weights = dense(copurchases(bought, **ALL))
    np.testing.assert_allclose(weights, slow_ease(bought), atol=1e-7)
    np.testing.assert_allclose(weights, ease_weights(presence(bought.matrix()), neighbours.EASE_PENALTY), atol=1e-6)


def test_next_purchases_are_ridge_regression_on_the_windows_before_the_end(bought: Interactions) -> None:
    weights = dense(next_purchases(bought, window_days=28, **ALL))
    np.testing.assert_allclose(weights, slow_next(bought, 28), atol=1e-6)
    assert np.diag(weights).any()


@pytest.mark.parametrize("count", [1, 5, ITEMS])
def test_only_the_largest_absolute_weights_are_kept(bought: Interactions, count: int) -> None:
    found, all_of_them = copurchases(bought, most_items=ITEMS, count=count), np.abs(slow_ease(bought))
    assert found.rows.shape == found.weights.shape == (ITEMS, count)
    for row in range(ITEMS):
        assert row not in found.rows[row]
        largest = np.sort(all_of_them[row])[::-1][:count]
        np.testing.assert_allclose(np.sort(np.abs(found.weights[row]))[::-1], largest, atol=1e-7)


def test_only_the_most_bought_items_take_part(bought: Interactions) -> None:
    counts = np.bincount(bought.item_rows, minlength=ITEMS)
    chosen = set(np.argsort(-counts, kind="stable")[:10].tolist())
    for found in (
        copurchases(bought, most_items=10, count=4),
        next_purchases(bought, window_days=28, most_items=10, count=4),
    ):
        for row in range(ITEMS):
            if row in chosen:
                assert set(found.rows[row].tolist()) <= chosen
            else:
                assert (found.rows[row] == -1).all()
                assert (found.weights[row] == 0.0).all()


def test_next_purchases_do_not_look_ahead() -> None:
    generator = np.random.default_rng(0)
    early = [(user, user % ITEMS, int(age)) for user, age in enumerate(generator.integers(31, 300, USERS) * DAY)]
    late = [(user, (user + 1) % ITEMS, 30 * DAY - place) for place, user in enumerate(range(USERS))]
    moment = END - 30 * DAY
    one, other = (interactions_of(events).before(moment) for events in (early, early + late))
    for found in zip(
        _arrays(next_purchases(one, window_days=28, **ALL)),
        _arrays(next_purchases(other, window_days=28, **ALL)),
        strict=True,
    ):
        np.testing.assert_array_equal(*found)


def _arrays(found: Neighbours) -> tuple[np.ndarray, np.ndarray]:
    return found.rows, found.weights


def test_a_log_that_is_shorter_than_a_window_or_empty_has_no_next_purchases() -> None:
    for events in ([], [(0, 1, DAY), (0, 2, 2 * DAY)]):
        found = next_purchases(interactions_of(events), window_days=28, **ALL)
        assert (found.rows == -1).all()
        assert not found.weights.any()
    assert not copurchases(interactions_of([]), **ALL).weights.any()


def test_alike_are_the_cosines_of_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_BLOCK", 7)
    vectors = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)
    vectors[5] = 0.0
    weights = dense(alike(vectors, 20))
    for one in range(20):
        for other in range(20):
            lengths = np.linalg.norm(vectors[one]) * np.linalg.norm(vectors[other])
            cosine = vectors[one] @ vectors[other] / lengths if lengths else 0.0
            expected = cosine if one != other and cosine >= neighbours.LEAST_LIKENESS else 0.0
            assert weights[one, other] == pytest.approx(expected, abs=1e-6)
    few = alike(vectors, 2)
    for row in range(20):
        np.testing.assert_allclose(np.sort(few.weights[row])[::-1], np.sort(weights[row])[::-1][:2], atol=1e-6)


def test_votes_are_a_product_of_matrices(bought: Interactions) -> None:
    found = copurchases(bought, most_items=20, count=5)
    generator = np.random.default_rng(2)
    batch, variants = 4, 3
    cells = np.sort(generator.choice(batch * ITEMS, 25, replace=False))
    loudness = generator.normal(size=(25, variants)).astype(np.float32)
    votes = NeighbourTable(found, "some").votes(tf.constant(cells), tf.constant(loudness), batch=batch, items=ITEMS)
    spoken = np.zeros((batch * ITEMS, variants))
    spoken[cells] = loudness
    expected = np.einsum("bsv,sh->bhv", spoken.reshape(batch, ITEMS, variants), dense(found))
    np.testing.assert_allclose(votes.numpy().reshape(batch, ITEMS, variants), expected, atol=1e-6)


def test_nobody_speaks_where_nothing_was_bought(bought: Interactions) -> None:
    table = NeighbourTable(copurchases(bought, most_items=20, count=5), "some")
    votes = table.votes(tf.zeros([0], tf.int64), tf.zeros([0, 2]), batch=tf.constant(3), items=ITEMS)
    assert votes.shape == (3 * ITEMS, 2)
    assert not votes.numpy().any()
