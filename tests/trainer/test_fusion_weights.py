"""The weights of words, meaning and feedback, learned: the loss beside plain loops, and planted shops."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from pipeline.config import SearchConfig
from trainer.lexical.fusion import FusionWeights
from trainer.lexical.fusion_evidence import Evidence
from trainer.lexical.fusion_fitting import PRIOR, fit, loss, to_logs
from trainer.lexical.made_searches import FEWEST_WORDS, MOST_WORDS, made_searches, without
from trainer.lexical.texts import ItemTexts

PARTS = ("first", "second", "meaning", "feedback")
START = FusionWeights((0.15, 0.15), 0.7, 1.0)


def evidence(seed: int, searches: int = 12, items: int = 9) -> Evidence:
    generator = np.random.default_rng(seed)
    queries, vectors, means = (generator.normal(size=(count, 5)) for count in (searches, items, searches))
    queries, vectors = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (queries, vectors))
    return Evidence(
        words=generator.random((searches, 2, items)).astype(np.float32),
        meaning=queries @ vectors.T,
        feedback=means @ vectors.T,
        overlaps=(queries * means).sum(axis=1),
        squares=(means * means).sum(axis=1),
        rows=generator.integers(items, size=searches),
        weights=generator.uniform(0.5, 3.0, searches),
    )


def plain_loss(logs: np.ndarray, parts: list[Evidence], first: np.ndarray) -> float:
    """The same by one search and one item after the other."""
    *texts, meaning, feedback = np.exp(logs)
    total, summed = 0.0, 0.0
    for part in parts:
        for line, row in enumerate(part.rows):
            length = np.sqrt(1 + 2 * feedback * part.overlaps[line] + feedback**2 * part.squares[line])
            scores = [
                sum(weight * part.words[line, text, item] for text, weight in enumerate(texts))
                + meaning * (part.meaning[line, item] + feedback * part.feedback[line, item]) / length
                for item in range(part.meaning.shape[1])
            ]
            summed -= part.weights[line] * np.log(np.exp(scores[row]) / np.exp(scores).sum())
            total += part.weights[line]
    moved = [new - old for new, old in zip(logs, first, strict=True)]
    ratios = [each - sum(moved[:-1]) / len(moved[:-1]) for each in moved[:-1]]
    return (summed + PRIOR * sum(each**2 for each in (*ratios, moved[-1]))) / total


def test_the_loss_is_that_of_plain_loops_and_its_gradient_its_slope() -> None:
    parts, first = [evidence(0), evidence(1, searches=5)], to_logs(START)
    for seed in range(3):
        logs = first + np.random.default_rng(seed).normal(scale=0.5, size=4)
        value, gradient = loss(logs, parts, first)
        assert value == pytest.approx(plain_loss(logs, parts, first), abs=1e-6)
        slopes = approx_fprime(logs, lambda at: loss(at, parts, first)[0], 1e-6)
        np.testing.assert_allclose(gradient, slopes, atol=1e-4)


def planted(speaks: str, searches: int) -> Evidence:
    """Searches of which one part tells the right item."""
    noise = evidence(5, searches=searches, items=30)
    right = np.zeros((searches, 30), np.float32)
    right[np.arange(searches), noise.rows] = 1.0
    if speaks in PARTS[:2]:
        words = noise.words.copy()
        place = PARTS.index(speaks)
        words[:, place] = 0.5 * words[:, place] + 0.5 * right
        return replace(noise, words=words)
    return replace(noise, **{speaks: getattr(noise, speaks) + 0.6 * right})


def shares(weights: FusionWeights) -> dict[str, float]:
    return dict(zip(PARTS, (*weights.texts, weights.meaning, weights.feedback), strict=True))


@pytest.mark.parametrize("speaks", PARTS)
def test_what_finds_the_right_items_counts_more(speaks: str) -> None:
    found, before = shares(fit([planted(speaks, 400)], START)), shares(START)
    assert sum(found[each] for each in PARTS[:3]) == pytest.approx(1.0)
    assert found[speaks] > 1.15 * before[speaks]
    if speaks != "feedback":
        assert all(found[other] < before[other] for other in PARTS[:3] if other != speaks)


def test_a_few_searches_hardly_move_what_is_known() -> None:
    few, many = (shares(fit([planted("first", searches)], START)) for searches in (2, 400))
    assert abs(few["first"] - 0.15) < 0.05 < many["first"] - 0.15


def test_fixed_weights_share_what_words_count() -> None:
    assert FusionWeights.fixed(SearchConfig(words_weight=0.4), 2) == FusionWeights((0.2, 0.2), 0.6, 1.0)
    assert FusionWeights.fixed(SearchConfig(), 0) == FusionWeights((), 1.0, 0.0)


def test_searches_are_words_of_titles_and_titles_then_say_nothing() -> None:
    titles = ["one two three four five six seven", "alone", "", "said by nothing else"]
    columns = {"title": np.array(titles, object), "description": np.array(["text", "text", "text", ""], object)}
    texts = ItemTexts(np.array(["a", "b", "c", "d"], object), columns, (("title",), ("title", "description")))
    lengths = set()
    for seed in range(20):
        queries, rows = made_searches(texts, "title", 9, seed)
        assert (queries, rows.tolist()) == (made_searches(texts, "title", 9, seed)[0], rows.tolist())
        assert sorted(rows) == [0, 1]
        assert all(query in titles[row] for query, row in zip(queries, rows, strict=True))
        lengths.add(len(queries[list(rows).index(0)].split()))
    assert lengths == set(range(FEWEST_WORDS, MOST_WORDS + 1))
    assert len(made_searches(texts, "title", 1, 0)[0]) == 1
    silent = without(texts, "title")
    assert silent.documents == texts.documents
    assert set(silent.column("title")) == {""}
    assert silent.column("description").tolist() == texts.column("description").tolist()
