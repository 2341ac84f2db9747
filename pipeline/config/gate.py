"""The section that says what a model must show before it is pushed."""

from __future__ import annotations

from typing import Literal

import pydantic

from pipeline.config.tables import Section

Table = Literal["warm", "new", "cold", "search"]
METRIC_PATTERN = r"^(recall|ndcg|mrr|hit_rate|map)@[1-9][0-9]*$"


class GateCheck(Section):
    """One more test, beside the one that `gate.task` and `gate.metric` make."""

    table: Table = pydantic.Field(description="which cases are judged")
    metric: str = pydantic.Field(pattern=METRIC_PATTERN)
    rivals: tuple[str, ...] | None = pydantic.Field(None, description="those of gate.rivals where it is left out")
    tolerance: float | None = pydantic.Field(None, ge=0, description="gate.tolerance where it is left out")


class GateConfig(Section):
    """What a model must show before it is pushed: that it is no worse than each rival and than the last blessed model.

    A test fails where the whole interval of the paired difference, model minus rival, lies below minus the
    tolerance: where the model is worse, and that is no chance.
    """

    task: Literal["recommend", "search"] = pydantic.Field("recommend", description="which requests are judged")
    metric: str = pydantic.Field("ndcg@20", pattern=METRIC_PATTERN, description="training stops by it, too")
    rivals: tuple[str, ...] = pydantic.Field(("popular",), description="simple rankers that it must not lose to")
    last_blessed: bool = pydantic.Field(True, description="it must not lose to the model that is pushed, either")
    tolerance: float = pydantic.Field(0.0, ge=0, description="how far below a rival is still no loss")
    confidence: float = pydantic.Field(
        0.95, ge=0, lt=1, description="of the bootstrap intervals of paired differences; 0 compares the plain means"
    )
    checks: tuple[GateCheck, ...] = pydantic.Field((), description="more tests: other tables, metrics, rivals")

    def all_checks(self, table: Table) -> tuple[GateCheck, ...]:
        """Lists every test with its rivals and its tolerance.

        Args:
          table: where the cases of `task` stand.
        """
        first = GateCheck(table=table, metric=self.metric)
        return tuple(
            GateCheck(
                table=check.table,
                metric=check.metric,
                rivals=self.rivals if check.rivals is None else check.rivals,
                tolerance=self.tolerance if check.tolerance is None else check.tolerance,
            )
            for check in (first, *self.checks)
        )

    def all_rivals(self) -> tuple[str, ...]:
        """Lists the rankers that the tests name, each once."""
        more = (rival for check in self.checks for rival in check.rivals or ())
        return tuple(dict.fromkeys((*self.rivals, *more)))
