"""The summary of a run, for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

_BIGGEST_REASONS = 3


def print_summary(console: Console, account: dict[str, Any], reports: dict[str, Any]) -> None:
    """Prints what a run read, learnt, decided and pushed.

    Args:
      console: where to print.
      account: what `run.json` holds.
      reports: the steps' reports by name.
    """
    facts = Table.grid(padding=(0, 2))
    for name, report in sorted(reports.get("tables", {}).get("tables", {}).items()):
        facts.add_row(name, _rows_line(report))
    examples = reports.get("examples", {})
    if examples:
        facts.add_row("examples", f"{examples['train']:,} for training, {examples['validation']:,} for validation")
    facts.add_row("model", "blessed" if account["blessed"] else "not blessed: " + "; ".join(account["failures"]))
    facts.add_row("pushed", account["pushed"] or "nothing; the model pushed before stays")
    facts.add_row("took", f"{account['seconds']:.0f} s, at most {account['peak_mib']:,} MiB")
    console.print(facts, highlight=False, soft_wrap=True)


def _rows_line(report: dict[str, Any]) -> str:
    reasons = sorted(report["dropped"].items(), key=lambda entry: -entry[1]["rows"])
    named = [f"{reason} {dropped['rows']:,}" for reason, dropped in reasons[:_BIGGEST_REASONS]]
    if len(reasons) > _BIGGEST_REASONS:
        named.append("...")
    dropped = f"; dropped: {', '.join(named)}" if named else ""
    return f"{report['kept']:,} of {report['read']:,} rows kept{dropped}"
