"""TensorProto to NumPy array and back, by the rules of TensorFlow's own conversion, without TensorFlow.

The functions take any message that has TensorProto's fields: the server passes TensorFlow's class, the
client its own wire-compatible one (`serving.messages`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Dtype:
    """One of TensorFlow's dtypes.

    Args:
      number: its number in `types.proto`.
      name: the name in TensorFlow's error messages.
      field: the typed field of TensorProto that holds its values.
      numpy: the NumPy dtype; strings are arrays of `bytes` objects.
      carrier: the NumPy dtype of the values in `field`, where that is not `numpy`.
      bits: whether `field` holds the bit patterns of the values.
    """

    number: int
    name: str
    field: str
    numpy: np.dtype[Any]
    carrier: np.dtype[Any]
    bits: bool = False


def _plain(number: int, name: str, field: str, numpy: str, carrier: str | None = None) -> Dtype:
    return Dtype(number, name, field, np.dtype(numpy), np.dtype(carrier or numpy))


STRING = _plain(7, "string", "string_val", "object")
DTYPES: tuple[Dtype, ...] = (
    _plain(1, "float", "float_val", "float32"),
    _plain(2, "double", "double_val", "float64"),
    _plain(3, "int32", "int_val", "int32"),
    _plain(4, "uint8", "int_val", "uint8", "int32"),
    _plain(5, "int16", "int_val", "int16", "int32"),
    _plain(6, "int8", "int_val", "int8", "int32"),
    STRING,
    _plain(9, "int64", "int64_val", "int64"),
    _plain(10, "bool", "bool_val", "bool"),
    Dtype(14, "bfloat16", "half_val", np.dtype(ml_dtypes.bfloat16), np.dtype("int32"), bits=True),
    _plain(17, "uint16", "int_val", "uint16", "int32"),
    Dtype(19, "half", "half_val", np.dtype("float16"), np.dtype("int32"), bits=True),
    _plain(22, "uint32", "uint32_val", "uint32"),
    _plain(23, "uint64", "uint64_val", "uint64"),
)
# NumPy's own limits
MAX_RANK = 32
MAX_VALUES = 2**59
# A few bytes may stand for many equal values, but not for all of the memory.
MAX_FILLED_BYTES = 2**28
_BY_NUMBER = {dtype.number: dtype for dtype in DTYPES}
_BY_NUMPY = {dtype.numpy: dtype for dtype in DTYPES}


class TensorError(ValueError):
    """A TensorProto that holds no tensor, or an array that no TensorProto can hold."""


def dtype_of(number: int) -> Dtype:
    """Returns the dtype with TensorFlow's `number`.

    Raises:
      TensorError: if it is none that a client can send.
    """
    if number not in _BY_NUMBER:
        raise TensorError(f"dtype number {number} cannot be carried; known are {sorted(_BY_NUMBER)}")
    return _BY_NUMBER[number]


def decode(proto: Any) -> NDArray[Any]:
    """Reads a TensorProto.

    As in TensorFlow, values missing at the end repeat the last one, and no values at all mean zeros.

    Args:
      proto: a message with TensorProto's fields.

    Returns:
      The array; strings as `bytes` objects.

    Raises:
      TensorError: if dtype, shape and content do not make a tensor.
    """
    dtype = dtype_of(proto.dtype)
    shape = _shape(proto)
    size = math.prod(shape)
    if proto.tensor_content:
        return _from_content(proto.tensor_content, dtype, size).reshape(shape)
    values = getattr(proto, dtype.field)
    if (size - len(values)) * dtype.numpy.itemsize > MAX_FILLED_BYTES:
        raise TensorError(f"{len(values)} values came for a shape that holds {size}")
    if dtype is STRING:
        return _filled_strings(list(values[:size]), size).reshape(shape)
    array = np.array(values[:size], dtype=dtype.carrier)
    array = array.astype(np.uint16).view(dtype.numpy) if dtype.bits else array.astype(dtype.numpy, copy=False)
    if len(array) < size:
        last = array[-1] if len(array) else np.zeros((), dtype.numpy)
        array = np.concatenate([array, np.full(size - len(array), last, dtype=dtype.numpy)])
    return array.reshape(shape)


def encode(array: NDArray[Any], proto: Any) -> None:
    """Writes an array into an empty TensorProto, in its typed field as TensorFlow Serving does.

    Args:
      array: numbers, bools, `bytes` or `str`.
      proto: a message with TensorProto's fields.

    Raises:
      TensorError: if no TensorProto can hold the array.
    """
    dtype = STRING if array.dtype.kind in "SUO" else _BY_NUMPY.get(array.dtype)
    if dtype is None:
        raise TensorError(f"an array of {array.dtype} cannot be sent; send one of {', '.join(map(str, _BY_NUMPY))}")
    proto.dtype = dtype.number
    for length in array.shape:
        proto.tensor_shape.dim.add().size = length
    # An array without dimensions makes this message only once it is touched.
    proto.tensor_shape.SetInParent()
    flat = array.ravel()
    if dtype.bits:
        flat = flat.view(np.uint16)
    values = flat.tolist()
    if dtype is STRING:
        values = [_bytes(value) for value in values]
    getattr(proto, dtype.field).extend(values)


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise TensorError(f"expected text in a string array, got {type(value).__name__}")


def _shape(proto: Any) -> tuple[int, ...]:
    if proto.tensor_shape.unknown_rank:
        raise TensorError("the shape has no known rank")
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if any(length < 0 for length in shape):
        raise TensorError(f"the shape {shape} has a negative length")
    if len(shape) > MAX_RANK:
        raise TensorError(f"the shape has {len(shape)} dimensions; an array has at most {MAX_RANK}")
    if math.prod(max(length, 1) for length in shape) >= MAX_VALUES:
        raise TensorError(f"the shape {shape} is too large, also without its lengths of 0")
    return shape


def _from_content(content: bytes, dtype: Dtype, size: int) -> NDArray[Any]:
    if dtype is STRING:
        return _filled_strings(_split_strings(content, size), size)
    if len(content) != size * dtype.numpy.itemsize:
        raise TensorError(f"{size} values of {dtype.name} take {size * dtype.numpy.itemsize} bytes, got {len(content)}")
    return np.frombuffer(content, dtype=dtype.numpy)


def _split_strings(content: bytes, count: int) -> list[bytes]:
    """Reads TensorFlow's list of strings: all lengths as varints, then all bytes."""
    lengths, position = [], 0
    for _ in range(count):
        length, shift = 0, 0
        while True:
            if position >= len(content) or shift > 63:
                raise TensorError(f"the content ends before the lengths of {count} strings")
            byte = content[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(length)
    if len(content) - position != sum(lengths):
        raise TensorError(f"{count} strings of {sum(lengths)} bytes expected, {len(content) - position} bytes came")
    strings = []
    for length in lengths:
        strings.append(content[position : position + length])
        position += length
    return strings


def _filled_strings(values: list[bytes], size: int) -> NDArray[Any]:
    missing = size - len(values)
    array = np.empty(size, dtype=object)
    array[:] = values + [values[-1] if values else b""] * missing
    return array
