"""gRPC gets tensors and messages that no client should send: the answer is a client's fault, and nothing breaks."""

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from fuzzing import assert_tells_nothing, fuzzed
from hypothesis import given
from hypothesis import strategies as st

from serving import messages
from serving.tensors import DTYPES, TensorError, decode, encode

CLIENTS_FAULT = {"INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND", "OUT_OF_RANGE", "UNIMPLEMENTED"}
# gRPC's own answer to what is no message at all.
NO_MESSAGE = "Exception deserializing request!"
SIGNATURES = ("", "two_outputs", "echo", "number", "refuse", "recommend", "similar_items", "rank", "embed_items")
INPUTS = ("x", "z", "text", "user_id", "item_id", "k", "candidate_item_ids", "history_ages_days", "title", "price")
FIELDS = sorted({dtype.field for dtype in DTYPES})

sizes = st.one_of(
    st.integers(0, 5), st.sampled_from([-1, 1, 2**16, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1, -(2**63)])
)
dtypes = st.sampled_from([dtype.number for dtype in DTYPES]) | st.integers(-(2**31), 2**31 - 1)
shapes = st.lists(sizes, max_size=4) | st.just([1] * 40) | st.just([0, 2**62, 2**62])
ELEMENTS: dict[str, Any] = {
    "float_val": st.floats(width=32),
    "double_val": st.floats(),
    "int_val": st.integers(-(2**31), 2**31 - 1),
    "int64_val": st.integers(-(2**63), 2**63 - 1),
    "uint32_val": st.integers(0, 2**32 - 1),
    "uint64_val": st.integers(0, 2**64 - 1),
    "half_val": st.integers(-(2**31), 2**31 - 1),
    "bool_val": st.booleans(),
    "string_val": st.binary(max_size=8),
}


@st.composite
def tensors(draw: Any) -> Any:
    """A TensorProto whose parts need not fit together."""
    proto = messages.TensorProto(dtype=draw(dtypes))
    for size in draw(shapes):
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_shape.unknown_rank = draw(st.sampled_from([False] * 9 + [True]))
    own = [dtype.field for dtype in DTYPES if dtype.number == proto.dtype]
    for field in draw(st.just(own) | st.lists(st.sampled_from(FIELDS), max_size=2)):
        getattr(proto, field).extend(draw(st.lists(ELEMENTS[field], max_size=5)))
    if draw(st.integers(0, 3)) == 0:
        proto.tensor_content = draw(st.binary(max_size=24))
    return proto


@pytest.fixture(scope="module")
def channel(server: Any) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.grpc_address) as opened:
        yield opened


def send(channel: grpc.Channel, method: str, body: bytes) -> tuple[str, str]:
    """Sends bytes; returns how that ended."""
    try:
        channel.unary_unary(f"/tensorflow.serving.{method}")(body, timeout=20)
    except grpc.RpcError as error:
        return error.code().name, error.details()
    return "OK", ""


def check(ended: tuple[str, str], sent: str = "") -> None:
    code, message = ended
    assert code in {"OK", *CLIENTS_FAULT} or message == NO_MESSAGE, ended
    assert_tells_nothing(message, sent)


@given(proto=tensors())
@fuzzed(400)
def test_a_tensor_is_read_or_refused(proto: Any) -> None:
    try:
        array = decode(proto)
    except TensorError:
        return
    assert array.shape == tuple(dim.size for dim in proto.tensor_shape.dim)
    again = messages.TensorProto()
    encode(array, again)
    np.testing.assert_array_equal(decode(again), array)


@given(
    model=st.sampled_from(["half_plus_two", "shop"]),
    signature=st.sampled_from(SIGNATURES),
    inputs=st.dictionaries(st.sampled_from(INPUTS), tensors(), max_size=3),
    output_filter=st.lists(st.sampled_from(["y", "scores", "item_ids", ""]) | st.text(max_size=5), max_size=2),
)
@fuzzed(300)
def test_tensors(channel: grpc.Channel, model: str, signature: str, inputs: Any, output_filter: list[str]) -> None:
    request = messages.PredictRequest(output_filter=output_filter)
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for name, proto in inputs.items():
        request.inputs[name].CopyFrom(proto)
    check(send(channel, "PredictionService/Predict", request.SerializeToString()), str(output_filter))


@st.composite
def damaged(draw: Any) -> bytes:
    """A good request with some bytes cut, doubled or replaced."""
    request = messages.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "shop", draw(st.sampled_from(["recommend", "rank"]))
    encode(np.array([b"anna"], object), request.inputs["user_id"])
    encode(np.array([3], np.int32), request.inputs["k"])
    body = request.SerializeToString()
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(body)))
        end = start + draw(st.integers(0, 6))
        body = body[:start] + draw(st.binary(max_size=4) | st.just(body[start:end] * 2)) + body[end:]
    return body


METHODS = (
    "PredictionService/Predict",
    "PredictionService/Classify",
    "PredictionService/Regress",
    "PredictionService/MultiInference",
    "PredictionService/GetModelMetadata",
    "ModelService/GetModelStatus",
)


@given(method=st.sampled_from(METHODS), body=damaged() | st.binary(max_size=30))
@fuzzed(300)
def test_bytes(channel: grpc.Channel, method: str, body: bytes) -> None:
    check(send(channel, method, body), body.decode(errors="replace"))


def test_bytes_that_an_error_of_the_graph_quotes(channel: grpc.Channel) -> None:
    request = messages.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "half_plus_two", "number"
    encode(np.array([b"\xff\xfe1"], object), request.inputs["text"])
    code, message = send(channel, "PredictionService/Predict", request.SerializeToString())
    assert code == "INVALID_ARGUMENT"
    assert "could not correctly convert string: \ufffd\ufffd1" in message


def test_the_server_answers_still(channel: grpc.Channel) -> None:
    request = messages.PredictRequest()
    request.model_spec.name = "half_plus_two"
    encode(np.ones(1, np.float32), request.inputs["x"])
    assert send(channel, "PredictionService/Predict", request.SerializeToString()) == ("OK", "")
