"""The client's own messages are, on the wire and field by field, TensorFlow Serving's."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import any_pb2, descriptor, text_format
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_pb2,
    predict_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

from serving import messages

Field = descriptor.FieldDescriptor
PAIRS = [
    (messages.TensorProto, tensor_pb2.TensorProto),
    (messages.SignatureDef, meta_graph_pb2.SignatureDef),
    (messages.ModelSpec, model_pb2.ModelSpec),
    (messages.PredictRequest, predict_pb2.PredictRequest),
    (messages.PredictResponse, predict_pb2.PredictResponse),
    (messages.GetModelMetadataRequest, get_model_metadata_pb2.GetModelMetadataRequest),
    (messages.GetModelMetadataResponse, get_model_metadata_pb2.GetModelMetadataResponse),
    (messages.SignatureDefMap, get_model_metadata_pb2.SignatureDefMap),
    (messages.GetModelStatusRequest, get_model_status_pb2.GetModelStatusRequest),
    (messages.GetModelStatusResponse, get_model_status_pb2.GetModelStatusResponse),
]
# The version policy is a message of a message there, and model_type is of the past: these are compared on the wire.
CONFIG_TEXT = """
model_config_list {
  config {
    name: "a"
    base_path: "/models/a"
    model_platform: "tensorflow"
    model_version_policy { specific { versions: 3 versions: 5 } }
    version_labels { key: "stable" value: 3 }
    logging_config { log_collector_config { type: "x" filename_prefix: "y" } sampling_config { sampling_rate: 0.5 } }
  }
  config { name: "b" base_path: "/models/b" model_version_policy { latest { num_versions: 2 } } }
  config { name: "c" base_path: "/models/c" model_version_policy { all {} } }
}
"""


def _fields(ours: Any, seen: set[str]) -> Iterator[Any]:
    if ours.full_name in seen:
        return
    seen.add(ours.full_name)
    for field in ours.fields:
        yield field
        if field.message_type:
            yield from _fields(field.message_type, seen)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda made: made.DESCRIPTOR.name)
def test_fields_are_the_same(ours: Any, theirs: Any) -> None:
    pool = theirs.DESCRIPTOR.file.pool
    assert ours.DESCRIPTOR.full_name == theirs.DESCRIPTOR.full_name
    for field in _fields(ours.DESCRIPTOR, set()):
        other = pool.FindMessageTypeByName(field.containing_type.full_name).fields_by_name[field.name]
        kind = Field.TYPE_INT32 if other.type == Field.TYPE_ENUM else other.type
        assert (field.number, field.label, field.type) == (other.number, other.label, kind), field.full_name
        assert (field.containing_oneof and field.containing_oneof.name) == (
            other.containing_oneof and other.containing_oneof.name
        )


def test_request_crosses_the_wire() -> None:
    made = messages.PredictRequest(output_filter=["y"])
    made.model_spec.name, made.model_spec.version.value, made.model_spec.signature_name = "m", 0, "s"
    made.inputs["x"].dtype = 9
    made.inputs["x"].int64_val.extend([1, -2])
    made.inputs["x"].tensor_shape.dim.add().size = 2
    theirs = predict_pb2.PredictRequest.FromString(made.SerializeToString())
    assert theirs.model_spec.WhichOneof("version_choice") == "version"
    assert theirs.model_spec.version.value == 0
    assert list(theirs.inputs["x"].int64_val) == [1, -2]
    assert list(theirs.output_filter) == ["y"]
    assert messages.PredictRequest.FromString(theirs.SerializeToString()) == made


def test_model_config_crosses_the_wire() -> None:
    ours = text_format.Parse(CONFIG_TEXT, messages.ModelServerConfig())
    theirs = model_server_config_pb2.ModelServerConfig.FromString(ours.SerializeToString())
    assert theirs == text_format.Parse(CONFIG_TEXT, model_server_config_pb2.ModelServerConfig())
    answer = model_management_pb2.ReloadConfigResponse()
    answer.status.error_message = "no"
    answer.metric.add(name="m", int64_value_increase=2)
    read = messages.ReloadConfigResponse.FromString(answer.SerializeToString())
    assert (read.status.error_message, read.metric[0].int64_value_increase) == ("no", 2)


def test_label_and_version_exclude_each_other() -> None:
    made = messages.ModelSpec(version_label="stable")
    made.version.value = 3
    assert made.WhichOneof("version_choice") == "version"


def test_metadata_crosses_the_wire() -> None:
    signatures = get_model_metadata_pb2.SignatureDefMap()
    signatures.signature_def["s"].inputs["x"].dtype = 1
    signatures.signature_def["s"].defaults["x"].float_val.append(2.0)
    theirs = get_model_metadata_pb2.GetModelMetadataResponse()
    packed = any_pb2.Any()
    packed.Pack(signatures)
    theirs.metadata["signature_def"].CopyFrom(packed)
    ours = messages.GetModelMetadataResponse.FromString(theirs.SerializeToString())
    read = messages.SignatureDefMap.FromString(ours.metadata["signature_def"].value)
    assert read.signature_def["s"].inputs["x"].dtype == 1
    assert list(read.signature_def["s"].defaults["x"].float_val) == [2.0]


def test_states_have_their_names() -> None:
    enum = get_model_status_pb2.ModelVersionStatus.State
    assert {number: enum.Name(number) for number in enum.values()} == messages.STATES
