"""The boosted trees' candidates and features against loops over events, and how the log becomes columns."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shop_tables import DAY, write_events

from pipeline import schema
from trainer.baselines import pair_features
from trainer.baselines.ease import ease_weights
from trainer.baselines.groups import medians
from trainer.baselines.pair_features import FEATURES, Past
from trainer.baselines.trees import Trees
from trainer.event_log import EventLog
from trainer.interactions import Interactions

USERS, ITEMS, EVENTS = 24, 30, 400
END = 1_000 * DAY


@pytest.fixture
def interactions() -> Interactions:
    generator = np.random.default_rng(5)
    users = generator.integers(USERS, size=EVENTS)
    prices = generator.uniform(1, 9, EVENTS)
    return Interactions(
        user_ids=pa.array([f"u{user}" for user in range(USERS)]),
        items=ITEMS,
        end=END,
        users=users,
        item_rows=generator.integers(ITEMS, size=EVENTS),
        timestamps=END - generator.integers(1, 150 * DAY, EVENTS),
        orders=users * 5 + generator.integers(5, size=EVENTS),
        quantities=generator.integers(1, 9, EVENTS).astype(np.float64),
        prices=np.where(generator.random(EVENTS) < 0.05, np.nan, prices),
        values=np.full(EVENTS, np.nan),
        types=np.full(EVENTS, schema.EVENT_TYPES.index("purchase")),
    )


def test_the_log_as_columns(tmp_path: Path) -> None:
    columns = {
        "user_id": ["u2", "u1", "", None, "u1", "u1"],
        "item_id": ["a", "b", "a", "a", "gone", "b"],
        "timestamp": [5, 6, 7, 8, 9, 10],
        "order_id": ["o1", None, "o2", "o3", "o4", "o1"],
        "quantity": [2.0, None, 1.0, 1.0, 1.0, 3.0],
        "value": [4.0, None, 1.0, 1.0, 1.0, None],
        "price": [1.5, None, 1.0, 1.0, 1.0, 2.5],
        "event_type": ["purchase"] * 6,
    }
    (tmp_path / "events").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "events" / "bucket-00000.parquet")
    log = EventLog(str(tmp_path), ["a", "b"], end=11, event_types=("purchase",))
    found = log.interactions
    assert found.user_ids.to_pylist() == ["u2", "u1"]
    assert found.users.tolist() == [0, 1, 1]
    assert found.item_rows.tolist() == [0, 1, 1]
    assert found.timestamps.tolist() == [5, 6, 10]
    assert found.quantities.tolist() == [2, 1, 3]
    np.testing.assert_equal(found.prices, [1.5, np.nan, 2.5])
    np.testing.assert_equal(found.values, [4, np.nan, np.nan])
    assert {schema.EVENT_TYPES[each] for each in found.types} == {"purchase"}
    assert found.orders[0] == found.orders[2] != found.orders[1]
    assert found.places(["u1", "nobody", "u2", ""]).tolist() == [1, -1, 0, -1]
    assert found.matrix().toarray().tolist() == [[1, 0], [0, 2]]
    assert found.matrix(found.quantities).toarray().tolist() == [[2, 0], [0, 4]]
    assert (found.before(10).end, found.before(10).timestamps.tolist()) == (10, [5, 6])
    assert (found.since(6).end, found.since(6).timestamps.tolist()) == (11, [6, 10])
    assert log.item_counts().tolist() == [3, 2]


def test_a_log_without_orders_prices_or_events(tmp_path: Path) -> None:
    write_events(
        tmp_path / "plain", [("u1", "a", 5, "purchase"), ("u1", "b", 5, "purchase"), ("u1", "a", 7, "purchase")]
    )
    found = EventLog(str(tmp_path / "plain"), ["a", "b"], end=11, event_types=("purchase",)).interactions
    assert found.quantities.tolist() == [1, 1, 1]
    assert np.isnan(found.prices).all()
    assert found.orders[0] == found.orders[1] != found.orders[2]
    write_events(tmp_path / "empty", [])
    assert len(EventLog(str(tmp_path / "empty"), ["a"], end=11, event_types=("purchase",)).interactions) == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.one_of(st.just(np.nan), st.floats(-5, 5))), max_size=30))
def test_medians_of_groups(events: list[tuple[int, float]]) -> None:
    groups = np.array([group for group, _ in events], np.int64)
    values = np.array([value for _, value in events], np.float64)
    expected = []
    for group in range(5):
        known = values[(groups == group) & ~np.isnan(values)]
        expected.append(np.median(known) if len(known) else np.nan)
    np.testing.assert_allclose(medians(values, groups, 5), expected)


def test_candidates_are_the_likely_the_own_and_the_popular(
    interactions: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_features, "MOST_LIKELY", 4)
    monkeypatch.setattr(pair_features, "MOST_POPULAR", 3)
    past, users = Past(interactions), np.arange(3, USERS, 4)
    pairs = past.pairs(users)
    seen = (interactions.matrix().toarray() > 0).astype(np.float32)
    likely = seen @ ease_weights(interactions.matrix().minimum(1))
    recent = interactions.timestamps >= interactions.end - 30 * DAY
    counts = np.bincount(interactions.item_rows[recent], minlength=ITEMS)
    popular = set(np.argsort(-counts, kind="stable")[:3])
    for place, user in enumerate(users):
        own = set(np.flatnonzero(seen[user]))
        order = np.argsort(-likely[user])
        expected = own | popular | set(order[:4]) | set([row for row in order if row not in own][:4])
        assert set(pairs.rows[pairs.places == place]) == expected


def test_features_are_what_loops_over_the_events_find(interactions: Interactions) -> None:
    users = np.arange(3, USERS, 5)
    pairs = Past(interactions).pairs(users)
    for pair in range(0, len(pairs.rows), 7):
        expected = _slow_features(interactions, users[pairs.places[pair]], pairs.rows[pair])
        found = dict(zip(FEATURES, pairs.features[pair].tolist(), strict=True))
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5, nan_ok=True)
        assert set(found) == set(expected)


def _slow_features(log: Interactions, user: int, item: int) -> dict[str, float]:
    own = [event for event in range(len(log)) if log.users[event] == user]
    of_item = [event for event in range(len(log)) if log.item_rows[event] == item]
    both = [event for event in own if log.item_rows[event] == item]
    ages = (log.end - log.timestamps) / DAY
    buyers = {days: len({log.users[e] for e in of_item if ages[e] <= days}) for days in (7, 30, 90, 1e9)}
    weights = ease_weights(log.matrix().minimum(1))
    usual, price = np.nanmedian(log.prices[own]), np.nanmedian(log.prices[of_item])
    return {
        "orders": len({log.orders[event] for event in both}),
        "days_since_first": max(ages[both], default=np.nan),
        "days_since_last": min(ages[both], default=np.nan),
        "pieces": log.quantities[both].sum(),
        "ease": sum(weights[other, item] for other in {log.item_rows[event] for event in own}),
        "ease_decayed": sum(0.5 ** (ages[event] / 60) * weights[log.item_rows[event], item] for event in own),
        "buyers_7_days": buyers[7],
        "buyers_30_days": buyers[30],
        "buyers_90_days": buyers[90],
        "buyers": buyers[1e9],
        "trend_7_days": buyers[7] / (buyers[30] + 1) * 30 / 7,
        "trend_30_days": buyers[30] / (buyers[90] + 1) * 3,
        "price": price,
        "price_for_user": price / usual,
        "item_age_days": max(ages[of_item]),
        "item_idle_days": min(ages[of_item]),
        "user_orders": len({log.orders[event] for event in own}),
        "user_breadth": len({log.item_rows[event] for event in own}),
        "user_absence_days": min(ages[own]),
        "lines": len(both),
        "days_between": max(ages[both]) - min(ages[both]) if both else np.nan,
    }


def test_trees_say_when_there_is_nothing_to_learn_from(tmp_path: Path) -> None:
    write_events(tmp_path, [("u1", "a", END - DAY, "purchase")])
    log = EventLog(str(tmp_path), ["a", "b"], end=END, event_types=("purchase",))
    with pytest.raises(ValueError, match="found 0 candidates there and 0 bought; take 'trees' out of the rivals"):
        Trees().fit(log)
