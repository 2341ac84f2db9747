"""Drift and data quality of logged requests, against a run's own training."""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from logged_requests import Row, training_rows, write_log
from prometheus_client.parser import text_string_to_metric_families

from pipeline.cli import main
from pipeline.monitoring.page import METRICS
from pipeline.monitoring.quality import Share, describe
from pipeline.monitoring.requests import Asked, read_sample


def monitor(*words: str) -> Any:
    done = CliRunner().invoke(main, ["monitor", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def values(text: str) -> dict[tuple[str, ...], float]:
    """The page by name and labels without the model's."""
    return {
        (sample.name, *(value for label, value in sorted(sample.labels.items()) if label != "model")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def without_weather_from_abroad(row: Row) -> Row:
    """A shop's page that sends the weather no more, a new country, an event type that nobody knows, new users."""
    changed = {name: value for name, value in row.items() if name != "weather"}
    types = [kind and b"glance" for kind in row["history_event_types"]]
    return changed | {"country": [b"NZ"], "history_event_types": types, "user_id": [b"newcomer"]}


@pytest.mark.slow
def test_requests_like_the_training_do_not_drift_and_others_do(pushed_run: Path, tmp_path: Path) -> None:
    run, like, unlike = str(pushed_run), tmp_path / "like", tmp_path / "unlike"
    rows = list(training_rows(pushed_run))
    page = tmp_path / "aisle.prom"
    count = write_log(like, rows, ["I000001", "I000002"])
    assert monitor(run, "--requests", str(like), "--output", str(page)) == ""
    near = values(page.read_text())
    assert near["aisle_monitor_compared_questions",] == count == len(rows)
    drifts = {key: value for key, value in near.items() if key[0] == "aisle_monitor_drift"}
    assert {key[2] for key in drifts} == {"country", "holiday", "weather", "history_event_types", "history_ages_days"}
    assert max(drifts.values()) < 0.1, drifts
    assert [key for key in near if key[0] == "aisle_monitor_anomaly"] == []
    assert near["aisle_monitor_unknown_items_ratio",] == 0.0
    assert near["aisle_monitor_coverage_ratio",] == pytest.approx(2 / 60)

    write_log(unlike, rows, ["", ""], without_weather_from_abroad)
    monitor(run, "--requests", str(unlike), "--output", str(page))
    far = values(page.read_text())
    assert far["aisle_monitor_drift", "l_infinity", "country"] == pytest.approx(1.0)
    assert far["aisle_monitor_drift", "l_infinity", "weather"] > 0.9
    assert far["aisle_monitor_drift", "jensen_shannon", "history_ages_days"] < 0.1
    assert ("aisle_monitor_anomaly", "history_event_types", "Unexpected string values") in far
    assert far["aisle_monitor_unknown_users_ratio",] == 1.0
    assert far["aisle_monitor_empty_results_ratio", "recommend"] == 1.0
    assert {key[0] for key in {**near, **far}} == set(METRICS)


def test_without_requests_it_tells_of_the_model(pushed_run: Path) -> None:
    said = json.loads(monitor(str(pushed_run), "--json"))
    (version,) = [int(path.name) for path in (pushed_run / "serving/aisle").iterdir() if path.name.isdecimal()]
    assert (said["model"]["name"], said["model"]["version"], said["model"]["items"]) == ("aisle", version, 60)
    assert said["model"]["learned_before_s"] < said["model"]["created_s"] <= time.time()
    shown = monitor(str(pushed_run))
    assert "aisle_model_newest_version" in shown
    assert str(version) in shown


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "serving/aisle").mkdir(parents=True)
    done = CliRunner().invoke(main, ["monitor", str(tmp_path)])
    assert (done.exit_code, "holds no version" in done.stderr) == (1, True)
    done = CliRunner().invoke(main, ["monitor", str(tmp_path), "--output", "x", "--port", "9108"])
    assert (done.exit_code, "give one of them" in done.stderr) == (2, True)


def asked(signature: str, inputs: dict[str, Any], item_ids: Any = None) -> Asked:
    outputs = {} if item_ids is None else {"item_ids": np.array(item_ids, object)}
    return Asked(signature, {name: np.array(value) for name, value in inputs.items()}, outputs)


def test_quality_counts_rows() -> None:
    calls = [
        asked("recommend", {"user_id": [b"a", b"", b"x"], "history_item_ids": [[b"i", b"?"]]}, [[b"i"], [b"j"], [b""]]),
        asked("similar_items", {"item_id": [b"i"]}, [[b"", b""]]),
        asked("search", {"query": [b"shoes"]}, [[b"j", b""]]),
    ]
    found = describe(calls, users={"a"}, items={"i", "j", "k", "l"})
    assert found.questions == {"recommend": 3, "similar_items": 1, "search": 1}
    assert found.unknown_users == Share(1, 2)
    assert found.anonymous == Share(1, 3)
    # One row of history holds for all three questions: two items each; and the item of similar_items.
    assert found.unknown_items == Share(3, 7)
    assert found.empty_results == {"recommend": Share(1, 3), "similar_items": Share(1, 1), "search": Share(0, 1)}
    assert found.coverage == Share(2, 4)
    assert describe([], set(), {"i"}).coverage.ratio is None


def test_half_a_record_at_the_end_costs_nothing_else(pushed_run: Path, tmp_path: Path) -> None:
    write_log(tmp_path, list(training_rows(pushed_run))[:20], ["I000001"])
    (file,) = tmp_path.glob("*.tfrecord")
    os.truncate(file, file.stat().st_size - 3)
    sample = read_sample(tmp_path, "aisle", 0.0, 1000)
    assert (len(sample.asked), sample.broken_files) == (19, 1)
    assert read_sample(tmp_path, "another", 0.0, 1000).asked == []
    assert read_sample(tmp_path, "aisle", time.time() + 60, 1000).asked == []
    assert len(read_sample(tmp_path, "aisle", 0.0, 5).asked) == 5
