"""Counts of result sets against counting one item after the other."""

import itertools
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from small_answers import ITEMS, small_attributes

from trainer.rules.attributes import ItemAttributes
from trainer.rules.facets import MOST_RANGES, STARS, Facets, price_ranges

ATTRIBUTES = small_attributes()


@pytest.fixture(scope="module")
def facets() -> tf.types.experimental.PolymorphicFunction:
    counted = Facets(ATTRIBUTES)
    specs = [tf.TensorSpec([None, ITEMS], tf.bool), tf.TensorSpec([None], tf.int32)]
    return tf.function(counted.count, input_signature=specs)


def _listed(found: dict[str, np.ndarray], name: str, line: int) -> list[tuple[str, int]]:
    pairs = zip(found[f"{name}_values"][line], found[f"{name}_counts"][line], strict=True)
    return [(value.decode(), int(count)) for value, count in pairs if value]


def _commonest(values: Counter[str], size: int) -> list[tuple[str, int]]:
    return sorted(values.items(), key=lambda each: (-each[1], each[0]))[:size]


@settings(max_examples=30, deadline=None)
@given(
    sets=st.lists(st.sets(st.integers(0, ITEMS - 1)), min_size=1, max_size=3),
    size=st.integers(1, 8),
)
def test_counts_are_those_of_counting(facets: tf.types.experimental.PolymorphicFunction, sets: list, size: int) -> None:
    marks = np.zeros((len(sets), ITEMS), bool)
    for line, rows in enumerate(sets):
        marks[line, list(rows)] = True
    sizes = [size] * (len(sets) - 1) + [2]
    found = {name: values.numpy() for name, values in facets(tf.constant(marks), tf.constant(sizes)).items()}
    for line, rows in enumerate(sets):
        paths = [ATTRIBUTES.categories[row].split(" > ") for row in rows if ATTRIBUTES.categories[row]]
        inside = Counter(" > ".join(path[:end]) for path in paths for end in range(1, len(path) + 1))
        brands = Counter(ATTRIBUTES.brands[row] for row in rows if ATTRIBUTES.brands[row])
        assert found["total"][line] == len(rows)
        assert _listed(found, "category", line) == _commonest(inside, sizes[line])
        assert _listed(found, "brand", line) == _commonest(brands, sizes[line])
        chosen = np.array(sorted(rows), np.int64)
        prices = ATTRIBUTES.prices[chosen]
        ends = [*found["price_from"][line], np.inf]
        for (start, end), count in zip(itertools.pairwise(ends), found["price_counts"][line], strict=True):
            assert count == ((prices > 0) & (prices >= start) & (prices < end)).sum()
        stars = ATTRIBUTES.ratings[chosen]
        assert found["rating_counts"][line].tolist() == [(stars >= least).sum() for least in STARS]
        assert found["in_stock_count"][line] == (~(ATTRIBUTES.stock[chosen] <= 0)).sum()


def test_a_shop_without_columns_counts_only_items() -> None:
    nothing, unknown = np.full(3, "", object), np.full(3, np.nan, np.float32)
    facets = Facets(ItemAttributes(np.zeros(3, np.float32), nothing, nothing, unknown))
    found = facets.count(tf.constant([[True, False, True]]), tf.constant([5]))
    assert {name: values.numpy().tolist() for name, values in found.items()} == {"total": [2]}


def test_a_size_of_nothing_is_refused(facets: tf.types.experimental.PolymorphicFunction) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="facet_size must be at least 1"):
        facets(tf.zeros([1, ITEMS], tf.bool), tf.constant([0]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1e6, width=32), max_size=30))
def test_ranges_of_prices_are_few_and_round(prices: list[float]) -> None:
    starts = price_ranges(np.array(prices, np.float32))
    assert starts[0] == 0.0
    assert len(starts) <= MOST_RANGES
    assert all(low < high for low, high in itertools.pairwise(starts))
    assert all(f"{start:.9e}".split("e")[0].rstrip("0.") in ("1", "2", "5") for start in starts[1:])
