"""TensorProto conversion against TensorFlow's own, both ways."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from serving import messages
from serving.tensors import DTYPES, STRING, TensorError, decode, dtype_of, encode

NUMBERS = [dtype for dtype in DTYPES if dtype is not STRING]


def _sample(dtype: Any, shape: tuple[int, ...]) -> Any:
    values = np.random.default_rng(3).integers(0, 100, size=shape)
    return (values % 2 == 0) if dtype.name == "bool" else values.astype(dtype.numpy)


@pytest.mark.parametrize("dtype", NUMBERS, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 4)], ids=str)
def test_numbers_are_written_as_tensorflow_reads_them(dtype: Any, shape: tuple[int, ...]) -> None:
    array = _sample(dtype, shape)
    proto = tensor_pb2.TensorProto()
    encode(array, proto)
    assert tf.dtypes.as_dtype(proto.dtype).as_numpy_dtype == dtype.numpy
    # TensorFlow's C++ reader, the one in the stock server.
    parsed = tf.io.parse_tensor(proto.SerializeToString(), tf.dtypes.as_dtype(dtype.number)).numpy()
    assert parsed.shape == shape
    np.testing.assert_array_equal(parsed, array)
    np.testing.assert_array_equal(decode(proto), array)


@pytest.mark.parametrize("dtype", NUMBERS, ids=lambda dtype: dtype.name)
def test_numbers_that_tensorflow_wrote_are_read(dtype: Any) -> None:
    array = _sample(dtype, (2, 3))
    proto = tf.make_tensor_proto(array)
    read = decode(proto)
    assert read.dtype == dtype.numpy
    np.testing.assert_array_equal(read, array)


def test_strings_both_ways() -> None:
    array = np.array([[b"", b"a"], [b"\xff\x00", "é".encode()]], object)
    proto = tensor_pb2.TensorProto()
    encode(array, proto)
    assert tf.io.parse_tensor(proto.SerializeToString(), tf.string).numpy().tolist() == array.tolist()
    assert decode(tf.make_tensor_proto(array)).tolist() == array.tolist()
    assert decode(proto).tolist() == array.tolist()


def test_strings_in_tensor_content() -> None:
    texts = [b"", b"x" * 200, b"yz"]
    content = tf.io.serialize_tensor(tf.constant(texts)).numpy()
    written = tensor_pb2.TensorProto.FromString(content)
    written.tensor_content = b"\x00" + b"\xc8\x01" + b"\x02" + b"".join(texts)
    del written.string_val[:]
    assert decode(written).tolist() == tf.io.parse_tensor(written.SerializeToString(), tf.string).numpy().tolist()
    assert decode(written).tolist() == texts


@pytest.mark.parametrize("values", [[], [4.0], [4.0, 5.0], [1.0, 2.0, 3.0, 9.0]])
def test_short_and_long_values_are_filled_and_cut_as_tensorflow_does(values: list[float]) -> None:
    proto = tensor_pb2.TensorProto(dtype=1, float_val=values)
    proto.tensor_shape.dim.add().size = 3
    parsed = tf.io.parse_tensor(proto.SerializeToString(), tf.float32).numpy()
    np.testing.assert_array_equal(decode(proto), parsed)


def _proto(**fields: Any) -> Any:
    return messages.TensorProto(**fields)


@pytest.mark.parametrize(
    "proto",
    [
        _proto(),
        _proto(dtype=1, tensor_shape={"unknown_rank": True}),
        _proto(dtype=1, tensor_shape={"dim": [{"size": -1}]}),
        _proto(dtype=1, tensor_shape={"dim": [{"size": 2}]}, tensor_content=b"1234567"),
        _proto(dtype=1, tensor_shape={"dim": [{"size": 1}] * 33}),
        _proto(dtype=1, tensor_shape={"dim": [{"size": 2**40}]}, float_val=[1.0]),
        _proto(dtype=1, tensor_shape={"dim": [{"size": 0}, {"size": 2**62}]}),
        _proto(dtype=7, tensor_shape={"dim": [{"size": 2}]}, tensor_content=b"\x05"),
        _proto(dtype=7, tensor_shape={"dim": [{"size": 1}]}, tensor_content=b"\x05ab"),
        _proto(dtype=7, tensor_shape={"dim": [{"size": 1}]}, tensor_content=b"\xff" * 12),
    ],
)
def test_what_is_no_tensor_is_refused(proto: Any) -> None:
    with pytest.raises(TensorError):
        decode(proto)


def test_what_cannot_be_sent_is_refused() -> None:
    with pytest.raises(TensorError, match="datetime64"):
        encode(np.array(["2026-01-01"], "datetime64[s]"), messages.TensorProto())
    with pytest.raises(TensorError, match="expected text in a string array, got int"):
        encode(np.array([1], object), messages.TensorProto())
    with pytest.raises(TensorError, match="dtype number 20"):
        dtype_of(20)
