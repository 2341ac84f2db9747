"""Histories summed up, against loops over lists of events."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from ranked_shop import ITEMS, Event, pieces_of, random_histories, request_of

from trainer.ranking.purchases import Purchases, customer_columns, sum_up, visit_counts

PRICES = np.where(np.arange(ITEMS) % 4 == 0, np.nan, np.arange(ITEMS) / 7 - 1).astype(np.float32)
UNPRICED: list[list[Event]] = [[(0, "purchase", 1.0), (4, "purchase", 1.0)], [(1, "purchase", 2.0)]]
EMPTY: dict[str, list[list[Event]]] = {
    "no event at all": [[], [], []],
    "only unknown items": [[(-1, "purchase", 1.0)], []],
    "nothing bought": [[(3, "view", 1.0), (4, "click", 2.0)]],
}


def is_bought(event: Event) -> bool:
    return event[1] == "purchase" and event[0] >= 0


def ages_by_item(history: list[Event], counts: Callable[[Event], bool]) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for event in history:
        if counts(event):
            found.setdefault(event[0], []).append(event[2])
    return found


def slow_pair(row: int, ages: list[float], newest: float) -> dict[str, float]:
    orders = len(set(ages))
    return {
        "lines": len(ages),
        "pieces": pieces_of(row) * len(ages),
        "orders": orders,
        "first_days": max(ages),
        "last_days": min(ages),
        "interval_days": (max(ages) - min(ages)) / (orders - 1) if orders > 1 else np.nan,
        "last_order": float(min(ages) <= newest + 1.0),
        **{f"left_{days}d": min(sum(0.5 ** (age / days) for age in ages), 1.0) for days in (20, 60, 90)},
    }


def slow_customer(pairs: dict[int, list[float]], names: list[str]) -> dict[str, float]:
    if not pairs:
        return dict.fromkeys(names, np.nan)
    every = [age for ages in pairs.values() for age in ages]
    levels = [PRICES[row] for row in pairs if np.isfinite(PRICES[row])]
    orders = [len(set(ages)) for ages in pairs.values()]
    recent = sum(min(ages) <= 90 for ages in pairs.values())
    return {
        "customer_items": len(pairs),
        "customer_lines": len(every),
        "customer_pieces_per_line": sum(pieces_of(row) * len(ages) for row, ages in pairs.items()) / len(every),
        "customer_idle_days": min(every),
        "customer_age_days": max(every),
        "customer_price": np.mean(levels) if levels else np.nan,
        "customer_price_spread": np.std(levels) if levels else np.nan,
        "customer_rebuys": sum(count > 1 for count in orders) / len(pairs),
        "customer_orders_per_item": sum(orders) / len(pairs),
        "customer_tries": sum(max(ages) <= 90 for ages in pairs.values()) / recent if recent else 0.0,
        "customer_last_order": sum(min(ages) <= min(every) + 1 for ages in pairs.values()),
    }


def purchases_of(histories: list[list[Event]], width: int | None = None) -> tuple[Purchases, dict[str, np.ndarray]]:
    request = request_of(histories, width=width)
    found = sum_up(request, tf.equal(request.history_types, "purchase"), ITEMS)
    columns = customer_columns(request, found, tf.constant(PRICES), ITEMS)
    return found, {name: column.numpy() for name, column in columns.items()}


def check(histories: list[list[Event]], width: int | None = None) -> None:
    found, customers = purchases_of(histories, width)
    expected, cells = [], []
    for line, history in enumerate(histories):
        pairs = ages_by_item(history, is_bought)
        newest = min((age for ages in pairs.values() for age in ages), default=np.nan)
        expected += [slow_pair(row, ages, newest) for row, ages in pairs.items()]
        cells += [line * ITEMS + row for row in pairs]
        customer = {name: column[line] for name, column in customers.items()}
        assert customer == pytest.approx(slow_customer(pairs, list(customers)), rel=1e-4, abs=2e-3, nan_ok=True)
    assert found.cells.numpy().tolist() == cells
    assert found.lines.numpy().tolist() == [cell // ITEMS for cell in cells]
    for name, column in found.values.items():
        np.testing.assert_allclose(column, [pair[name] for pair in expected], rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("seed", range(6))
def test_histories_are_summed_up_as_loops_do(seed: int) -> None:
    check(random_histories(seed, longest=(20, 20, 60, 3, 1, 40)[seed]))


def test_pads_change_nothing() -> None:
    check(random_histories(1), width=33)


def test_the_price_level_of_a_customer_whose_items_have_none_is_missing() -> None:
    check(UNPRICED)
    _, customers = purchases_of(UNPRICED)
    assert np.isnan(customers["customer_price"]).tolist() == [True, False]


@pytest.mark.parametrize("histories", EMPTY.values(), ids=EMPTY)
def test_batches_with_nothing_to_sum_up(histories: list[list[Event]]) -> None:
    check(histories)
    check(histories, width=4)
    found, customers = purchases_of(histories)
    assert found.cells.shape == (0,)
    assert all(np.isnan(column).all() for column in customers.values())


@pytest.mark.parametrize("histories", [random_histories(2), *EMPTY.values()], ids=["random", *EMPTY])
def test_visits_are_the_distinct_moments_of_purchases(histories: list[list[Event]]) -> None:
    request = request_of(histories, width=25)
    chosen = tf.equal(request.history_types, "purchase") & (request.history_rows >= 0)
    expected = [len({event[2] for event in history if is_bought(event)}) for history in histories]
    assert visit_counts(request, chosen).numpy().tolist() == expected


def test_an_item_twice_in_an_order_is_one_order_and_twice_a_line() -> None:
    found, customers = purchases_of([[(3, "purchase", 2.0), (5, "purchase", 2.0), (3, "purchase", 2.0)]])
    assert found.values["lines"].numpy().tolist() == [2, 1]
    assert found.values["orders"].numpy().tolist() == [1, 1]
    assert customers["customer_rebuys"].tolist() == [0]
