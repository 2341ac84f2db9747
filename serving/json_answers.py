"""Tensors to the JSON of TensorFlow Serving's REST answers, number by number as it writes them."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import Code, ServingError

BYTES_SUFFIX = "_bytes"
# float type: the digits after which each of its numbers is told from the next
_DIGITS = {np.dtype(np.float32): 9, np.dtype(np.float64): 17}
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_WORDS = frozenset(_NOT_FINITE.values())


def write_predictions(outputs: Mapping[str, NDArray[Any]], *, rows: bool) -> str:
    """Writes the answer to a predict request.

    Args:
      outputs: output alias: tensor; with `rows`, the first dimension is the row.
      rows: whether the request came as `instances`.

    Returns:
      `{"predictions": [...]}` or `{"outputs": ...}`; a single output is a plain list.

    Raises:
      ServingError: INVALID_ARGUMENT if the outputs cannot be rows.
    """
    if not outputs:
        raise ServingError(Code.INVALID_ARGUMENT, "Cannot convert empty tensor map to JSON")
    aliases = sorted(outputs)
    if not rows:
        parts = {alias: _nested(_texts(alias, outputs[alias]), outputs[alias].shape) for alias in aliases}
        return f'{{\n    "outputs": {_collapsed(parts)}\n}}'
    count = _row_count(outputs)
    columns = {alias: _row_texts(alias, outputs[alias]) for alias in aliases}
    lines = [_collapsed({alias: columns[alias][row] for alias in aliases}) for row in range(count)]
    return '{\n    "predictions": [' + ",\n        ".join(lines) + "]\n}"


def write_classes(result: Any) -> str:
    """Writes a ClassificationResult: `{"results": [[[label, score], ...], ...]}`, one list an Example."""
    lines = []
    for classification in result.classifications:
        scores = _decimals(np.array([one.score for one in classification.classes], np.float32))
        labels = (json.dumps(one.label, ensure_ascii=False) for one in classification.classes)
        lines.append("[" + ", ".join(f"[{label}, {score}]" for label, score in zip(labels, scores, strict=True)) + "]")
    return '{\n    "results": [' + ",\n        ".join(lines) + "]\n}"


def write_numbers(result: Any) -> str:
    """Writes a RegressionResult: `{"results": [number, ...]}`, one an Example."""
    numbers = _decimals(np.array([regression.value for regression in result.regressions], np.float32))
    return f'{{\n    "results": [{", ".join(numbers)}]\n}}'


def _collapsed(parts: Mapping[str, str]) -> str:
    if len(parts) == 1:
        return next(iter(parts.values()))
    return "{" + ", ".join(f"{json.dumps(alias)}: {text}" for alias, text in parts.items()) + "}"


def _row_count(outputs: Mapping[str, NDArray[Any]]) -> int:
    count = -1
    for alias, value in outputs.items():
        if value.ndim == 0:
            raise ServingError(Code.INVALID_ARGUMENT, f"Tensor name: {alias} has no shape information ")
        if count not in (-1, value.shape[0]):
            raise ServingError(
                Code.INVALID_ARGUMENT,
                f"Tensor name: {alias} has inconsistent batch size: {value.shape[0]} expecting: {count}",
            )
        count = value.shape[0]
    return count


def _row_texts(alias: str, value: NDArray[Any]) -> list[str]:
    return _bracketed(_texts(alias, value), value.shape, 1)


def _nested(texts: Sequence[str], shape: Sequence[int]) -> str:
    return _bracketed(texts, shape, 0)[0]


def _bracketed(texts: Sequence[str], shape: Sequence[int], outer: int) -> list[str]:
    """Joins the texts of a tensor's numbers into lists, the innermost first, but leaves the `outer` first axes."""
    joined = list(texts)
    for axis in range(len(shape) - 1, outer - 1, -1):
        width = shape[axis]
        count = math.prod(shape[:axis])
        joined = ["[" + ", ".join(joined[place * width : (place + 1) * width]) + "]" for place in range(count)]
    return joined


def _texts(alias: str, value: NDArray[Any]) -> list[str]:
    flat = value.ravel()
    if flat.dtype.kind == "O":
        write = _base64_text if alias.endswith(BYTES_SUFFIX) else _string_text
        return [write(element) for element in flat.tolist()]
    if flat.dtype.kind == "b":
        return ["true" if element else "false" for element in flat.tolist()]
    if flat.dtype.kind in "iu":
        return [str(element) for element in flat.tolist()]
    if flat.dtype in _DIGITS:
        return _decimals(flat)
    raise ServingError(Code.INVALID_ARGUMENT, f"Failed to write JSON value for tensor type: {flat.dtype}")


def _decimals(values: NDArray[Any]) -> list[str]:
    """Six digits if they read back as the same number, else all that the type needs; whole numbers get `.0`."""
    if not values.size:
        return []
    numbers = values.tolist()
    texts = [f"{number:g}" for number in numbers]
    with np.errstate(over="ignore"):
        same = np.array(texts).astype(np.float64).astype(values.dtype) == values
    digits = _DIGITS[values.dtype]
    for place in np.flatnonzero(~same).tolist():
        texts[place] = f"{numbers[place]:.{digits}g}"
    for place in np.flatnonzero(~np.isfinite(values)).tolist():
        texts[place] = _NOT_FINITE[texts[place]]
    return [text if "." in text or "e" in text or text in _WORDS else text + ".0" for text in texts]


def _base64_text(value: bytes) -> str:
    return json.dumps({"b64": base64.b64encode(value).decode()})


def _string_text(value: bytes) -> str:
    return json.dumps(value.decode("utf-8", errors="surrogateescape"), ensure_ascii=False)
