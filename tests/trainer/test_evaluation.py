"""The evaluation asks the exported model, ranks it beside the rivals and judges it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from ir_measures import nDCG
from judged_shop import Judged, user_case
from shop_tables import write_cases

from pipeline.commands.evaluate import command
from trainer import metrics
from trainer.cases import read_cases
from trainer.exported_model import ExportedModel

ITEMS = 48


@pytest.fixture(scope="module")
def report(judged: Judged) -> dict[str, Any]:
    return judged.evaluate("good")


def test_a_model_that_beats_its_rivals_is_blessed(judged: Judged, report: dict[str, Any]) -> None:
    assert report["blessed"] is True
    assert report["failures"] == []
    assert report["window"] == {"name": "test", "start": "2020-09-20", "days": 28}
    assert {name: table["cases"] for name, table in report["tables"].items()} == {
        "warm": 3,
        "cold": 1,
        "new": 2,
        "search": 1,
    }
    assert report["gate"]["table"] == "warm"
    assert report["items"] == ITEMS
    assert report["tables"]["search"]["zero_results"]["model"] == 0.0
    assert "slices" in report["tables"]["search"]
    file = judged.folder / "good-report" / "evaluation.json"
    assert json.loads(file.read_text()) == report
    assert sorted(path.name for path in file.parent.iterdir()) == ["evaluation", "evaluation.html", "evaluation.json"]


def _expected(exported: ExportedModel, requests: Sequence[dict[str, Any]], excluded: Sequence[set[str]]) -> list[float]:
    """NDCG@20 of the model by `ir_measures`, from its answers to one request at a time without exclusions."""
    qrels, run = [], []
    for line, (request, gone) in enumerate(zip(requests, excluded, strict=True)):
        lists = ("history_item_ids", "history_event_types", "history_ages_days")
        inputs = {name: [request[name] or [""]] for name in lists[:2]} | {lists[2]: [request[lists[2]] or [0.0]]}
        inputs |= {name: [request[name]] for name in ("user_id", "timestamp", "query", "country")}
        answers = exported.ask(request["task"], {**inputs, "k": [ITEMS]})
        kept = [each.decode() for each in answers["item_ids"][0] if each.decode() not in gone]
        run += [ir_measures.ScoredDoc(str(line), item, float(-place)) for place, item in enumerate(kept)]
        qrels += [ir_measures.Qrel(str(line), item, 1) for item in request["truth"] if item not in gone]
    return [each.value for each in ir_measures.iter_calc([nDCG @ 20], qrels, run)]


def test_results_are_those_of_single_requests(judged: Judged, exported: ExportedModel, report: dict[str, Any]) -> None:
    rows = pq.read_table(judged.folder / "good" / "test.parquet").to_pylist()
    nothing: set[str] = set()
    seen = {"i00005", judged.best["u2"][0]}
    chosen = {"warm": (rows[:3], [nothing] * 3), "cold": (rows[3:4], [nothing]), "new": (rows[:2], [seen] * 2)}
    for name, (requests, excluded) in {**chosen, "search": (rows[4:], [nothing])}.items():
        found = report["tables"][name]["results"]["model"]["ndcg@20"]
        assert found["value"] == pytest.approx(np.mean(_expected(exported, requests, excluded)), abs=1e-9), name
        assert found["low"] <= found["value"] <= found["high"]
        assert report["tables"][name]["broken"] == 0


def test_rivals_stand_beside_the_model_and_never_saw_the_window(judged: Judged, report: dict[str, Any]) -> None:
    assert list(report["rankers"]) == ["model", "popular", "recent_popular", "own_frequency"]
    for table in report["tables"].values():
        assert list(table["results"]) == list(report["rankers"])
        names = {f"{metric}@{k}" for metric in metrics.METRICS for k in (5, 10, 20, 100)}
        assert all(set(results) == names for results in table["results"].values())
    # i00009 is bought 99 times, but in the window: nobody may know.
    order = [40, 41, 42, 7, *(row for row in range(ITEMS) if row not in (7, 40, 41, 42))]
    rows = pq.read_table(judged.folder / "good" / "test.parquet").to_pylist()[:3]
    truth = [judged.shop.catalogue.rows(row["truth"]) for row in rows]
    expected = metrics.measure([order] * 3, truth, ["ndcg@100"])["ndcg@100"].mean()
    assert report["tables"]["warm"]["results"]["popular"]["ndcg@100"]["value"] == pytest.approx(expected, abs=1e-12)


def test_a_model_that_loses_to_a_rival_is_not_blessed(judged: Judged) -> None:
    gate = judged.shop.config.gate.model_copy(
        update={"rivals": ("recent_popular", "own_frequency"), "metric": "ndcg@3", "confidence": 0.0}
    )
    asked: list[tuple[int, int]] = []
    config = judged.shop.config.model_copy(update={"gate": gate})
    report = judged.evaluate("bad", config, on_progress=lambda done, total: asked.append((done, total)))
    assert report["blessed"] is False
    assert report["window"] == {"name": "validation", "start": "2020-08-23", "days": 28}
    [failure] = [each for each in report["failures"] if "recent_popular" in each]
    ours = report["tables"]["warm"]["results"]["model"]["ndcg@3"]["value"]
    theirs = report["tables"]["warm"]["results"]["recent_popular"]["ndcg@3"]["value"]
    assert f"ndcg@3 of the model is {ours:.4f} over 3 customers known before in the validation window" in failure
    assert f"recent_popular (most bought of the last 30 days) reaches {theirs:.4f}" in failure
    assert asked[-1] == (6, 6)


def test_without_cases_nothing_is_blessed(judged: Judged) -> None:
    report = judged.evaluate("none")
    assert report["blessed"] is False
    assert report["tables"] == {}
    assert "there is nothing to judge the model by" in report["failures"][0]


def test_an_unknown_rival_is_named_before_anything_runs(judged: Judged) -> None:
    gate = judged.shop.config.gate.model_copy(update={"rivals": ("best",)})
    with pytest.raises(ValueError, match="no ranker 'best'; allowed are popular"):
        judged.evaluate("good", judged.shop.config.model_copy(update={"gate": gate}))


def test_cases_with_items_outside_the_catalogue_are_left_out(judged: Judged, tmp_path: Path) -> None:
    write_cases(tmp_path, test=[user_case("u1", truth=["gone"]), user_case("u1", truth=["gone", "i00001"])])
    assert len(read_cases(str(tmp_path), list(judged.shop.catalogue.ids))[1]) == 1


@pytest.fixture
def run_folder(judged: Judged, tmp_path: Path) -> Path:
    """A run folder whose run pushed the shop's model."""
    account = {
        "config": judged.shop.config.model_dump(mode="json"),
        "tables": str(judged.folder / "tables"),
        "cases": str(judged.folder / "good"),
        "model": str(tmp_path / "trainer"),
        "pushed": str(judged.shop.folder),
    }
    (tmp_path / "run.json").write_text(json.dumps(account))
    (tmp_path / "config.yaml").write_text(json.dumps(judged.shop.config.model_dump(mode="json")))
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer" / "Format-TFMA").symlink_to(judged.shop.folder)
    return tmp_path


def _invoke(folder: Path, *options: str) -> Any:
    return CliRunner().invoke(command, [str(folder / "config.yaml"), "--output", str(folder), *options])


def test_the_command_prints_model_and_rivals(run_folder: Path) -> None:
    result = _invoke(run_folder)
    assert result.exit_code == 0, result.output
    for text in (
        "model ahead, ndcg@20",
        "the model's first 20: coverage",
        "evaluation.html",
        "warm: 3 cases",
        "search: 1 cases",
        "own_frequency",
        "gate passed",
        "test window: 28 days from 2020-09-20",
    ):
        assert text in result.output
    assert (run_folder / "reports" / "evaluation.json").is_file()


def test_the_command_judges_a_twin_where_the_pushed_model_has_seen_the_window(judged: Judged, run_folder: Path) -> None:
    account = json.loads((run_folder / "run.json").read_text())
    (run_folder / "run.json").write_text(json.dumps({**account, "cases": str(judged.folder / "bad")}))
    result = _invoke(run_folder, "--json", "--set", "gate.rivals=[own_frequency]", "--rivals", "item_knn")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["model"] == str(run_folder / "trainer" / "Format-TFMA")
    assert report["gate"]["rivals"] == ["own_frequency"]
    assert list(report["rankers"]) == ["model", "popular", "recent_popular", "own_frequency", "item_knn"]


def test_the_command_says_what_is_wrong(run_folder: Path, tmp_path: Path) -> None:
    result = _invoke(run_folder, "--set", "split.test_days=7")
    assert result.exit_code == 1
    assert "'split' in the configuration is not that of the run" in result.output
    result = _invoke(run_folder, "--set", "gate.rivals=[best]")
    assert result.exit_code == 1
    assert "allowed are popular, recent_popular, own_frequency" in result.output
    assert "allowed are popular" in _invoke(run_folder, "--rivals", "worst").output
    (run_folder / "run.json").unlink()
    result = _invoke(run_folder)
    assert result.exit_code == 1
    assert "there is no complete run in" in result.output
