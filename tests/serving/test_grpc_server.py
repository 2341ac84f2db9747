"""What a client of TensorFlow Serving's gRPC API gets, asked with its own generated stubs; the stock server too."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import wrappers_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tiny_models import ITEMS, request

from serving.grpc_calls import client_host, truncated
from serving.server import Server

TIMEOUT_S = 20


@pytest.fixture(scope="module")
def channel(endpoint: Any) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(endpoint.grpc_address) as opened:
        yield opened


@pytest.fixture(scope="module")
def stub(channel: grpc.Channel) -> Any:
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def models(channel: grpc.Channel) -> Any:
    return model_service_pb2_grpc.ModelServiceStub(channel)


def half(signature: str = "", **inputs: Any) -> Any:
    return request("half_plus_two", signature, **(inputs or {"x": np.array([1, 2, 5], np.float32)}))


def error_of(call: Any, made: Any, timeout_s: float = TIMEOUT_S) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(made, timeout=timeout_s)
    return caught.value.code().name, caught.value.details()


def test_predict_answers_typed_fields_and_the_resolved_spec(stub: Any) -> None:
    response = stub.Predict(half(), timeout=TIMEOUT_S)
    assert list(response.outputs["y"].float_val) == [2.5, 3.0, 4.5]
    assert response.outputs["y"].tensor_content == b""
    assert response.outputs["y"].dtype == tf.float32.as_datatype_enum
    assert [dim.size for dim in response.outputs["y"].tensor_shape.dim] == [3]
    assert response.model_spec.name == "half_plus_two"
    assert response.model_spec.signature_name == "serving_default"
    assert response.model_spec.version.value == 1


def test_predict_reads_tensor_content(stub: Any) -> None:
    made = half()
    made.inputs["x"].tensor_content = np.array([8.0], np.float32).tobytes()
    del made.inputs["x"].float_val[:]
    made.inputs["x"].tensor_shape.dim[0].size = 1
    assert list(stub.Predict(made, timeout=TIMEOUT_S).outputs["y"].float_val) == [6.0]


def test_bytes_pass_unchanged(stub: Any) -> None:
    texts = np.array([b"", b"\xff\x00", "é".encode()], object)
    response = stub.Predict(half("echo", text=texts), timeout=TIMEOUT_S)
    assert list(response.outputs["text"].string_val) == list(texts)


def test_output_filter_chooses(stub: Any) -> None:
    made = half("two_outputs", x=np.array([4.0], np.float32), z=np.array([1.0], np.float32))
    assert sorted(stub.Predict(made, timeout=TIMEOUT_S).outputs) == ["sum", "y", "z"]
    made.output_filter.extend(["sum"])
    response = stub.Predict(made, timeout=TIMEOUT_S)
    assert list(response.outputs) == ["sum"]
    assert len(response.outputs["sum"].tensor_shape.dim) == 0
    assert list(response.outputs["sum"].float_val) == [4.0]


def test_a_version_can_be_named(stub: Any) -> None:
    made = half()
    made.model_spec.version.value = 1
    assert stub.Predict(made, timeout=TIMEOUT_S).model_spec.version.value == 1


def _with(change: Any) -> Any:
    made = half()
    change(made)
    return made


def _unparsable() -> Any:
    made = half()
    made.inputs["x"].tensor_content = b"abc"
    return made


PREDICT_ERRORS = {
    "no spec": (predict_pb2.PredictRequest, "INVALID_ARGUMENT", "Missing ModelSpec"),
    "no name": (
        lambda: predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(signature_name="s")),
        "INVALID_ARGUMENT",
        "ModelSpec has no name specified.",
    ),
    "unknown model": (lambda: request("m", ""), "NOT_FOUND", "Servable not found for request: Latest(m)"),
    "unknown version": (
        lambda: _with(lambda made: made.model_spec.version.CopyFrom(wrappers_pb2.Int64Value(value=9))),
        "NOT_FOUND",
        "Servable not found for request: Specific(half_plus_two, 9)",
    ),
    "unknown label": (
        lambda: _with(lambda made: setattr(made.model_spec, "version_label", "x")),
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: x",
    ),
    "unknown signature": (lambda: half("s"), "FAILED_PRECONDITION", 'Serving signature key "s" not found.'),
    "extra input": (
        lambda: half(x=np.ones(1, np.float32), q=np.ones(1, np.float32)),
        "INVALID_ARGUMENT",
        "input size does not match signature: 2!=1 len({q,x}) != len({x}). Sent extra: {q}. Missing but required: {}.",
    ),
    "missing input": (
        lambda: half("two_outputs", x=np.ones(1, np.float32)),
        "INVALID_ARGUMENT",
        "input size does not match signature: 1!=2 len({x}) != len({x,z}). Sent extra: {}. Missing but required: {z}.",
    ),
    "wrong dtype": (
        lambda: half(x=np.array([1], np.int32)),
        "INVALID_ARGUMENT",
        "Expects arg[0] to be float but int32 is provided",
    ),
    "unparsable tensor": (_unparsable, "INVALID_ARGUMENT", "tensor parsing error: x"),
    "unknown output": (
        lambda: _with(lambda made: made.output_filter.extend(["w"])),
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: w Outputs expected to be in the set {y}.",
    ),
    "output asked twice": (
        lambda: _with(lambda made: made.output_filter.extend(["y", "y"])),
        "INVALID_ARGUMENT",
        "duplicate output tensor alias: y",
    ),
}


@pytest.mark.parametrize("case", PREDICT_ERRORS)
def test_predict_errors(stub: Any, case: str) -> None:
    make, code, message = PREDICT_ERRORS[case]
    assert error_of(stub.Predict, make()) == (code, message)


def test_long_messages_are_truncated(stub: Any) -> None:
    code, message = error_of(stub.Predict, half("refuse"))
    assert code == "INVALID_ARGUMENT"
    assert message.endswith("...TRUNCATED")
    assert len(message) == 1024 + len("...TRUNCATED")
    assert truncated("x" * 1024) == "x" * 1024


def test_deadline_bounds_the_run(stub: Any, embedded: Any) -> None:
    assert error_of(stub.Predict, half("loop", rounds=np.array([10**9])), 0.3)[0] == "DEADLINE_EXCEEDED"
    # The graph has stopped too: the server counts the call as ended.
    for _ in range(100):
        if b'status="DEADLINE_EXCEEDED"' in embedded.monitor.page():
            break
        time.sleep(0.05)
    assert b'request_count{model_name="half_plus_two",status="DEADLINE_EXCEEDED"}' in embedded.monitor.page()


def test_large_messages_pass(endpoint: Any) -> None:
    x = np.arange(1_200_000, dtype=np.float32)
    made = half()
    made.inputs["x"].CopyFrom(tf.make_tensor_proto(x))
    with grpc.insecure_channel(endpoint.grpc_address, options=[("grpc.max_receive_message_length", -1)]) as channel:
        response = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(made, timeout=TIMEOUT_S)
    assert len(response.outputs["y"].float_val) == len(x)


def test_missing_inputs_take_the_signatures_defaults(stub: Any) -> None:
    response = stub.Predict(request("shop", "recommend", user_id=np.array([b"a", b"b"], object)), timeout=TIMEOUT_S)
    assert tf.make_ndarray(response.outputs["item_ids"]).tolist() == [[item.encode() for item in ITEMS[:4]]] * 2


def test_required_inputs_have_no_default(stub: Any) -> None:
    code, message = error_of(stub.Predict, request("shop", "recommend", k=np.array([1], np.int32)))
    assert code == "INVALID_ARGUMENT"
    assert message.startswith("Signature input alias: user_id(feed name: recommend_user_id:0) not found in request and")


def test_metadata_tells_the_signatures(stub: Any) -> None:
    made = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    made.model_spec.name = "shop"
    response = stub.GetModelMetadata(made, timeout=TIMEOUT_S)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert response.model_spec.version.value == 3
    assert {"serving_default", "recommend", "search", "similar_items", "rank", "embed_items"} <= set(
        signatures.signature_def
    )
    assert signatures.signature_def["search"].inputs["query"].dtype == tf.string.as_datatype_enum
    assert list(signatures.signature_def["recommend"].defaults["k"].int_val) == [4]


def test_metadata_errors(stub: Any) -> None:
    made = get_model_metadata_pb2.GetModelMetadataRequest()
    assert error_of(stub.GetModelMetadata, made) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    made.model_spec.name = "shop"
    message = "GetModelMetadataRequest must specify at least one metadata_field"
    assert error_of(stub.GetModelMetadata, made) == ("INVALID_ARGUMENT", message)
    made.metadata_field.append("other")
    assert error_of(stub.GetModelMetadata, made) == ("INVALID_ARGUMENT", "Metadata field other is not supported")


def test_status(models: Any) -> None:
    made = get_model_status_pb2.GetModelStatusRequest()
    assert error_of(models.GetModelStatus, made) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    made.model_spec.name = "shop"
    (status,) = models.GetModelStatus(made, timeout=TIMEOUT_S).model_version_status
    assert (status.version, status.state, status.status.error_code) == (3, 30, 0)
    made.model_spec.version_label = "ignored"
    assert len(models.GetModelStatus(made, timeout=TIMEOUT_S).model_version_status) == 1
    made.model_spec.version.value = 9
    assert error_of(models.GetModelStatus, made) == ("NOT_FOUND", "Could not find version 9 of model shop")
    made = get_model_status_pb2.GetModelStatusRequest(model_spec=model_pb2.ModelSpec(name="m"))
    assert error_of(models.GetModelStatus, made) == ("NOT_FOUND", "Could not find any versions of model m")


def test_a_reload_needs_a_list_of_models(models: Any) -> None:
    code, message = error_of(models.HandleReloadConfigRequest, model_management_pb2.ReloadConfigRequest())
    assert code == "INVALID_ARGUMENT"
    assert message.startswith("ServerModelConfig type not supported by HandleReloadConfigRequest.")


def test_other_methods_are_unimplemented(channel: grpc.Channel) -> None:
    call = channel.unary_unary("/tensorflow.serving.PredictionService/Guess")
    assert error_of(call, b"")[0] == "UNIMPLEMENTED"


def test_reflection_lists_the_services(channel: grpc.Channel) -> None:
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    (answer,) = stub.ServerReflectionInfo(iter([asked]), timeout=TIMEOUT_S)
    names = {service.name for service in answer.list_services_response.service}
    assert {"tensorflow.serving.PredictionService", "tensorflow.serving.ModelService", "grpc.health.v1.Health"} <= names


def test_open_streams_hold_no_thread_that_answers(embedded: Any, stub: Any) -> None:
    ended = threading.Event()
    with Server([]):
        pass  # another server of the process has come and gone

    def silence() -> Iterator[Any]:
        ended.wait(TIMEOUT_S)
        yield from ()

    with grpc.insecure_channel(embedded.grpc_address) as other:
        streams = [
            reflection_pb2_grpc.ServerReflectionStub(other).ServerReflectionInfo(silence(), timeout=TIMEOUT_S)
            for _ in range(30)
        ]
        watches = [
            health_pb2_grpc.HealthStub(other).Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
            for _ in range(30)
        ]
        time.sleep(0.2)
        started_s = time.monotonic()
        assert list(stub.Predict(half(), timeout=TIMEOUT_S).outputs["y"].float_val) == [2.5, 3.0, 4.5]
        assert time.monotonic() - started_s < TIMEOUT_S / 2
        ended.set()
        for stream in [*streams, *watches]:
            stream.cancel()


@pytest.mark.parametrize(
    ("peer", "host"),
    [("ipv4:10.0.0.1:50", "10.0.0.1"), ("ipv6:%5B::1%5D:50", "::1"), ("unix:/a:b", "unix"), ("unix:", "unix")],
)
def test_clients_are_known_by_their_address(peer: str, host: str) -> None:
    assert client_host(peer) == host


def test_health(channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    for name in ("", "PredictionService", "tensorflow.serving.ModelService"):
        made = health_pb2.HealthCheckRequest(service=name)
        assert stub.Check(made, timeout=TIMEOUT_S).status == health_pb2.HealthCheckResponse.SERVING
