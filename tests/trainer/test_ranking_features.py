"""What is read of a customer and a candidate: the same alone and in company, and what loops find."""

import numpy as np
import pytest
import tensorflow as tf
from ranked_shop import (
    ITEMS,
    Event,
    evidence_of,
    knowledge_of,
    random_histories,
    random_interactions,
    ranked_config,
    request_of,
    tower_scores,
)

from trainer.ranking.knowledge import Knowledge
from trainer.ranking.pair_features import feature_names, pair_features, stack
from trainer.ranking.stage import Lookout
from trainer.ranking_stage import Request

EVERY = np.arange(ITEMS, dtype=np.int64)


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return knowledge_of(random_interactions(), ranked_config())


def features_of(request: Request, knowledge: Knowledge) -> dict[str, np.ndarray]:
    """Features of every item, [batch, items]."""
    batch = request.queries.shape[0]
    lines, rows = np.repeat(np.arange(batch), ITEMS), np.tile(EVERY, batch)
    found = pair_features(evidence_of(request, knowledge), knowledge, tf.constant(lines), tf.constant(rows))
    return {name: column.numpy().reshape(batch, ITEMS) for name, column in found.items()}


def one_line(request: Request, line: int) -> Request:
    names = ("queries", "timestamps", "history_rows", "history_types", "history_ages_days", "history_quantities")
    parts = {name: getattr(request, name)[line : line + 1] for name in names}
    return Request(features={}, inputs={}, **parts)


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert list(one) == list(other)
    for name, values in one.items():
        np.testing.assert_allclose(values, other[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_a_customer_alone_has_the_features_that_it_has_in_a_batch(knowledge: Knowledge) -> None:
    request = request_of(random_histories(4))
    together = features_of(request, knowledge)
    for line in range(request.queries.shape[0]):
        alone = features_of(one_line(request, line), knowledge)
        assert_same({name: values[line : line + 1] for name, values in together.items()}, alone)


def test_pads_change_nothing(knowledge: Knowledge) -> None:
    histories = random_histories(4)
    assert_same(features_of(request_of(histories), knowledge), features_of(request_of(histories, width=50), knowledge))


def test_candidates_do_not_change_each_other(knowledge: Knowledge) -> None:
    request = request_of(random_histories(8))
    all_of_them = features_of(request, knowledge)
    batch = request.queries.shape[0]
    rows, lines = np.tile([5, 2, 29, 2], batch), np.repeat(np.arange(batch), 4)[::-1].copy()
    some = pair_features(evidence_of(request, knowledge), knowledge, tf.constant(lines), tf.constant(rows))
    assert_same(
        {name: values[lines, rows] for name, values in all_of_them.items()}, {n: v.numpy() for n, v in some.items()}
    )


def test_names_are_sorted_and_do_not_depend_on_the_request(knowledge: Knowledge) -> None:
    known = features_of(request_of(random_histories(1)), knowledge)
    assert list(feature_names({name: tf.constant(values) for name, values in known.items()})) == sorted(known)
    nothing = features_of(request_of([[]]), knowledge)
    assert list(nothing) == list(known)
    stacked = stack({name: tf.constant(values) for name, values in known.items()}).numpy()
    assert stacked.dtype == np.float32
    for place, name in enumerate(sorted(known)):
        np.testing.assert_array_equal(stacked[place], known[name], err_msg=name)


@pytest.mark.parametrize("width", [0, 1, 12])
def test_a_request_without_history(knowledge: Knowledge, width: int) -> None:
    found = features_of(request_of([[], []], width=width), knowledge)
    for name, values in found.items():
        assert values.shape == (2, ITEMS), name
        if name.startswith("customer_") or (name.startswith("own_") and ("days" in name or "due" in name)):
            assert np.isnan(values).all(), name
    for name in ("own_lines", "own_orders", "met_lines", "together", "following", "alike", "met_together"):
        assert not found[name].any(), name
    assert np.isfinite(found["tower"]).all()
    assert np.isfinite(found["item_buyers"]).all()


def test_missing_is_nan_and_nothing_is_infinite(knowledge: Knowledge) -> None:
    found = features_of(request_of(random_histories(3)), knowledge)
    assert not any(np.isinf(values).any() for values in found.values())
    assert np.isnan(found["price"][:, 0]).all()
    assert np.isnan(found["item_idle_days"][:, -1]).all()
    assert np.isfinite(found["price"][:, 1:]).all()


def test_what_the_customer_did_with_the_candidate(knowledge: Knowledge) -> None:
    history: list[Event] = [
        (6, "view", 1.0),
        (4, "purchase", 5.0),
        (5, "purchase", 5.0),
        (4, "purchase", 15.0),
        (4, "purchase", 35.0),
    ]
    found = {name: values[0] for name, values in features_of(request_of([history]), knowledge).items()}
    expected = {
        ("own_orders", 4): 3,
        ("own_interval_days", 4): 15,
        ("own_last_days", 4): 5,
        ("own_due", 4): 5 / 15,
        ("own_share_of_orders", 4): 1,
        ("own_share_of_orders", 5): 1 / 3,
        ("own_interval_days", 5): np.nan,
        ("own_lines", 6): 0,
        ("met_lines", 6): 1,
        ("met_lines", 4): 0,
        ("met_last_days", 6): 1,
        ("customer_orders", 9): 3,
        ("customer_interval_days", 9): 15,
        ("customer_items", 0): 2,
    }
    assert {key: float(found[key[0]][key[1]]) for key in expected} == pytest.approx(expected, nan_ok=True)
    assert found["own_due_by_item"][4] == pytest.approx(5 / max(found["item_interval_days"][4], 1.0))


def test_tower_scores_beside_those_of_all_items(knowledge: Knowledge) -> None:
    request = request_of(random_histories(0))
    found = features_of(request, knowledge)
    scores = tower_scores(request).numpy()
    np.testing.assert_allclose(found["tower"], scores, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["tower_behind_best"], scores.max(1, keepdims=True) - scores, atol=1e-5)
    deviation = (scores - scores.mean(1, keepdims=True)) / scores.std(1, keepdims=True)
    np.testing.assert_allclose(found["tower_deviation"], deviation, rtol=1e-4, atol=1e-4)


def test_a_catalogue_without_texts_has_the_same_features() -> None:
    config = ranked_config()
    plain = knowledge_of(random_interactions(), config, texts=False)
    request = request_of(random_histories(1))
    found, other = features_of(request, plain), features_of(request, knowledge_of(random_interactions(), config))
    assert list(found) == list(other)
    assert not found["alike"].any()
    assert other["alike"].any()


def test_only_the_newest_events_are_read() -> None:
    config = ranked_config(history_length=3)
    lookout = Lookout(knowledge_of(random_interactions(), config), config)
    history: list[Event] = [(place, "purchase", float(place)) for place in range(6)]
    rows = tf.constant(EVERY[np.newaxis])
    long, short = (
        lookout.features(lookout.look(request, tower_scores(request)), tf.where(rows >= 0), rows)
        for request in (request_of([history]), request_of([history[:3]]))
    )
    np.testing.assert_array_equal(long, short)
