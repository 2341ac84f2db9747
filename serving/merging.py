"""Which calls may run as one, what they are together, and which part of the answer is whose.

A model with aisle's contract answers each row by itself, and its contract says what fills up a row. Of any other
model that is not known: its calls are put together only where the operator says so.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import Code, ServingError
from serving.options import K_INPUT
from serving.predictor import Signature

Tensors = Mapping[str, NDArray[Any]]


class Merger(ABC):
    """How calls of one signature go together.

    Args:
      signature: the signature.
    """

    def __init__(self, signature: Signature) -> None:
        self.signature = signature

    @abstractmethod
    def rows(self, inputs: Tensors) -> int:
        """Counts the rows of a call, 0 if it must run alone.

        Raises:
          ServingError: if the call has no number of rows, in TensorFlow Serving's words.
        """

    @abstractmethod
    def kind(self, inputs: Tensors) -> Hashable:
        """Returns what two calls must share to run as one."""

    def join(self, calls: Sequence[Tensors], rows: Sequence[int], filled: int) -> dict[str, NDArray[Any]]:
        """Puts the inputs of calls of one kind together.

        Args:
          calls: input alias: value, of each call.
          rows: of each call.
          filled: how many rows the result has at least; the first row is repeated at its end.
        """
        missing = filled - sum(rows)
        joined = {}
        for alias in calls[0]:
            parts = [_spread(call[alias], count) for call, count in zip(calls, rows, strict=True)]
            if missing > 0:
                parts.append(np.repeat(parts[0][:1], missing, axis=0))
            joined[alias] = np.concatenate(_widened(parts))
        return joined

    def split(self, outputs: Tensors, rows: Sequence[int], filled: int) -> list[dict[str, NDArray[Any]]]:
        """Takes the outputs apart again.

        Args:
          outputs: output alias: value, of all calls.
          rows: of each call.
          filled: how many rows were asked.

        Raises:
          ServingError: FAILED_PRECONDITION if an output has another number of rows than the inputs.
        """
        for value in outputs.values():
            if not value.ndim:
                raise ServingError(Code.FAILED_PRECONDITION, "Batched output tensor has 0 dimensions")
            if len(value) != filled:
                raise ServingError(
                    Code.FAILED_PRECONDITION,
                    "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the "
                    "input tensors",
                )
        ends = np.cumsum(rows).tolist()
        return [
            {alias: value[end - count : end] for alias, value in outputs.items()}
            for end, count in zip(ends, rows, strict=True)
        ]


class PlainMerger(Merger):
    """Any model's calls, as the stock server puts them together.

    Args:
      signature: the signature.
      pads: whether inputs of different widths go together.
    """

    def __init__(self, signature: Signature, *, pads: bool) -> None:
        super().__init__(signature)
        self._pads = pads

    def rows(self, inputs: Tensors) -> int:
        """Counts rows; see `Merger.rows`."""
        if any(not value.ndim for value in inputs.values()):
            raise ServingError(Code.INVALID_ARGUMENT, "Batching Run() input tensors must have at least one dimension")
        counts = {len(value) for value in inputs.values()}
        if len(counts) > 1:
            raise ServingError(Code.INVALID_ARGUMENT, "Batching Run() input tensors must have equal 0th-dimension size")
        return counts.pop() if counts else 0

    def kind(self, inputs: Tensors) -> Hashable:
        """Tells calls apart by types and widths; see `Merger.kind`."""
        return tuple(
            (alias, value.dtype.str, value.ndim if self._pads else value.shape[1:])
            for alias, value in sorted(inputs.items())
        )


class ContractMerger(Merger):
    """Calls of a model with aisle's contract.

    Missing inputs count for all rows, and "" and 0 fill up lists. What one row asks for may widen what is computed for
    all (`k`, diversity, caps), so only calls that ask for the same things go together.
    """

    def rows(self, inputs: Tensors) -> int:
        """Counts rows by the inputs without a default; see `Merger.rows`."""
        signature = self.signature
        counts = {len(value) if value.ndim else 0 for alias, value in inputs.items() if alias not in signature.defaults}
        if len(counts) != 1:
            return 0
        rows = counts.pop()
        fits = all(value.ndim and len(value) in (1, rows) for value in inputs.values())
        return rows if fits else 0

    def kind(self, inputs: Tensors) -> Hashable:
        """Tells calls apart by what they bring and want; see `Merger.kind`."""
        widths = [value.shape[1] for alias, value in inputs.items() if value.ndim == 2 and value.shape[0]]
        # One value may count for a whole list beside it: filled up, it would not any more.
        mixed = 1 in widths and max(widths) > 1
        found: list[Hashable] = [mixed]
        for alias, value in sorted(inputs.items()):
            default = self.signature.defaults.get(alias)
            told: Hashable = value.ndim
            if default is None or (mixed and value.shape[1:] == (1,)):
                told = value.shape[1:]
            elif value.ndim == 1 and value.dtype != object:
                told = bool((value != default).any())
            elif mixed:
                told = "wide"
            found.append((alias, value.dtype.str, told))
        wanted = inputs.get(K_INPUT)
        if wanted is not None and wanted.size and wanted.dtype.kind in "iu":
            found.append(int(wanted.max()))
        return tuple(found)


def _spread(value: NDArray[Any], rows: int) -> NDArray[Any]:
    return value if len(value) == rows else np.repeat(value, rows, axis=0)


def _widened(parts: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Fills arrays up to the same size in all dimensions but the first, with b"" or zeros."""
    sizes = [max(part.shape[axis] for part in parts) for axis in range(1, parts[0].ndim)]
    widened = []
    for part in parts:
        if list(part.shape[1:]) == sizes:
            widened.append(part)
            continue
        wide = np.full((len(part), *sizes), b"" if part.dtype == object else 0, dtype=part.dtype)
        wide[tuple(slice(length) for length in part.shape)] = part
        widened.append(wide)
    return widened
