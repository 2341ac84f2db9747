"""What a client asks and is answered, as dataclasses, and the tensors that these become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.rules import Rules


@dataclass(frozen=True)
class Why:
    """Why a search answers an item.

    Args:
      similarity: how near its meaning is to that of the request, -1 to 1.
      matched_words: the words of the query, as they were read, that its texts have.
      named: whether the query names it (item id, model number, brand) or quotes its title.
    """

    similarity: float
    matched_words: tuple[str, ...]
    named: bool


@dataclass(frozen=True)
class ScoredItem:
    """One answer.

    Args:
      item_id: the item.
      score: how well it fits.
      title: its name.
      price: what it costs; None where unknown.
      why: why a search answers it; None for other answers.
    """

    item_id: str
    score: float
    title: str = ""
    price: float | None = None
    why: Why | None = None


@dataclass(frozen=True)
class History:
    """What a user did before the request, newest first.

    Args:
      item_ids: the items.
      event_types: what was done with each; may be left out.
      ages_days: how long ago each was, days before the request; may be left out.
      quantities: how many pieces of each; may be left out, and 0 stands for unknown.
    """

    item_ids: Sequence[str] = ()
    event_types: Sequence[str] = ()
    ages_days: Sequence[float] = ()
    quantities: Sequence[float] = ()

    def __post_init__(self) -> None:
        for name in ("event_types", "ages_days", "quantities"):
            values = getattr(self, name)
            if len(values) not in (0, len(self.item_ids)):
                raise ValueError(
                    f"a history of {len(self.item_ids)} items has {len(values)} {name}; leave out or give all"
                )


@dataclass(frozen=True)
class Moment:
    """When and where a request is made.

    Args:
      timestamp: seconds since 1970 UTC; None means now, by the server's clock.
      context: context column: value, for example `{"country": "France"}`.
    """

    timestamp: int | None = None
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VersionState:
    """One version that a server knows of, and its state, for example AVAILABLE."""

    version: int
    state: str
    error: str = ""


def shared_inputs(
    rows: int,
    *,
    histories: Sequence[History] | None = None,
    moments: Sequence[Moment] | None = None,
    queries: Sequence[str] | None = None,
    exclude_item_ids: Sequence[Sequence[str]] | None = None,
    k: int | None = None,
    rules: Rules | None = None,
) -> dict[str, NDArray[Any]]:
    """Builds the inputs that several signatures share; what is not given stays away, and the model's default holds."""
    inputs: dict[str, NDArray[Any]] = {}
    if histories is not None:
        inputs |= _history_inputs(histories)
    if moments is not None:
        inputs["timestamp"] = np.array([moment.timestamp or 0 for moment in moments], dtype=np.int64)
        for column in sorted({column for moment in moments for column in moment.context}):
            inputs[column] = text_tensor([moment.context.get(column, "") for moment in moments])
    if queries is not None:
        inputs["query"] = text_tensor(queries)
    if exclude_item_ids is not None:
        inputs["exclude_item_ids"] = padded_tensor(exclude_item_ids)
    if k is not None:
        inputs["k"] = np.full(rows, k, dtype=np.int32)
    return inputs if rules is None else inputs | rules.inputs(rows)


def _history_inputs(histories: Sequence[History]) -> dict[str, NDArray[Any]]:
    ids = padded_tensor([history.item_ids for history in histories])
    inputs: dict[str, NDArray[Any]] = {"history_item_ids": ids}
    if any(history.event_types for history in histories):
        types = np.full(ids.shape, b"", dtype=object)
        for row, history in enumerate(histories):
            types[row, : len(history.event_types)] = [kind.encode() for kind in history.event_types]
        inputs["history_event_types"] = types
    for name in ("ages_days", "quantities"):
        given: list[Sequence[float]] = [getattr(history, name) for history in histories]
        if any(given):
            numbers = np.zeros(ids.shape, dtype=np.float32)
            for row, values in enumerate(given):
                numbers[row, : len(values)] = values
            inputs[f"history_{name}"] = numbers
    return inputs


def text_tensor(values: Sequence[str]) -> NDArray[Any]:
    """Makes a string tensor, [row]."""
    array = np.empty(len(values), dtype=object)
    array[:] = [value.encode() for value in values]
    return array


def padded_tensor(rows: Sequence[Sequence[str]]) -> NDArray[Any]:
    """Makes a string tensor, [row, longest row], with "" at the ends of shorter rows."""
    width = max(1, *(len(row) for row in rows)) if rows else 1
    array = np.full((len(rows), width), b"", dtype=object)
    for position, row in enumerate(rows):
        array[position, : len(row)] = [value.encode() for value in row]
    return array


def scored_items(outputs: Mapping[str, NDArray[Any]]) -> list[list[ScoredItem]]:
    """Reads the outputs of a signature that answers items; padding at the ends of rows is left out."""
    ids, scores = outputs["item_ids"], outputs["scores"]
    titles, prices = outputs.get("titles", np.full_like(ids, b"")), outputs.get("prices", np.zeros_like(scores))

    def item(row: int, place: int) -> ScoredItem:
        cell = (row, place)
        price = float(prices[cell]) or None
        return ScoredItem(_text(ids[cell]), float(scores[cell]), _text(titles[cell]), price, _why(outputs, cell))

    return [[item(row, place) for place, item_id in enumerate(line) if item_id] for row, line in enumerate(ids)]


def _why(outputs: Mapping[str, NDArray[Any]], cell: tuple[int, int]) -> Why | None:
    if "similarities" not in outputs:
        return None
    words = _text(outputs["matched_words"][cell]).split()
    return Why(float(outputs["similarities"][cell]), tuple(words), bool(outputs["named"][cell]))


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
