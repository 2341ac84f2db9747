"""What is known of each item, against loops over the events."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ranked_shop import END, ITEMS, interactions_of, random_interactions
from shop_tables import DAY

from trainer.interactions import Interactions
from trainer.ranking.item_statistics import NAMES, item_statistics

EVENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 30).map(lambda n: n * 4 * DAY)))


def slow_statistics(bought: Interactions) -> list[dict[str, float]]:
    found = []
    for item in range(bought.items):
        times: dict[int, list[int]] = {}
        for user, row, moment in zip(bought.users, bought.item_rows, bought.timestamps, strict=True):
            if row == item:
                times.setdefault(int(user), []).append(int(moment))
        found.append(_one_item({user: sorted(moments) for user, moments in times.items()}, bought.end))
    return found


def _one_item(times: dict[int, list[int]], end: int) -> dict[str, float]:
    def since(days: int) -> int:
        return sum(moments[-1] >= end - days * DAY for moments in times.values())

    ever = len(times)
    orders = {user: len(set(moments)) for user, moments in times.items()}
    again = [user for user in times if orders[user] > 1]
    intervals = [(times[user][-1] - times[user][0]) / (orders[user] - 1) / DAY for user in again]
    newcomers = sum(moments[0] >= end - 30 * DAY for moments in times.values())
    every = [moment for moments in times.values() for moment in moments]
    return {
        **{f"buyers_{days}d": since(days) for days in (3, 7, 14, 30, 90)},
        "buyers": ever,
        "trend_week": since(7) / (since(30) + 1) * 30 / 7,
        "trend_month": since(30) / (since(90) + 1) * 3,
        "trend_year": since(30) / (ever + 1),
        "age_days": (end - min(every)) / DAY if every else np.nan,
        "idle_days": (end - max(every)) / DAY if every else np.nan,
        "rebought_share": len(again) / ever if ever else np.nan,
        "orders_per_buyer": sum(orders.values()) / ever if ever else np.nan,
        "interval_days": float(np.median(intervals)) if intervals else np.nan,
        "newcomer_share": newcomers / (since(30) + 1),
    }


def check(bought: Interactions) -> None:
    table, slow = item_statistics(bought), slow_statistics(bought)
    assert table.dtype == np.float32
    expected = np.array([[line[name] for name in NAMES] for line in slow])
    np.testing.assert_allclose(table, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_statistics_are_what_loops_over_the_events_find(seed: int) -> None:
    check(random_interactions(seed, events=(500, 60, 5, 1)[seed]))


@settings(max_examples=60, deadline=None)
@given(EVENTS)
def test_statistics_of_any_few_events(events: list[tuple[int, int, int]]) -> None:
    check(interactions_of(events, users=4, items=5))


def test_an_item_that_was_never_sold_and_a_log_without_events() -> None:
    never = dict(zip(NAMES, item_statistics(random_interactions())[ITEMS - 1], strict=True))
    assert never["buyers"] == never["trend_year"] == never["newcomer_share"] == 0.0
    assert np.isnan([never[name] for name in ("age_days", "idle_days", "rebought_share", "interval_days")]).all()
    empty = item_statistics(interactions_of([]))
    assert empty.shape == (ITEMS, len(NAMES))
    np.testing.assert_equal(empty, np.broadcast_to(np.array(list(never.values())), empty.shape))


def test_lines_of_one_moment_are_one_order() -> None:
    statistics = item_statistics(interactions_of([(0, 0, DAY), (0, 0, DAY), (1, 0, DAY), (1, 0, 11 * DAY)]))
    known = dict(zip(NAMES, statistics[0], strict=True))
    assert known["orders_per_buyer"] == 1.5
    assert known["rebought_share"] == 0.5
    assert known["interval_days"] == 10.0


def test_what_happens_at_or_after_the_moment_changes_nothing() -> None:
    bought = random_interactions()
    moment = END - 50 * DAY
    early = bought.timestamps < moment
    kept = zip(bought.users[early], bought.item_rows[early], END - bought.timestamps[early], strict=True)
    other = interactions_of([*kept, *[(user, user, 50 * DAY) for user in range(9)]])
    np.testing.assert_equal(item_statistics(bought.before(moment)), item_statistics(other.before(moment)))
