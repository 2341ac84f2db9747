"""BM25 as a rival of searches, and what the report says of searches."""

from pathlib import Path

import numpy as np
from shop_tables import DAY, case, write_cases, write_events, write_items

from trainer.baselines import create_rankers
from trainer.cases import Cases, read_cases
from trainer.evaluation.searches import search_slices, zero_result_rates
from trainer.event_log import EventLog

ITEMS = ["a", "b", "c", "d"]
TITLES = ["red shoes", "blue shoe, red laces", "knife", "red knives"]
END = 100 * DAY


def _cases(folder: Path, *queries: str) -> Cases:
    write_cases(folder, test=[case(task="search", query=query, truth=["a"]) for query in queries])
    return read_cases(str(folder), ITEMS)[1]


def test_bm25_ranks_by_words_and_else_by_popularity(tmp_path: Path) -> None:
    events = [("u", item, END - DAY, "purchase") for item in ["d", "d", "d", "c", "c", "b"]]
    write_events(tmp_path, events)
    write_items(tmp_path, [{"item_id": item, "title": title} for item, title in zip(ITEMS, TITLES, strict=True)])
    [ranker] = create_rankers(["bm25"])
    ranker.fit(EventLog(str(tmp_path), ITEMS, end=END, event_types=("purchase",)))
    cases = _cases(tmp_path, "the red shoe", "knives", "unheard of", "")
    ranked = ranker.rank(cases, 4, [np.zeros(0, np.int64)] * 3 + [np.array([3])])
    assert ranked[0].tolist()[:2] == [0, 1]
    assert sorted(ranked[1].tolist()[:2]) == [2, 3]
    assert ranked[2].tolist() == [3, 2, 1, 0]
    assert ranked[3].tolist() == [2, 1, 0, -1]
    assert len(ranker.rank(cases.select(np.zeros(4, np.bool_)), 4, [])) == 0


def test_bm25_without_texts_is_popularity(tmp_path: Path) -> None:
    write_events(tmp_path, [("u", "c", END - DAY, "purchase")])
    write_items(tmp_path, [{"item_id": item} for item in ITEMS])
    [ranker] = create_rankers(["bm25"])
    ranker.fit(EventLog(str(tmp_path), ITEMS, end=END, event_types=("purchase",)))
    assert ranker.rank(_cases(tmp_path, "red"), 2, [np.zeros(0, np.int64)]).tolist() == [[2, 0]]


def test_searches_are_cut_by_length_and_class(tmp_path: Path) -> None:
    cases = _cases(tmp_path, "shoes", "red shoes", "size 10 red shoes", "shoes without laces", "shoes for red people")
    found = {(part.by, part.name): np.flatnonzero(part.keep).tolist() for part in search_slices(cases)}
    assert found == {
        ("words of the query", "1"): [0],
        ("words of the query", "2"): [1],
        ("words of the query", "3"): [3],
        ("words of the query", "4 or more"): [2, 4],
        ("class of the query", "with a number"): [2],
        ("class of the query", "says what not"): [3],
        ("class of the query", "words only"): [0, 1, 4],
    }
    assert search_slices(cases.select(np.array([True, False, False, False, False]))) == []


def test_zero_results_are_answers_without_an_item() -> None:
    ranked = {"model": np.array([[1, 2], [3, -1]]), "rival": np.array([[-1, -1], [3, -1]])}
    assert zero_result_rates(ranked) == {"model": 0.0, "rival": 0.5}
