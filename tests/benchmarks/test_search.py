"""The measures of the search benchmark beside `ir_measures`, and the slips of the keyboard."""

import ir_measures
import numpy as np
import pytest
from ir_measures import R, nDCG

from benchmarks.search_judgments import GAINS, NDCG, RECALL, Judgments, misspelt


def test_measures_are_those_of_ir_measures() -> None:
    generator = np.random.default_rng(0)
    gains = generator.choice([0.0, *GAINS.values()], size=(6, 300))
    scores = generator.permuted(np.tile(np.arange(300, dtype=np.float32), (6, 1)), axis=1)
    found = Judgments([f"q{line}" for line in range(6)], gains).measure(scores)
    graded = [ir_measures.Qrel(str(line), str(item), int(100 * gains[line, item])) for line, item in np.ndindex(6, 300)]
    exact = [ir_measures.Qrel(qrel.query_id, qrel.doc_id, int(qrel.relevance == 100)) for qrel in graded]
    run = [ir_measures.ScoredDoc(str(line), str(item), float(scores[line, item])) for line, item in np.ndindex(6, 300)]
    for metric, measure, qrels in ((NDCG, nDCG @ 10, graded), (RECALL, R @ 100, exact)):
        expected = {each.query_id: each.value for each in ir_measures.iter_calc([measure], qrels, run)}
        assert found[metric] == pytest.approx([expected[str(line)] for line in range(6)], abs=1e-9)


def test_each_query_gets_one_slip_and_the_same_seed_the_same() -> None:
    queries = ["red running shoes", "tv 12", "kitchen knives"]
    slipped = misspelt(queries, 1)
    assert slipped == misspelt(queries, 1)
    assert slipped != misspelt(queries, 2)
    assert slipped[1] == "tv 12"
    for query, typed in zip(queries, slipped, strict=True):
        assert sum(a != b for a, b in zip(query.split(), typed.split(), strict=True)) <= 1
