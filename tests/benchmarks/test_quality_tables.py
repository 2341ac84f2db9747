"""The quality benchmark's Markdown, number by number."""

import numpy as np
import pytest

from benchmarks.quality_tables import Judged, markdown


@pytest.fixture
def judged() -> Judged:
    generator = np.random.default_rng(0)
    found = Judged(start=1_318_550_400, items=10, counts=np.arange(10))
    names = ["recent_popular", "ease", "trees", found.add_seed(7), found.add_seed(8)]
    for table, cases in (("all", 40), ("new", 30), ("cold", 20)):
        for metric in ("recall@20", "ndcg@20"):
            noise = generator.random(cases) / 10
            levels = (0.1, 0.2, 0.3, 0.36, 0.42)
            found.values[table, metric] = {name: level + noise for name, level in zip(names, levels, strict=True)}
    for place, name in enumerate(names):
        found.lists[name] = np.tile(np.arange(2), (4, 1)) if place == 0 else (np.arange(8).reshape(4, 2) + place) % 10
        found.minutes[name] = float(place)
    return found


def _rows(text: str, name: str) -> list[list[str]]:
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [line for line in lines if line[0] == name]


def test_the_head_says_what_was_measured(judged: Judged) -> None:
    head = markdown(judged).splitlines()[0]
    assert "from 2011-10-14" in head
    assert "40 in all, 30 in new, 20 in cold" in head
    assert "seeds 7, 8" in head


def test_ours_is_the_mean_over_the_seeds(judged: Judged) -> None:
    [row] = _rows(markdown(judged), "aisle")
    values = judged.values["all", "recall@20"]
    mean = (values["aisle, seed 7"].mean() + values["aisle, seed 8"].mean()) / 2
    low, high = (float(word) for word in row[1].split(" (")[1].rstrip(")").split(" to "))
    assert float(row[1].split()[0]) == pytest.approx(mean, abs=1e-4)
    assert low < mean < high
    assert len(row) == 7


def test_margins_are_against_the_best_and_paired(judged: Judged) -> None:
    [row] = _rows(markdown(judged), "new: ndcg@20")
    values = judged.values["new", "ndcg@20"]
    ours = (values["aisle, seed 7"] + values["aisle, seed 8"]) / 2
    assert row[1] == "1.05"
    assert row[2].startswith("trees ")
    assert row[5].startswith("ease ")
    assert float(row[3]) == pytest.approx(ours.mean() / values["trees"].mean(), abs=1e-3)
    # The noise is the same for every ranker, so the paired difference has no spread.
    assert row[4] == "+0.0900 (+0.0900 to +0.0900)"
    assert row[7] == "+0.1900 (+0.1900 to +0.1900)"


def test_lists_and_seeds(judged: Judged) -> None:
    text = markdown(judged)
    assert _rows(text, "recent_popular")[1] == ["recent_popular", ".0000", ".2000", "1.0", "0.0"]
    assert _rows(text, "ease")[1] == ["ease", "1.0000", ".8000", "4.0", "1.0"]
    first, second = _rows(text, "aisle, seed 7")
    assert first[-1] == "3.0"
    expected = [f"{values['aisle, seed 7'].mean():.4f}"[1:] for values in judged.values.values()]
    assert second[1:] == expected
