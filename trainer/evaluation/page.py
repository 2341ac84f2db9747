"""The report as one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from trainer.evaluation import plots
from trainer.evaluation.measurement import DEPTHS
from trainer.gate import MODEL
from trainer.metrics import LIST_METRICS, METRICS

_TEMPLATE = "page.html"
_CURVES = ("recall", "ndcg", "map")
_LIST_DEPTH = 20


def render_page(report: Mapping[str, Any]) -> str:
    """Renders the page.

    Args:
      report: what evaluation.json holds.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(_TEMPLATE).render(
        report=report,
        metrics=[f"{name}@{depth}" for name in METRICS for depth in DEPTHS],
        list_metrics=[f"{name}@{depth}" for name in LIST_METRICS for depth in DEPTHS],
        MODEL=MODEL,
        slices=_slices(report),
        drawn={name: _plots(report, table) for name, table in report["tables"].items()},
    )


def best_rival(entry: Mapping[str, Any], metric: str) -> str | None:
    """Names the rival of a table or slice that reaches most; None without rivals."""
    rivals = {name: results[metric]["value"] for name, results in entry["results"].items() if name != MODEL}
    return max(rivals, key=lambda name: rivals[name]) if rivals else None


def _slices(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Lists the slices with the rival that is best in each."""
    metric = report["gate"]["metric"]
    found = []
    for name, table in report["tables"].items():
        for part in table.get("slices", ()):
            rival = best_rival(part, metric)
            if rival is not None:
                found.append({"table": name, "rival": rival, **part})
    return found


def _plots(report: Mapping[str, Any], table: Mapping[str, Any]) -> list[markupsafe.Markup]:
    metric = report["gate"]["metric"]
    drawn = [
        plots.depth_curves(table["results"], _CURVES, DEPTHS),
        plots.differences([(rival, found[metric]) for rival, found in table["differences"].items()], metric),
    ]
    if table is next(iter(report["tables"].values())):
        drawn.append(plots.list_bars(table["lists"], [f"{name}@{_LIST_DEPTH}" for name in LIST_METRICS]))
    rows = []
    for part in table.get("slices", ()):
        rival = best_rival(part, metric)
        if rival is not None:
            name = f"{part['by']}: {part['name']} ({part['cases']:,}), {rival}"
            rows.append((name, part["differences"][rival][metric]))
    if rows:
        drawn.append(plots.differences(rows, metric))
    # Made by us of numbers, and of names that matplotlib has escaped.
    return [markupsafe.Markup(each) for each in drawn]
