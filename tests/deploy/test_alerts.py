"""Rules and dashboard: they parse, they fire when they should, and what they read is there."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from programs import ROOT, program, run
from promql import DASHBOARD, RULES, dashboard_expressions, metrics_of, rules

from pipeline.monitoring.page import METRICS
from serving.errors import Code
from serving.monitoring import Monitor

RULE_FILES = sorted(path.name for path in RULES.glob("*.rules.yml"))
TEST_FILES = sorted(path.name for path in RULES.glob("*.test.yml"))


def exported() -> set[str]:
    """What a server that has answered one call and `aisle monitor` export, and what Prometheus adds."""
    monitor = Monitor()
    monitor.count("m", Code.OK)
    monitor.observe("m", "Predict", "GRPC", 0.1)
    monitor.observe_runtime("m", "Predict", 0.1)
    monitor.observe_call("m", "s", Code.OK, 0.1)
    for note in (monitor.observe_rows, monitor.observe_batch):
        note("m", "s", 1)
    monitor.observe_queue("m", "s", 0.1)
    monitor.count_lost_line()
    monitor.count_lost_record()
    monitor.set_version("m", 1, 1)
    monitor.set_under_way(0)
    names = re.findall(r"^([a-zA-Z_:][\w:]*)[{ ]", monitor.page().decode(), re.MULTILINE)
    return {*names, *METRICS, "up", "ALERTS"}


def test_names_are_found_in_expressions() -> None:
    text = (
        'sum by (a) (rate(x_total{c="d or e"}[5m] offset 1h)) / 1e6 > on (a) group_left () :y:z and max(w) - 2 * 3600'
    )
    assert metrics_of(text) == {"x_total", ":y:z", "w"}


def test_every_metric_of_rules_and_dashboard_exists() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    expressions = [*(rule["expr"] for rule in rules()), *dashboard_expressions()]
    assert len(expressions) > 50
    unknown = {text: sorted(metrics_of(text) - exported() - recorded) for text in expressions}
    assert {text: names for text, names in unknown.items() if names} == {}


def test_the_dashboard_shows_what_there_is() -> None:
    shown = set().union(*map(metrics_of, dashboard_expressions()))
    assert set(METRICS) <= shown
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    identifiers = Counter(panel["id"] for panel in board["panels"])
    assert max(identifiers.values()) == 1
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in board["panels"])


@pytest.mark.parametrize("name", RULE_FILES)
def test_promtool_accepts_the_rules(name: str) -> None:
    done = run(program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", str(RULES / name))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", TEST_FILES)
def test_alerts_fire_on_recorded_series_and_only_then(name: str) -> None:
    done = run(program("promtool"), "test", "rules", str(RULES / name))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_recorded_series_and_a_page() -> None:
    tried = "".join((RULES / name).read_text(encoding="utf-8") for name in TEST_FILES)
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    anchors = {re.sub(r"[^\w -]", "", title).strip().lower() for title in re.findall(r"^#+ (.*)$", page, re.MULTILINE)}
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len({rule["alert"] for rule in alerts}) == len(alerts) >= 20
    for rule in alerts:
        assert f'alertname="{rule["alert"]}"' in tried
        file, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert file == "docs/operations.md"
        assert anchor in anchors, f"docs/operations.md says nothing of {rule['alert']}"
        assert rule["labels"]["severity"] in {"page", "ticket"}


def test_prometheus_accepts_its_configuration(tmp_path: Path) -> None:
    config = yaml.safe_load((RULES / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = config["scrape_configs"]
    # Debian's build leaves this way of finding targets out; everything else in the file is checked.
    assert job.pop("kubernetes_sd_configs") == [{"role": "pod", "namespaces": {"names": ["aisle"]}}]
    config["rule_files"] = [str(RULES / name) for name in config["rule_files"]]
    assert [Path(name).name for name in config["rule_files"]] == sorted(RULE_FILES, reverse=True)
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    done = run(program("promtool"), "check", "config", str(tmp_path / "prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
