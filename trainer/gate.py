"""The gate: what a model must show before it is pushed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.config import GateConfig
from trainer.baselines import RANKERS
from trainer.cases import SEARCH

WARM, COLD, NEW, SEARCHES = "warm", "cold", "new", "search"
MODEL = "model"
_PEOPLE = {WARM: "customers known before", COLD: "customers without a purchase before", SEARCHES: "searches"}


def gate_table(gate: GateConfig, tables: Mapping[str, Any]) -> str:
    """Names the table that decides: searches, or known customers, or new ones where no known one came back."""
    if gate.task == SEARCH:
        return SEARCHES
    return WARM if WARM in tables or COLD not in tables else COLD


def find_failures(gate: GateConfig, tables: Mapping[str, Any], window: str) -> list[str]:
    """Judges a model.

    Args:
      gate: the metric, the rivals and the tolerance.
      tables: results by table, as evaluation.json has them; a table without cases is not there.
      window: name of the judged window.

    Returns:
      In plain words why the model must not be pushed; nothing if it may.
    """
    failures = [
        f"the model answered {table['broken']} items that the requests of table '{name}' excluded, or one item twice"
        for name, table in tables.items()
        if table["broken"]
    ]
    name = gate_table(gate, tables)
    if name not in tables:
        return [*failures, _nothing_to_judge(gate, window)]
    table = tables[name]
    ours = table["results"][MODEL][gate.metric]["value"]
    for rival in dict.fromkeys(gate.rivals):
        theirs = table["results"][rival][gate.metric]["value"]
        if ours < theirs - gate.tolerance:
            failures.append(
                f"{gate.metric} of the model is {ours:.4f} over {table['cases']:,} {_PEOPLE[name]} in the {window} "
                f"window, but {rival} ({RANKERS[rival].meaning}) reaches {theirs:.4f}; "
                f"gate.tolerance allows {gate.tolerance:g} less"
            )
    return failures


def _nothing_to_judge(gate: GateConfig, window: str) -> str:
    if gate.task == SEARCH:
        return (
            f"there is nothing to judge the model by: gate.task is search, but the {window} window has no search that "
            "led to an event of split.truth_events, or features.query is off"
        )
    return (
        f"there is nothing to judge the model by: no user has an event of split.truth_events in the {window} window; "
        "check split.test_start and split.truth_events"
    )
