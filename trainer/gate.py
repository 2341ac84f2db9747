"""The gate: what a model must show before it is pushed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.config import GateCheck, GateConfig
from trainer.baselines import RANKERS
from trainer.cases import SEARCH

WARM, COLD, NEW, SEARCHES = "warm", "cold", "new", "search"
MODEL, LAST_BLESSED = "model", "last_blessed"
MEANINGS = {MODEL: "the exported model", LAST_BLESSED: "the model that is served now"}
_PEOPLE = {
    WARM: "customers known before",
    COLD: "customers without a purchase before",
    NEW: "known customers who took something new",
    SEARCHES: "searches",
}
_ROUNDING = 1e-12  # two equal rankings may differ by as much


def gate_table(gate: GateConfig, tables: Mapping[str, Any]) -> Any:
    """Names the table that decides: searches, or known customers, or new ones where no known one came back."""
    if gate.task == SEARCH:
        return SEARCHES
    return WARM if WARM in tables or COLD not in tables else COLD


def meaning(ranker: str) -> str:
    """Says in a few words what a ranker does."""
    return MEANINGS[ranker] if ranker in MEANINGS else RANKERS[ranker].meaning


def run_checks(gate: GateConfig, tables: Mapping[str, Any], window: str) -> list[dict[str, Any]]:
    """Tests a model, with everything that `gate` asks for.

    Args:
      gate: the tests.
      tables: results and differences by table, as evaluation.json has them; a table without cases is not there.
      window: name of the judged window.

    Returns:
      For each test `passed`, `text` in plain words, and, where there is something to compare, the numbers.
    """
    checks = [
        {
            "table": name,
            "passed": False,
            "text": f"the model answered {table['broken']} items that the requests of table '{name}' excluded, or one "
            "item twice",
        }
        for name, table in tables.items()
        if table["broken"]
    ]
    for check in gate.all_checks(gate_table(gate, tables)):
        if check.table not in tables:
            checks.append({"table": check.table, "passed": False, "text": _nothing_to_judge(gate, check, window)})
        else:
            checks.extend(_comparisons(gate, check, tables[check.table], window))
    return checks


def _comparisons(gate: GateConfig, check: GateCheck, table: Mapping[str, Any], window: str) -> Iterator[dict[str, Any]]:
    rivals = list(dict.fromkeys(check.rivals or ()))
    if gate.last_blessed and LAST_BLESSED in table["results"]:
        rivals.append(LAST_BLESSED)
    tolerance = check.tolerance or 0.0
    for rival in rivals:
        difference = table["differences"][rival][check.metric]
        best = difference["high"] if gate.confidence else difference["value"]
        numbers = {
            "table": check.table,
            "metric": check.metric,
            "rival": rival,
            "tolerance": tolerance,
            "passed": best >= -tolerance - _ROUNDING,
            "model_value": table["results"][MODEL][check.metric]["value"],
            "rival_value": table["results"][rival][check.metric]["value"],
            "difference": difference,
        }
        yield {**numbers, "text": _comparison(gate, numbers, table["cases"], window)}


def _comparison(gate: GateConfig, numbers: Mapping[str, Any], cases: int, window: str) -> str:
    difference = numbers["difference"]
    rule = f"{gate.confidence:.0%} interval {difference['low']:+.4f} to {difference['high']:+.4f}"
    if not gate.confidence:
        rule = "compared as plain means"
    joint = "and" if numbers["passed"] else "but"
    return (
        f"{numbers['metric']} of the model is {numbers['model_value']:.4f} over {cases:,} "
        f"{_PEOPLE[numbers['table']]} in the {window} window, {joint} {numbers['rival']} ({meaning(numbers['rival'])}) "
        f"reaches {numbers['rival_value']:.4f}: a difference of {difference['value']:+.4f}, {rule}; "
        f"the tolerance allows {numbers['tolerance']:g} less"
    )


def _nothing_to_judge(gate: GateConfig, check: GateCheck, window: str) -> str:
    if check.table == SEARCHES:
        return (
            f"there is nothing to judge {check.metric} of table 'search' by: the {window} window has no search that "
            "led to an event of split.truth_events, or features.query is off"
        )
    if check.table == gate_table(gate, {}):
        return (
            f"there is nothing to judge the model by: no user has an event of split.truth_events in the {window} "
            "window; check split.test_start and split.truth_events"
        )
    return (
        f"there is nothing to judge {check.metric} of table '{check.table}' by: the {window} window has no such case; "
        "take it out of gate.checks, or make the window longer"
    )
