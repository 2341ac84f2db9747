"""Tensors to the JSON of TensorFlow Serving's REST answers, number by number as it writes them."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import Code, ServingError

BYTES_SUFFIX = "_bytes"


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
        pairs = (
            f"[{json.dumps(one.label, ensure_ascii=False)}, {_float(one.score)}]" for one in classification.classes
        )
        lines.append("[" + ", ".join(pairs) + "]")
    return '{\n    "results": [' + ",\n        ".join(lines) + "]\n}"


def write_numbers(result: Any) -> str:
    """Writes a RegressionResult: `{"results": [number, ...]}`, one an Example."""
    numbers = ", ".join(_float(regression.value) for regression in result.regressions)
    return f'{{\n    "results": [{numbers}]\n}}'


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
    texts = iter(_texts(alias, value))
    return [_take(texts, value.shape[1:]) for _ in range(value.shape[0])]


def _nested(texts: Sequence[str], shape: Sequence[int]) -> str:
    return _take(iter(texts), shape)


def _take(texts: Iterator[str], shape: Sequence[int]) -> str:
    if not shape:
        return next(texts)
    return "[" + ", ".join(_take(texts, shape[1:]) for _ in range(shape[0])) + "]"


def _texts(alias: str, value: NDArray[Any]) -> list[str]:
    flat = value.ravel()
    if flat.dtype.kind == "O":
        write = _base64_text if alias.endswith(BYTES_SUFFIX) else _string_text
        return [write(element) for element in flat.tolist()]
    if flat.dtype.kind == "b":
        return ["true" if element else "false" for element in flat.tolist()]
    if flat.dtype.kind in "iu":
        return [str(element) for element in flat.tolist()]
    if flat.dtype == np.float32:
        return [_float(element) for element in flat.tolist()]
    if flat.dtype == np.float64:
        return [_decimal(element, float, 17) for element in flat.tolist()]
    raise ServingError(Code.INVALID_ARGUMENT, f"Failed to write JSON value for tensor type: {flat.dtype}")


def _float(value: float) -> str:
    return _decimal(value, np.float32, 9)


def _decimal(value: float, parse: Callable[[str], Any], digits: int) -> str:
    """Six digits if they read back as the same number, else all that the type needs; whole numbers get `.0`."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    text = f"{value:g}"
    if parse(text) != value:
        text = f"{value:.{digits}g}"
    return text if "." in text or "e" in text else text + ".0"


def _base64_text(value: bytes) -> str:
    return json.dumps({"b64": base64.b64encode(value).decode()})


def _string_text(value: bytes) -> str:
    return json.dumps(value.decode("utf-8", errors="surrogateescape"), ensure_ascii=False)
