"""The list metrics against naive loops, by hand and by their invariants."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from trainer import metrics
from trainer.metrics import ItemTraits, Lists, Past
from trainer.metrics.lists import LIST_METRICS

ITEMS, GROUPS, DEPTH = 40, 6, 12
Plain = list[list[int]]


def _items(seed: int, *, vectors: bool = True) -> ItemTraits:
    generator = np.random.default_rng(seed)
    drawn = generator.normal(size=(ITEMS, 5)).astype(np.float32)
    unit = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    counts, groups = generator.integers(0, 30, ITEMS), generator.integers(0, GROUPS, ITEMS)
    return ItemTraits(counts, groups, unit if vectors else None)


def _past(seed: int, cases: int) -> Past:
    generator = np.random.default_rng(seed)
    seen = [generator.choice(ITEMS, generator.integers(0, 9), replace=False) for _ in range(cases)]
    truth = [generator.choice(ITEMS, generator.integers(1, 9), replace=False) for _ in range(cases)]
    return Past(seen, [generator.integers(1, 5, len(rows)) for rows in seen], truth)


def _ranked(seed: int, cases: int) -> np.ndarray:
    """Lists without repetition; some end early."""
    generator = np.random.default_rng(seed)
    ranked = np.stack([generator.permutation(ITEMS)[:DEPTH] for _ in range(cases)])
    lengths = generator.integers(0, DEPTH + 1, cases)
    lengths[0] = DEPTH
    return np.where(np.arange(DEPTH) < lengths[:, np.newaxis], ranked, -1)


def _lists(ranked: np.ndarray, k: int) -> Plain:
    return [[int(row) for row in line[:k] if row >= 0] for line in ranked]


def _coverage(lists: Plain, items: ItemTraits, past: Past) -> float:
    return len({row for each in lists for row in each}) / ITEMS


def _novelty(lists: Plain, items: ItemTraits, past: Past) -> float:
    total = sum(count + 1 for count in items.counts)
    return float(np.mean([-math.log2((items.counts[row] + 1) / total) for each in lists for row in each]))


def _diversity(lists: Plain, items: ItemTraits, past: Past) -> float:
    means = []
    for each in lists:
        pairs = list(itertools.combinations(each, 2))
        if not pairs:
            continue
        if items.vectors is None:
            means.append(np.mean([items.groups[one] != items.groups[other] for one, other in pairs]))
        else:
            means.append(np.mean([1 - float(items.vectors[one] @ items.vectors[other]) for one, other in pairs]))
    return float(np.mean(means))


def _personalisation(lists: Plain, items: ItemTraits, past: Past) -> float:
    longest = max(map(len, lists))
    overlaps = [len(set(one) & set(other)) / longest for one, other in itertools.combinations(lists, 2)]
    return 1 - float(np.mean(overlaps))


def _popularity_bias(lists: Plain, items: ItemTraits, past: Past) -> float:
    given = np.mean([np.mean([items.counts[row] for row in each]) for each in lists if each])
    taken = np.mean([np.mean([items.counts[row] for row in rows]) for rows in past.truth])
    return float(given / taken)


def _calibration(lists: Plain, items: ItemTraits, past: Past) -> float:
    found = []
    for each, seen, counts in zip(lists, past.seen, past.seen_counts, strict=True):
        if not each or not len(seen):
            continue
        had: Counter[int] = Counter()
        for row, count in zip(seen, counts, strict=True):
            had[int(items.groups[row])] += int(count)
        given = Counter(int(items.groups[row]) for row in each)
        divergence = 0.0
        for group, count in had.items():
            p = count / sum(had.values())
            q = 0.99 * given[group] / len(each) + 0.01 * p
            divergence += p * math.log(p / q)
        found.append(divergence)
    return float(np.mean(found))


ORACLES = {
    "coverage": _coverage,
    "novelty": _novelty,
    "diversity": _diversity,
    "personalisation": _personalisation,
    "popularity_bias": _popularity_bias,
    "calibration": _calibration,
}


@pytest.mark.parametrize("k", [1, 2, 5, 12, 20])
@pytest.mark.parametrize("vectors", [True, False])
@pytest.mark.parametrize("cases", [25, 1100])
def test_every_list_metric_agrees_with_loops(k: int, vectors: bool, cases: int) -> None:
    cases = cases if k == 5 else 25  # more than one block of lists, once
    items, past, ranked = _items(1, vectors=vectors), _past(2, cases), _ranked(3, cases)
    found = metrics.measure_lists(Lists(ranked, items, past), [k])
    assert set(ORACLES) == set(LIST_METRICS) == {name.split("@")[0] for name in found}
    for name, oracle in ORACLES.items():
        if name == "diversity" and k == 1:
            assert math.isnan(found["diversity@1"])
            continue
        if name == "personalisation" and cases > 100:
            continue  # half a million pairs; the other sizes compare them
        assert found[f"{name}@{k}"] == pytest.approx(oracle(_lists(ranked, k), items, past), abs=1e-6), name


def test_the_same_list_for_everybody() -> None:
    items, past = _items(4), _past(5, 6)
    same = np.tile(np.arange(DEPTH), (6, 1))
    found = metrics.measure_lists(Lists(same, items, past), [DEPTH])
    assert found[f"personalisation@{DEPTH}"] == pytest.approx(0.0)
    assert found[f"coverage@{DEPTH}"] == DEPTH / ITEMS
    apart = np.arange(36).reshape(6, 6)
    assert metrics.measure_lists(Lists(apart, items, past), [6])["personalisation@6"] == 1.0


def test_a_list_like_the_past_is_calibrated_and_as_popular_as_the_truth() -> None:
    items = _items(6)
    rows = np.arange(8)
    past = Past([rows], [np.ones(8, np.int64)], [rows])
    found = metrics.measure_lists(Lists(rows[np.newaxis], items, past), [8])
    assert found["calibration@8"] == pytest.approx(0.0, abs=1e-12)
    assert found["popularity_bias@8"] == pytest.approx(1.0)


def test_what_is_not_defined_is_nan() -> None:
    items, past = _items(7), Past([np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.array([1])])
    nothing = metrics.measure_lists(Lists(np.full((1, 3), -1), items, past), [3])
    assert nothing.pop("coverage@3") == 0.0
    assert all(math.isnan(value) for value in nothing.values())
    one = metrics.measure_lists(Lists(np.array([[4, 5, -1]]), items, past), [3])
    assert {name for name, value in one.items() if math.isnan(value)} == {"personalisation@3", "calibration@3"}
