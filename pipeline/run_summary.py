"""The summary of a run, for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

_BIGGEST_REASONS = 3
_NAME_WIDTH = 10


def print_summary(console: Console, account: dict[str, Any], reports: dict[str, Any]) -> None:
    """Prints what a run read, learnt, decided and pushed.

    Args:
      console: where to print.
      account: what `run.json` holds.
      reports: the steps' reports by name.
    """
    facts = {name: _rows_line(report) for name, report in reports.get("tables", {}).get("tables", {}).items()}
    examples = reports.get("examples", {})
    if examples:
        facts["examples"] = f"{examples['train']:,} for training, {examples['validation']:,} for validation"
    if "tuning" in reports:
        facts["tuned"] = _tuning_line(reports["tuning"])
    _print_facts(console, facts)
    if "evaluation" in reports:
        _print_metrics(console, reports["evaluation"])
    verdict = "blessed" if account["blessed"] else "not blessed: " + "; ".join(account["failures"])
    before = reports.get("evaluation", {}).get("gate", {}).get("predecessor")
    if before and before["reason"]:
        verdict += f"; the last blessed model {before['version']} took no part: {before['reason']}"
    _print_facts(
        console,
        {
            "model": verdict,
            "pushed": account["pushed"] or "nothing; the model pushed before stays",
            "took": f"{account['seconds']:.0f} s, at most {account['peak_mib']:,} MiB",
        },
    )


def _print_facts(console: Console, facts: dict[str, str]) -> None:
    for name, fact in facts.items():
        console.print(f"{name:<{_NAME_WIDTH}}{fact}", highlight=False, markup=False, soft_wrap=True)


def _rows_line(report: dict[str, Any]) -> str:
    reasons = sorted(report["dropped"].items(), key=lambda entry: -entry[1]["rows"])
    named = [f"{reason} {dropped['rows']:,}" for reason, dropped in reasons[:_BIGGEST_REASONS]]
    if len(reasons) > _BIGGEST_REASONS:
        named.append("...")
    dropped = f"; dropped: {', '.join(named)}" if named else ""
    return f"{report['kept']:,} of {report['read']:,} rows kept{dropped}"


def _tuning_line(report: dict[str, Any]) -> str:
    chosen = " ".join(f"{key}={value:.4g}" for key, value in report["chosen"].items())
    scores = f"{report['score']:.3f} in the validation window, {report['default_score']:.3f} without tuning"
    return f"best of {len(report['trials'])} trials, {report['metric']} {scores}: {chosen}"


def _print_metrics(console: Console, evaluation: dict[str, Any]) -> None:
    """The gate's metric of the model and of its rivals, for each group of cases."""
    metric = evaluation["gate"]["metric"]
    tables: dict[str, Any] = evaluation["tables"]
    shown = Table(box=None, padding=(0, 2, 0, 0))
    shown.add_column(f"{metric}, {evaluation['window']['name']} window")
    for name, table in tables.items():
        shown.add_column(f"{name} ({table['cases']:,})", justify="right")
    for ranker in evaluation["rankers"]:
        values = [table["results"].get(ranker, {}).get(metric) for table in tables.values()]
        shown.add_row(ranker, *(f"{value['value']:.3f}" if value else "" for value in values))
    console.print(shown, highlight=False)
