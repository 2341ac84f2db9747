"""The sections that say where the tables lie, how they are cleaned and how time splits them."""

from __future__ import annotations

import datetime
from typing import Literal

import pydantic

from pipeline import schema


class Section(pydantic.BaseModel):
    """A section of the YAML: unknown keys are errors, values cannot change after loading."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class CleaningRule(Section):
    """One reason to drop rows of a table. Rules run in the order in which they stand in the YAML."""

    rule: Literal["cancelled", "non_positive", "missing", "duplicate", "outlier", "unknown_reference"]
    column: str | None = pydantic.Field(None, description="canonical column that the rule looks at")
    columns: tuple[str, ...] = pydantic.Field((), description="duplicate: rows equal in all of these are one")
    prefix: str | None = pydantic.Field(None, description="cancelled: values that start so are cancelled")
    values: tuple[str, ...] = pydantic.Field((), description="cancelled: values that mean cancelled")
    min: float | None = pydantic.Field(None, description="outlier: smallest value kept")
    max: float | None = pydantic.Field(None, description="outlier: largest value kept")

    @pydantic.model_validator(mode="after")
    def _complete(self) -> CleaningRule:
        if self.rule == "duplicate":
            if not self.columns:
                raise ValueError("rule 'duplicate' needs 'columns', the list of columns that make two rows the same")
        elif self.column is None:
            raise ValueError(f"rule '{self.rule}' needs 'column'")
        if self.rule == "cancelled" and self.prefix is None and not self.values:
            raise ValueError("rule 'cancelled' needs 'prefix' or 'values'")
        if self.rule == "outlier" and self.min is None and self.max is None:
            raise ValueError("rule 'outlier' needs 'min', 'max' or both")
        return self


class TableConfig(Section):
    """Where a table lies and how its columns are called there."""

    path: str | None = pydantic.Field(None, description="file or glob; relative to the YAML's folder")
    format: Literal["auto", "csv", "parquet", "jsonl", "ubi"] = pydantic.Field(
        "auto", description="auto goes by the file's ending: .csv .csv.gz .parquet .jsonl .ndjson and .gz of these"
    )
    delimiter: str = pydantic.Field(",", pattern=r"^[\t !#-~]$", description="csv: the character between fields")
    queries_path: str | None = pydantic.Field(None, description="ubi: the file of queries beside the events")
    columns: dict[str, str | tuple[str, ...]] = pydantic.Field(
        default_factory=dict,
        description="canonical column: the shop's name for it; several names are joined with a space. A column "
        "that is not listed is read under its own name where the file has it. 'a.b' reaches into nested JSON",
    )
    constants: dict[str, str] = pydantic.Field(
        default_factory=dict, description="canonical column: a value that every row gets"
    )
    event_types: dict[str, str] = pydantic.Field(
        default_factory=dict,
        description="events: the shop's event type: ours, or 'ignore' to leave such rows out (they are counted)",
    )
    from_events: bool = pydantic.Field(False, description="items: derive the table from the events")
    cleaning: tuple[CleaningRule, ...] = pydantic.Field((), description="rules, applied in this order")

    @pydantic.field_validator("event_types")
    @classmethod
    def _known_types(cls, value: dict[str, str]) -> dict[str, str]:
        allowed = (*schema.EVENT_TYPES, "ignore")
        for theirs, ours in value.items():
            if ours not in allowed:
                raise ValueError(f"'{theirs}' is mapped to '{ours}'; allowed are {', '.join(allowed)}")
        return value


class TablesConfig(Section):
    """The shop's three tables. Only events are required; items may be derived from them."""

    events: TableConfig
    items: TableConfig
    users: TableConfig | None = None

    @pydantic.model_validator(mode="after")
    def _paths(self) -> TablesConfig:
        if self.events.path is None:
            raise ValueError("tables.events.path is missing: name the file of events")
        if self.items.path is None and not self.items.from_events:
            raise ValueError("tables.items needs a 'path', or 'from_events: true' to derive the items")
        if self.items.path is not None and self.items.from_events:
            raise ValueError("tables.items has both 'path' and 'from_events: true'; keep one")
        return self


class SplitConfig(Section):
    """The split by time: train | validation_days | test_start ... test_days."""

    test_start: datetime.date = pydantic.Field(
        description="first day that the model must not see. After the last event the final model learns from "
        "everything and the gate judges on the validation weeks"
    )
    test_days: int = pydantic.Field(28, ge=1, description="length of the test window, days")
    validation_days: int = pydantic.Field(28, ge=1, description="length of the validation window before it, days")
    truth_events: tuple[str, ...] = pydantic.Field(
        ("purchase",), min_length=1, description="event types that count as hits in the windows"
    )
