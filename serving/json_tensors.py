"""The JSON of TensorFlow Serving's REST API: requests to tensors and tensors to answers, by its rules and texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import Code, ServingError
from serving.json_documents import (
    TOO_BIG,
    decode_base64,
    encode_text,
    invalid,
    is_base64,
    parse_object,
    show,
    shown,
    signature_name,
)
from serving.tensors import STRING, Dtype, TensorError, dtype_of

_FLOATS = ("float", "double", "half", "bfloat16")
# Small integers travel as int32, and what does not fit wraps: so the stock server does.
_SMALL_INT_LIMITS = (-(2**31), 2**31)
_INT_LIMITS = {"uint32": (0, 2**32), "uint64": (0, 2**64), "int64": (-(2**63), 2**63)}


@dataclass(frozen=True)
class PredictCall:
    """A parsed predict request.

    Args:
      signature_name: "" for the default one.
      document: the JSON object.
      rows: whether it came as `instances`; else as `inputs`.
    """

    signature_name: str
    document: Mapping[str, Any]
    rows: bool


def parse_call(body: bytes, most_levels: int = 0) -> PredictCall:
    """Reads the body of a predict request as far as it can be read without knowing the model.

    Args:
      body: JSON in UTF-8.
      most_levels: how deep its brackets may be; 0 leaves that to the parser.

    Raises:
      ServingError: INVALID_ARGUMENT, in the stock server's words.
    """
    document = parse_object(body, most_levels)
    name = signature_name(document)
    rows, columns = "instances" in document, "inputs" in document
    if rows and columns:
        raise invalid(
            f"{show(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
        )
    if not rows and not columns:
        raise ServingError(Code.INVALID_ARGUMENT, "Missing 'inputs' or 'instances' key")
    if rows and not isinstance(document["instances"], list):
        raise invalid(f"{show(document)} Expecting 'instances' to be an list/array")
    if rows and not document["instances"]:
        raise invalid(f"{show(document)} No values in 'instances' array")
    return PredictCall(name, document, rows)


def read_inputs(call: PredictCall, infos: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Turns a request into tensors.

    Args:
      call: the parsed request.
      infos: input alias: TensorInfo of the signature.

    Returns:
      Input alias: tensor.

    Raises:
      ServingError: INVALID_ARGUMENT, in the stock server's words.
    """
    dtypes = {alias: _dtype(info) for alias, info in infos.items()}
    if not dtypes:
        name = call.signature_name or "DEFAULT"
        raise ServingError(Code.INVALID_ARGUMENT, f"Failed to get input map for signature: {name}")
    if call.rows:
        return _read_rows(call.document["instances"], dtypes)
    return _read_columns(call.document["inputs"], dtypes)


def _read_columns(value: Any, dtypes: Mapping[str, Dtype]) -> dict[str, NDArray[Any]]:
    if not _is_object(value):
        if len(dtypes) > 1:
            raise ServingError(
                Code.INVALID_ARGUMENT,
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map",
            )
        alias, dtype = next(iter(dtypes.items()))
        return {alias: _to_array(value, dtype)}
    for alias in dtypes:
        if alias not in value:
            raise ServingError(Code.INVALID_ARGUMENT, f"Missing named input: {alias} in 'inputs' object.")
    return {alias: _to_array(value[alias], dtype) for alias, dtype in dtypes.items()}


def _read_rows(rows: Sequence[Any], dtypes: Mapping[str, Dtype]) -> dict[str, NDArray[Any]]:
    if not isinstance(rows[0], dict) and len(dtypes) > 1:
        raise ServingError(
            Code.INVALID_ARGUMENT,
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map",
        )
    named = _is_object(rows[0])
    if not named:
        alias, dtype = next(iter(dtypes.items()))
        array = _even_array(list(rows), dtype)
        if array is not None:
            return {alias: array}
    columns: dict[str, list[NDArray[Any]]] = {alias: [] for alias in dtypes}
    for position, row in enumerate(rows):
        if named != _is_object(row):
            came = "Expecting object but got list" if named else "Expecting value/list but got object"
            raise ServingError(Code.INVALID_ARGUMENT, f"{came} at item {position} of input list")
        for alias, value in row.items() if named else ((next(iter(dtypes)), row),):
            _add_cell(columns, dtypes, alias, value, f"{position} key: {alias}" if named else str(position))
        if named and row.keys() != dtypes.keys():
            raise ServingError(
                Code.INVALID_ARGUMENT,
                f"Failed to process element: {position} of 'instances' list. JSON object: {shown(row)} "
                f"keys must be equal to: {','.join(sorted(dtypes))}",
            )
    return {alias: np.stack(cells) for alias, cells in columns.items()}


def _add_cell(
    columns: Mapping[str, list[NDArray[Any]]], dtypes: Mapping[str, Dtype], alias: str, value: Any, place: str
) -> None:
    try:
        if alias not in dtypes:
            raise ServingError(Code.INVALID_ARGUMENT, f"JSON object: does not have named input: {alias}")
        cell = _to_array(value, dtypes[alias])
        first = columns[alias][0] if columns[alias] else cell
        if first.size != cell.size:
            raise ServingError(Code.INVALID_ARGUMENT, f"Expecting tensor size: {first.size} but got: {cell.size}")
        if first.shape != cell.shape:
            raise ServingError(Code.INVALID_ARGUMENT, f"Expecting shape {_dims(first)} but got: {_dims(cell)}")
    except ServingError as error:
        raise ServingError(
            Code.INVALID_ARGUMENT, f"Failed to process element: {place} of 'instances' list. Error: {error}"
        ) from error
    columns[alias].append(cell)


def _to_array(value: Any, dtype: Dtype) -> NDArray[Any]:
    array = _even_array(value, dtype) if isinstance(value, list) else None
    if array is not None:
        return array
    shape: list[int] = []
    inner = value
    while isinstance(inner, list):
        shape.append(len(inner))
        inner = inner[0] if inner else None
    return _typed(list(_leaves(value, 0, shape, dtype)), dtype).reshape(shape)


def _even_array(value: list[Any], dtype: Dtype) -> NDArray[Any] | None:
    """Reads what is as it should be, a level of brackets at a time; None where a closer look must say what is wrong."""
    shape, level = [len(value)], value
    while level and set(map(type, level)) == {list}:
        if len(set(map(len, level))) != 1:
            return None
        shape.append(len(level[0]))
        level = list(chain.from_iterable(level))
    if dtype.name in _FLOATS:
        fitting = set(map(type, level)) <= {float, int}
    elif dtype.numpy.kind in "iu":
        low, high = _INT_LIMITS.get(dtype.name, _SMALL_INT_LIMITS)
        fitting = set(map(type, level)) <= {int} and (not level or (low <= min(level) and max(level) < high))
    else:
        return None
    try:
        return _typed(level, dtype).reshape(shape) if fitting else None
    except OverflowError:
        return None


def _typed(leaves: list[Any], dtype: Dtype) -> NDArray[Any]:
    if dtype is STRING:
        array = np.empty(len(leaves), dtype=object)
        array[:] = leaves
        return array
    if dtype.numpy.kind in "iu":
        carrier = np.uint64 if dtype.name == "uint64" else np.int64
        return np.array(leaves, dtype=carrier).astype(dtype.numpy)
    with np.errstate(over="ignore"):  # 1e39 is infinity to a float, for the stock server too
        return np.array(leaves, dtype=np.float64 if dtype.name in _FLOATS else dtype.numpy).astype(dtype.numpy)


def _leaves(value: Any, level: int, shape: Sequence[int], dtype: Dtype) -> Iterator[Any]:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid(
                f"{show(value)} found at incorrect level: {level + 1} in the JSON DOM. Expected at level: {len(shape)}"
            )
        yield _leaf(value, dtype)
        return
    if level >= len(shape):
        raise ServingError(
            Code.INVALID_ARGUMENT, f"Encountered list at unexpected level: {level} expected < {len(shape)}"
        )
    if len(value) != shape[level]:
        raise ServingError(
            Code.INVALID_ARGUMENT,
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}",
        )
    for element in value:
        yield from _leaves(element, level + 1, shape, dtype)


def _leaf(value: Any, dtype: Dtype) -> Any:
    if dtype is STRING:
        if isinstance(value, str):
            return encode_text(value)
        if isinstance(value, dict):
            return decode_base64(value)
    elif dtype.name == "bool":
        if isinstance(value, bool):
            return value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if dtype.name in _FLOATS:
            return _to_float(value)
        low, high = _INT_LIMITS.get(dtype.name, _SMALL_INT_LIMITS)
        if isinstance(value, int) and low <= value < high:
            return value
    kind = {dict: "Object", list: "Array", str: "String", bool: str(value), type(None): "Null"}.get(
        type(value), "Number"
    )
    raise invalid(f"{show(value)} Type: {kind} is not of expected type: {dtype.name}")


def _to_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise ServingError(Code.INVALID_ARGUMENT, f"JSON Parse error: {TOO_BIG}") from error


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _dtype(info: Any) -> Dtype:
    try:
        return dtype_of(info.dtype)
    except TensorError as error:
        raise ServingError(Code.UNIMPLEMENTED, f"Conversion of JSON values: {error}") from error


def _dims(array: NDArray[Any]) -> str:
    return f"[{','.join(str(length) for length in array.shape)}]"
