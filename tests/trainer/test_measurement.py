"""What a table of the report holds, against values computed one by one, and the forms in which it is written."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judged_cases import ITEMS, random_cases, random_ranking
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from pipeline.config import GateConfig
from trainer import metrics
from trainer.evaluation.measurement import Measurement, metric_names
from trainer.evaluation.report import write_reports
from trainer.evaluation.slices import Slice
from trainer.gate import meaning, run_checks
from trainer.metrics import ItemTraits

CASES, SEED = 70, 3
NASTY = "<script>$x_$ & 'co'</script>"


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """A report as `evaluate` makes it, of random rankings."""
    cases = random_cases(1, CASES)
    ranked = {name: random_ranking(seed, CASES) for seed, name in enumerate(("model", "last_blessed", "popular"))}
    generator = np.random.default_rng(2)
    traits = ItemTraits(generator.integers(0, 9, ITEMS), generator.integers(0, 4, ITEMS))
    measurement = Measurement(metric_names(["map@7"])[1], traits, SEED, 0.9)
    table = measurement.table(cases, ranked, [np.zeros(0, np.int64)] * CASES)
    keep = np.arange(CASES) < 20
    part = Slice("country", NASTY, keep, cases.truth[:20])
    table["slices"] = [measurement.slice(part, ranked)]
    tables, gate = {"warm": table}, GateConfig(metric="map@7")
    return {
        "blessed": False,
        "failures": [],
        "gate": {
            **gate.model_dump(mode="json"),
            "table": "warm",
            "results": run_checks(gate, tables, "test"),
            "predecessor": {"version": "17", "compared": True, "reason": ""},
        },
        "window": {"name": "test", "start": "2020-09-20", "days": 28},
        "rankers": {name: meaning(name) for name in ranked},
        "items": ITEMS,
        "grouped_by": "category",
        "seed": SEED,
        "level": 0.9,
        "tables": tables,
    }


def test_differences_are_paired(report: dict[str, Any]) -> None:
    truth = random_cases(1, CASES).truth
    for name in ("map@7", "recall@20", "ndcg@100"):
        ours, theirs = (metrics.measure(random_ranking(seed, CASES), truth, [name])[name] for seed in (0, 2))
        low, high = metrics.bootstrap_interval((ours - theirs)[:, np.newaxis], SEED, level=0.9)
        found = report["tables"]["warm"]["differences"]["popular"][name]
        assert found["value"] == pytest.approx((ours - theirs).mean(), abs=1e-12)
        assert (found["low"], found["high"]) == pytest.approx((low[0], high[0]), abs=1e-12)
        alone = metrics.bootstrap_interval(ours[:, np.newaxis], SEED, level=0.9)
        result = report["tables"]["warm"]["results"]["model"][name]
        assert (result["low"], result["high"]) == pytest.approx((alone[0][0], alone[1][0]), abs=1e-12)


def test_a_slice_is_measured_on_its_own_cases(report: dict[str, Any]) -> None:
    [part] = report["tables"]["warm"]["slices"]
    assert (part["cases"], part["few"]) == (20, True)
    truth = random_cases(1, CASES).truth[:20]
    expected = metrics.measure(random_ranking(0, CASES)[:20], truth, ["mrr@10"])["mrr@10"].mean()
    assert part["results"]["model"]["mrr@10"]["value"] == pytest.approx(expected, abs=1e-12)


def test_every_metric_stands_at_every_depth(report: dict[str, Any]) -> None:
    table = report["tables"]["warm"]
    depths = (5, 7, 10, 20, 100)
    assert set(table["results"]["model"]) == {f"{name}@{k}" for name in metrics.METRICS for k in depths}
    assert set(table["lists"]["model"]) == {f"{name}@{k}" for name in metrics.LIST_METRICS for k in (5, 10, 20, 100)}
    assert set(table["differences"]) == {"last_blessed", "popular"}


def test_excluded_and_repeated_answers_are_counted() -> None:
    cases = random_cases(1, 2)
    measurement = Measurement(["ndcg@5"], ItemTraits(np.ones(ITEMS, np.int64), np.zeros(ITEMS, np.int64)), SEED, 0.95)
    ranked = {"model": np.array([[1, 2, 2, -1, -1], [3, 4, 5, 6, 7]]), "popular": random_ranking(1, 2, 5)}
    table = measurement.table(cases, ranked, [np.array([1]), np.array([3, 7, 9])])
    assert table["broken"] == 4


class _Page(HTMLParser):
    """Collects what a page fetches, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: dict[str, int] = {}
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.fetched += [value for name, value in attrs if name in {"src", "href"} and value and value[0] != "#"]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_beside_it_and_escapes_names(report: dict[str, Any], tmp_path: Path) -> None:
    write_reports(report, str(tmp_path / "reports"))
    page = _Page()
    page.feed((tmp_path / "reports" / "evaluation.html").read_text())
    assert [link for link in page.fetched if not link.startswith("#")] == []
    assert "script" not in page.tags
    assert page.tags["svg"] == 4
    assert page.text.count(NASTY) >= 2  # in a plot and in the table
    for word in ("Gate: failed", "90% percentile bootstrap", "map@7", "version 17", "the model that is served now"):
        assert word in page.text, word
    again = (tmp_path / "reports" / "evaluation.html").read_bytes()
    write_reports(report, str(tmp_path / "reports"))
    assert (tmp_path / "reports" / "evaluation.html").read_bytes() == again


def _points(run: EventAccumulator, tag: str) -> dict[int, float]:
    return {event.step: float(make_ndarray(event.tensor_proto)) for event in run.Tensors(tag)}


def test_json_and_curves_hold_the_same_numbers(report: dict[str, Any], tmp_path: Path) -> None:
    for _ in range(2):  # a second report replaces the first
        write_reports(report, str(tmp_path))
    assert json.loads((tmp_path / "evaluation.json").read_text()) == report
    runs = {}
    for ranker in report["rankers"]:
        runs[ranker] = EventAccumulator(str(tmp_path / "evaluation" / ranker)).Reload()
    table = report["tables"]["warm"]
    for tag, source in (("warm/ndcg", table["results"]), ("model ahead in warm/ndcg", table["differences"])):
        for ranker, values in source.items():
            points = _points(runs[ranker], tag)
            assert points == pytest.approx({k: values[f"ndcg@{k}"]["value"] for k in (5, 7, 10, 20, 100)}, abs=1e-6)
    assert _points(runs["popular"], "warm lists/novelty") == pytest.approx(
        {k: table["lists"]["popular"][f"novelty@{k}"] for k in (5, 10, 20, 100)}, abs=1e-5
    )
