"""The gate: what passes, what fails, and what it says."""

from typing import Any

import pytest

from pipeline.config import GateCheck, GateConfig
from trainer.gate import LAST_BLESSED, run_checks


def _interval(value: float, width: float = 0.0) -> dict[str, float]:
    return {"value": value, "low": value - width, "high": value + width}


def _table(ours: float, width: float = 0.0, broken: int = 0, **rivals: float) -> dict[str, Any]:
    """A table whose differences have intervals of twice `width`, at ndcg@20 and recall@5."""
    both = ("ndcg@20", "recall@5")
    reached = {"model": ours, **rivals}
    return {
        "cases": 1234,
        "broken": broken,
        "results": {who: {name: _interval(value) for name in both} for who, value in reached.items()},
        "differences": {who: {name: _interval(ours - value, width) for name in both} for who, value in rivals.items()},
    }


def _failures(gate: GateConfig, tables: dict[str, Any]) -> list[str]:
    return [check["text"] for check in run_checks(gate, tables, "test") if not check["passed"]]


GATE = GateConfig()


def test_a_model_fails_only_where_the_whole_interval_is_below_zero() -> None:
    assert _failures(GATE, {"warm": _table(0.3, popular=0.2)}) == []
    assert _failures(GATE, {"warm": _table(0.2, popular=0.2)}) == []
    assert _failures(GATE, {"warm": _table(0.19, width=0.02, popular=0.2)}) == []
    [failure] = _failures(GATE, {"warm": _table(0.17, width=0.02, popular=0.2)})
    assert failure == (
        "ndcg@20 of the model is 0.1700 over 1,234 customers known before in the test window, but popular (most bought "
        "of all time) reaches 0.2000: a difference of -0.0300, 95% interval -0.0500 to -0.0100; "
        "the tolerance allows 0 less"
    )


def test_rounding_is_no_loss() -> None:
    assert _failures(GATE, {"warm": _table(0.2, popular=0.2 + 1e-15)}) == []


def test_the_tolerance_is_how_far_below_the_interval_may_lie() -> None:
    tables = {"warm": _table(0.17, width=0.02, popular=0.2)}
    assert _failures(GATE.model_copy(update={"tolerance": 0.02}), tables) == []
    assert len(_failures(GATE.model_copy(update={"tolerance": 0.005}), tables)) == 1


def test_without_confidence_plain_means_are_compared() -> None:
    tables = {"warm": _table(0.19, width=0.02, popular=0.2)}
    [failure] = _failures(GATE.model_copy(update={"confidence": 0.0}), tables)
    assert "compared as plain means" in failure


def test_the_last_blessed_model_is_one_more_rival() -> None:
    tables = {"warm": _table(0.3, popular=0.2, last_blessed=0.4)}
    [failure] = _failures(GATE, tables)
    assert "last_blessed (the model that is served now) reaches 0.4000" in failure
    assert _failures(GATE.model_copy(update={"last_blessed": False}), tables) == []
    found = run_checks(GATE, {"warm": _table(0.5, popular=0.2, last_blessed=0.4)}, "test")
    assert [(check["rival"], check["passed"]) for check in found] == [("popular", True), (LAST_BLESSED, True)]


def test_every_check_names_its_table_metric_and_rivals() -> None:
    checks = (GateCheck(table="new", metric="recall@5", rivals=("ease", "popular"), tolerance=0.1),)
    gate = GATE.model_copy(update={"checks": checks})
    tables = {"warm": _table(0.3, popular=0.2), "new": _table(0.3, popular=0.35, ease=0.45)}
    found = run_checks(gate, tables, "test")
    assert [(check["table"], check["metric"], check["rival"], check["passed"]) for check in found] == [
        ("warm", "ndcg@20", "popular", True),
        ("new", "recall@5", "ease", False),
        ("new", "recall@5", "popular", True),
    ]
    assert found[1]["difference"]["value"] == pytest.approx(-0.15)
    assert "who took something new" in found[1]["text"]


def test_the_deciding_table() -> None:
    assert _failures(GATE, {"cold": _table(0.3, popular=0.2)}) == []
    assert "customers without a purchase" in _failures(GATE, {"cold": _table(0.1, popular=0.2)})[0]
    searching = GATE.model_copy(update={"task": "search"})
    assert _failures(searching, {"search": _table(0.3, popular=0.2)}) == []
    assert "has no search" in _failures(searching, {"warm": _table(0.3, popular=0.2)})[0]


def test_what_cannot_be_judged_is_not_blessed() -> None:
    assert "there is nothing to judge the model by" in _failures(GATE, {})[0]
    gate = GATE.model_copy(update={"checks": (GateCheck(table="new", metric="recall@5"),)})
    [failure] = _failures(gate, {"warm": _table(0.3, popular=0.2)})
    assert "nothing to judge recall@5 of table 'new' by" in failure
    assert "gate.checks" in failure


def test_a_broken_promise_fails() -> None:
    assert "7 items" in _failures(GATE, {"warm": _table(0.3, broken=7, popular=0.2)})[0]
