"""The ranking metrics against `ir_measures`, by hand and by their invariants."""

import math

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, P, R, Success, nDCG

from trainer import metrics

DEPTH = 30


def _random_cases(seed: int, cases: int = 60, items: int = 50) -> tuple[np.ndarray, list[np.ndarray]]:
    generator = np.random.default_rng(seed)
    ranked = np.stack([generator.permutation(items)[:DEPTH] for _ in range(cases)])
    truth = [generator.choice(items, size=generator.integers(1, 40), replace=False) for _ in range(cases)]
    return ranked, truth


def _by_ir_measures(measure, ranked: np.ndarray, truth: list[np.ndarray]) -> np.ndarray:
    qrels = [ir_measures.Qrel(str(case), str(item), 1) for case, items in enumerate(truth) for item in items]
    run = [
        ir_measures.ScoredDoc(str(case), str(item), float(DEPTH - place))
        for case, row in enumerate(ranked)
        for place, item in enumerate(row)
    ]
    values = {int(each.query_id): each.value for each in ir_measures.iter_calc([measure], qrels, run)}
    return np.array([values[case] for case in range(len(truth))])


@pytest.mark.parametrize("k", [1, 5, 10, 20, 30])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_metric_agrees_with_ir_measures(seed: int, k: int) -> None:
    ranked, truth = _random_cases(seed)
    sizes = np.array([len(items) for items in truth])
    ours = metrics.measure(ranked, truth, [f"{name}@{k}" for name in metrics.METRICS])
    theirs = {
        f"ndcg@{k}": _by_ir_measures(nDCG @ k, ranked, truth),
        f"mrr@{k}": _by_ir_measures(RR @ k, ranked, truth),
        f"hit_rate@{k}": _by_ir_measures(Success @ k, ranked, truth),
        # hits / min(k, |truth|) is the larger of hits / |truth| and hits / k.
        f"recall@{k}": np.maximum(_by_ir_measures(R @ k, ranked, truth), _by_ir_measures(P @ k, ranked, truth)),
        # There average precision is divided by |truth|, so a perfect list of k items could not reach 1.
        f"map@{k}": _by_ir_measures(AP @ k, ranked, truth) * sizes / np.minimum(sizes, k),
    }
    assert set(ours) == set(theirs)
    for name, expected in theirs.items():
        np.testing.assert_allclose(ours[name], expected, rtol=0, atol=1e-9, err_msg=name)


def test_by_hand() -> None:
    ranked = np.array([["a", "b", "c"], ["x", "y", ""]])
    values = metrics.measure(ranked, [["b", "q"], ["z"]], ["recall@1", "recall@3", "ndcg@3", "mrr@3", "hit_rate@1"])
    assert values["recall@1"].tolist() == [0.0, 0.0]
    assert values["recall@3"].tolist() == [0.5, 0.0]
    assert values["ndcg@3"][0] == pytest.approx((1 / math.log2(3)) / (1 + 1 / math.log2(3)))
    assert values["mrr@3"].tolist() == [0.5, 0.0]
    assert values["hit_rate@1"].tolist() == [0.0, 0.0]


def test_strings_of_any_length_and_rows_give_the_same() -> None:
    ranked, truth = _random_cases(3)
    names = np.array(["item" * (row % 5) + str(row) for row in range(50)])
    by_row = metrics.measure(ranked, truth, ["ndcg@20", "recall@20"])
    by_name = metrics.measure(names[ranked], [names[items] for items in truth], ["ndcg@20", "recall@20"])
    for name, values in by_row.items():
        np.testing.assert_array_equal(values, by_name[name])


def test_ids_far_apart_give_the_same_as_rows() -> None:
    ranked, truth = _random_cases(4)
    far = np.random.default_rng(4).choice(2**62, 50, replace=False)
    by_row = metrics.measure(ranked, truth, ["ndcg@20"])["ndcg@20"]
    by_id = metrics.measure(far[ranked], [far[items] for items in truth], ["ndcg@20"])["ndcg@20"]
    np.testing.assert_array_equal(by_row, by_id)


def test_repeated_answers_and_repeated_truth_count_once() -> None:
    once = metrics.measure([[4, 7, 9]], [[4, 7]], ["recall@3", "ndcg@3"])
    again = metrics.measure([[4, 4, 7]], [[4, 7, 7]], ["recall@3", "ndcg@3"])
    assert once["recall@3"].tolist() == again["recall@3"].tolist() == [1.0]
    assert again["ndcg@3"][0] < once["ndcg@3"][0] == pytest.approx(1.0)


def test_pads_are_no_hits_even_when_the_truth_names_them() -> None:
    assert metrics.measure([[-1, -1]], [[-1]], ["hit_rate@2"])["hit_rate@2"].tolist() == [0.0]
    assert metrics.measure([["", "b"]], [[""]], ["hit_rate@2"])["hit_rate@2"].tolist() == [0.0]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 25))
def test_invariants(seed: int, k: int) -> None:
    ranked, truth = _random_cases(seed, cases=8, items=40)
    perfect = [np.concatenate([items, np.setdiff1d(np.arange(40), items)]) for items in truth]
    names = [f"{name}@{k}" for name in metrics.METRICS]
    best = metrics.measure(np.stack(perfect), truth, names)
    for name, values in metrics.measure(ranked, truth, names).items():
        assert ((values >= 0) & (values <= best[name])).all(), name
        np.testing.assert_allclose(best[name], 1.0)
    # Moving a hit one place up never makes ndcg worse.
    swapped = ranked.copy()
    hits = metrics.find_hits(ranked, truth).at
    for row in range(len(ranked)):
        places = np.flatnonzero(hits[row, 1:] & ~hits[row, :-1])
        if len(places):
            swapped[row, places[0]], swapped[row, places[0] + 1] = ranked[row, places[0] + 1], ranked[row, places[0]]
    before, after = (metrics.measure(each, truth, [f"ndcg@{k}"])[f"ndcg@{k}"] for each in (ranked, swapped))
    assert (after >= before - 1e-12).all()


def test_a_ranking_shorter_than_k() -> None:
    values = metrics.measure(
        np.zeros((2, 0), np.int64), [[1], [2]], ["recall@5", "ndcg@5", "mrr@5", "hit_rate@5", "map@5"]
    )
    assert all(each.tolist() == [0.0, 0.0] for each in values.values())
    assert metrics.measure([[3]], [[3, 4]], ["recall@5"])["recall@5"].tolist() == [0.5]


def test_no_cases() -> None:
    assert metrics.measure(np.zeros((0, 5), np.int64), [], ["ndcg@5"])["ndcg@5"].shape == (0,)


@pytest.mark.parametrize("name", ["ndcg", "ndcg@0", "ndcg@", "precision@10", "recall@-1", "NDCG@5"])
def test_unknown_metrics_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="recall, ndcg, mrr, hit_rate, map"):
        metrics.parse_metric(name)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="empty truth"):
        metrics.find_hits([[1], [2]], [[1], []])
    with pytest.raises(ValueError, match="one truth a case"):
        metrics.find_hits([[1]], [[1], [2]])
