"""OpenSearch's User Behavior Insights: a file of searches and a file of what people did with the results.

Both are JSON lines and share `query_id`. An event takes the search text (and the client, where it lacks
one) from its query, so the queries are held in memory, the events are not. Every query becomes a `search`.
"""

from __future__ import annotations

from typing import Any

from pipeline.config import TableConfig
from pipeline.sources.json_lines import JsonLines, Row
from pipeline.sources.source import REPEATED_SEARCH, BadRow, SourcePart

_EVENT_COLUMNS: dict[str, str | tuple[str, ...]] = {
    "user_id": "client_id",
    "session_id": "session_id",
    "item_id": "event_attributes.object.object_id",
    "timestamp": "timestamp",
    "event_type": "action_name",
    "query": "user_query",
    "position": "event_attributes.position.ordinal",
}
_QUERY_COLUMNS = ("user_id", "session_id", "timestamp", "query")
_EVENT_TYPES = {"impression": "ignore", "add_to_cart": "cart"}
_FROM_QUERY = ("user_query", "client_id")


def ubi_table(table: TableConfig, part: SourcePart) -> TableConfig:
    """Fills a table's configuration with the names that UBI fixes; what the shop says goes first."""
    columns = {**_EVENT_COLUMNS, **table.columns}
    constants = dict(table.constants)
    if part.format == "ubi_queries":
        extra = [name for name in table.columns if name not in _EVENT_COLUMNS]
        columns = {name: columns[name] for name in (*_QUERY_COLUMNS, *extra)}
        constants["event_type"] = "search"
    columns = {name: source for name, source in columns.items() if name not in constants}
    return table.model_copy(
        update={"columns": columns, "constants": constants, "event_types": {**_EVENT_TYPES, **table.event_types}}
    )


class UbiQueries(JsonLines):
    """Reads the searches; a search that was recorded several times counts once."""

    def __init__(self, part: SourcePart) -> None:
        super().__init__(part)
        self._met: set[tuple[str, str]] = set()

    def complete(self, rows: list[Row], numbers: list[int]) -> tuple[list[Row], list[int], list[BadRow]]:
        """Leaves repetitions out."""
        kept, kept_numbers, repeated = [], [], []
        for row, number in zip(rows, numbers, strict=True):
            key = (str(row.get("query_id")), str(row.get("user_query")))
            if row.get("query_id") is not None and key in self._met:
                repeated.append(BadRow(REPEATED_SEARCH, number, key[1][:80]))
                continue
            self._met.add(key)
            kept.append(row)
            kept_numbers.append(number)
        return kept, kept_numbers, repeated


class UbiEvents(JsonLines):
    """Reads the events, each completed from its query."""

    def __init__(self, part: SourcePart) -> None:
        super().__init__(part)
        self._queries: dict[str, tuple[Any, ...]] | None = None

    def complete(self, rows: list[Row], numbers: list[int]) -> tuple[list[Row], list[int], list[BadRow]]:
        """Adds the search text, and the client where the event has none."""
        if self._queries is None:
            self._queries = _load_queries(self.part)
        for row in rows:
            found = self._queries.get(str(row.get("query_id")))
            for name, value in zip(_FROM_QUERY, found or (), strict=False):
                row[name] = row.get(name) or value
        return rows, numbers, []


def _load_queries(part: SourcePart) -> dict[str, tuple[Any, ...]]:
    queries: dict[str, tuple[Any, ...]] = {}
    for index, path in enumerate(part.queries):
        source = JsonLines(SourcePart(part.table, index, path, "jsonl", rows=0))
        for batch in source.batches(("query_id", *_FROM_QUERY)):
            empty = [None] * len(batch.rows)
            ids, *columns = (
                batch.columns[name].to_pylist() if name in batch.columns else empty
                for name in ("query_id", *_FROM_QUERY)
            )
            for key, *values in zip(ids, *columns, strict=True):
                queries.setdefault(str(key), tuple(values))
    return queries
