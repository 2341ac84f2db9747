"""Which items are proposed: each once, only what is allowed, and everything where all is asked for."""

from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from ranked_shop import (
    ITEMS,
    evidence_of,
    knowledge_of,
    random_histories,
    random_interactions,
    ranked_config,
    request_of,
)

from trainer.ranking.candidates import propose
from trainer.ranking.knowledge import Knowledge
from trainer.ranking.pair_features import TOGETHER, Evidence

LINES = 7


@cache
def shop(**candidates: Any) -> tuple[Knowledge, Any]:
    config = ranked_config(candidates=candidates).ranking
    return knowledge_of(random_interactions(), ranked_config(candidates=candidates)), config.candidates


def asked(knowledge: Knowledge, seed: int) -> tuple[Evidence, list[set[int]]]:
    histories = random_histories(seed, LINES)
    own = [{row for row, kind, _ in line if kind == "purchase" and row >= 0} for line in histories]
    return evidence_of(request_of(histories), knowledge), own


def proposed(evidence: Evidence, knowledge: Knowledge, allowed: np.ndarray, count: int, config: Any) -> list[list[int]]:
    scores = tf.where(allowed, evidence.towers, -np.inf)
    rows = propose(evidence, knowledge, scores, tf.constant(count), config).numpy()
    assert rows.dtype == np.int64
    assert (np.diff(rows, axis=1) >= 0).all()
    return [line[line >= 0].tolist() for line in rows]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 50),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    count=st.integers(1, ITEMS),
    sizes=st.sampled_from([(1, 0, 0, 0), (3, 2, 4, 2), (150, 150, 50, 256)]),
)
def test_each_once_nothing_forbidden_and_enough(
    seed: int, share: float, count: int, sizes: tuple[int, int, int, int]
) -> None:
    knowledge, config = shop(**dict(zip(("tower", "copurchase", "popular", "history"), sizes, strict=True)))
    evidence, own = asked(knowledge, seed)
    allowed = np.random.default_rng(seed).random((LINES, ITEMS)) < share
    for line, rows in enumerate(proposed(evidence, knowledge, allowed, count, config)):
        assert len(set(rows)) == len(rows)
        assert allowed[line, rows].all()
        assert len(rows) >= min(count, allowed[line].sum())
        scores = np.where(allowed[line], evidence.towers.numpy()[line], -np.inf)
        best = np.argsort(-scores, kind="stable")[: max(count, sizes[0])]
        assert set(best[np.isfinite(scores[best])].tolist()) <= set(rows)
        if sizes[3] >= ITEMS:
            assert {row for row in own[line] if allowed[line, row]} <= set(rows)


def test_all_that_is_allowed_where_the_answer_needs_all() -> None:
    knowledge, config = shop(tower=1, copurchase=0, popular=0, history=0)
    evidence, _ = asked(knowledge, 5)
    allowed = np.random.default_rng(1).random((LINES, ITEMS)) < 0.6
    found = proposed(evidence, knowledge, allowed, ITEMS, config)
    assert found == [np.flatnonzero(line).tolist() for line in allowed]


def test_each_source_proposes_its_best() -> None:
    everything = np.ones((LINES, ITEMS), bool)
    knowledge, config = shop(tower=1, copurchase=3, popular=0, history=0)
    evidence, own = asked(knowledge, 2)
    towers, votes = evidence.towers.numpy(), evidence.votes.numpy()[:, TOGETHER].reshape(LINES, ITEMS)
    for line, rows in enumerate(proposed(evidence, knowledge, everything, 1, config)):
        fresh = [
            row for row in np.argsort(-votes[line], kind="stable") if row not in own[line] and votes[line, row] > 0
        ]
        assert set(rows) == {int(np.argmax(towers[line])), *fresh[:3]}
    knowledge, config = shop(tower=1, copurchase=0, popular=4, history=0)
    evidence, _ = asked(knowledge, 2)
    popular = _most_bought_last_month()
    for line, rows in enumerate(proposed(evidence, knowledge, everything, 1, config)):
        assert set(rows) == {int(np.argmax(towers[line])), *popular[:4]}


def _most_bought_last_month() -> list[int]:
    bought = random_interactions()
    ages = (bought.end - bought.timestamps) / 86_400
    month = [len(set(bought.users[(bought.item_rows == row) & (ages <= 30)])) for row in range(ITEMS)]
    ever = [len(set(bought.users[bought.item_rows == row])) for row in range(ITEMS)]
    return sorted(range(ITEMS), key=lambda row: (-month[row], -ever[row]))


def test_of_a_long_history_the_newest_items_are_proposed() -> None:
    knowledge, config = shop(tower=1, copurchase=0, popular=0, history=2)
    history = [(4, "purchase", 1.0), (9, "view", 1.5), (4, "purchase", 2.0), (7, "purchase", 3.0), (8, "purchase", 4.0)]
    evidence = evidence_of(request_of([history]), knowledge)
    [rows] = proposed(evidence, knowledge, np.ones((1, ITEMS), bool), 1, config)
    assert set(rows) == {4, 7, int(np.argmax(evidence.towers[0]))}
