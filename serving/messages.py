"""The messages of TensorFlow Serving's API, wire-compatible and without TensorFlow.

The generated stubs of `tensorflow_serving` import all of TensorFlow (8 s and 400 MB) for a client that only
moves bytes. These messages have the same names, fields and numbers, in a descriptor pool of their own, so
that both can live in one process. A test holds them against the generated ones.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_Field = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    "bool": _Field.TYPE_BOOL,
    "bytes": _Field.TYPE_BYTES,
    "double": _Field.TYPE_DOUBLE,
    "enum": _Field.TYPE_INT32,  # an enum and an int32 are the same on the wire
    "float": _Field.TYPE_FLOAT,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
}
# message: its fields as "number name kind"; "*" repeats, "map" is a map from strings, "oneof:NAME" one of a choice.
_TENSORFLOW = {
    "TensorShapeProto.Dim": ("1 size int64", "2 name string"),
    "TensorShapeProto": ("2 dim *TensorShapeProto.Dim", "3 unknown_rank bool"),
    "TensorProto": (
        "1 dtype enum",
        "2 tensor_shape TensorShapeProto",
        "3 version_number int32",
        "4 tensor_content bytes",
        "5 float_val *float",
        "6 double_val *double",
        "7 int_val *int32",
        "8 string_val *bytes",
        "10 int64_val *int64",
        "11 bool_val *bool",
        "13 half_val *int32",
        "16 uint32_val *uint32",
        "17 uint64_val *uint64",
    ),
    "TensorInfo": ("1 name oneof:encoding string", "2 dtype enum", "3 tensor_shape TensorShapeProto"),
    "SignatureDef": (
        "1 inputs map TensorInfo",
        "2 outputs map TensorInfo",
        "3 method_name string",
        "4 defaults map TensorProto",
    ),
}
_SERVING = {
    "ModelSpec": (
        "1 name string",
        "2 version oneof:version_choice .google.protobuf.Int64Value",
        "3 signature_name string",
        "4 version_label oneof:version_choice string",
    ),
    "PredictRequest": ("1 model_spec ModelSpec", "2 inputs map .tensorflow.TensorProto", "3 output_filter *string"),
    "PredictResponse": ("1 outputs map .tensorflow.TensorProto", "2 model_spec ModelSpec"),
    "GetModelMetadataRequest": ("1 model_spec ModelSpec", "2 metadata_field *string"),
    "GetModelMetadataResponse": ("1 model_spec ModelSpec", "2 metadata map .google.protobuf.Any"),
    "SignatureDefMap": ("1 signature_def map .tensorflow.SignatureDef",),
    "StatusProto": ("1 error_code enum", "2 error_message string"),
    "ModelVersionStatus": ("1 version int64", "2 state enum", "3 status StatusProto"),
    "GetModelStatusRequest": ("1 model_spec ModelSpec",),
    "GetModelStatusResponse": ("1 model_version_status *ModelVersionStatus",),
    "ServableVersionPolicy.Latest": ("1 num_versions uint32",),
    "ServableVersionPolicy.All": (),
    "ServableVersionPolicy.Specific": ("1 versions *int64",),
    "ServableVersionPolicy": (
        "100 latest oneof:policy_choice ServableVersionPolicy.Latest",
        "101 all oneof:policy_choice ServableVersionPolicy.All",
        "102 specific oneof:policy_choice ServableVersionPolicy.Specific",
    ),
    "LogCollectorConfig": ("1 type string", "2 filename_prefix string"),
    "SamplingConfig": ("1 sampling_rate double",),
    "LoggingConfig": ("1 log_collector_config LogCollectorConfig", "2 sampling_config SamplingConfig"),
    "ModelConfig": (
        "1 name string",
        "2 base_path string",
        "4 model_platform string",
        "6 logging_config LoggingConfig",
        "7 model_version_policy ServableVersionPolicy",
        "8 version_labels map int64",
    ),
    "ModelConfigList": ("1 config *ModelConfig",),
    "ModelServerConfig": (
        "1 model_config_list oneof:config ModelConfigList",
        "2 custom_model_config oneof:config .google.protobuf.Any",
    ),
    "ReloadConfigRequest": ("1 config ModelServerConfig", "2 metric_names *string"),
    "Metric": ("1 name string", "2 int64_value_increase oneof:value_increase int64"),
    "ReloadConfigResponse": ("1 status StatusProto", "2 metric *Metric"),
    # The packages that are published lack these; they are read from text files only.
    "SSLConfig": ("1 server_key string", "2 server_cert string", "3 custom_ca string", "4 client_verify bool"),
    "PrometheusConfig": ("1 enable bool", "2 path string"),
    "MonitoringConfig": ("1 prometheus_config PrometheusConfig",),
    "BatchingParameters": (
        "1 max_batch_size .google.protobuf.Int64Value",
        "2 batch_timeout_micros .google.protobuf.Int64Value",
        "3 max_enqueued_batches .google.protobuf.Int64Value",
        "4 num_batch_threads .google.protobuf.Int64Value",
        "5 thread_pool_name .google.protobuf.StringValue",
        "6 allowed_batch_sizes *int64",
        "7 pad_variable_length_inputs bool",
        "8 enable_large_batch_splitting .google.protobuf.BoolValue",
        "9 max_execution_batch_size .google.protobuf.Int64Value",
    ),
}

# state of ModelVersionStatus: its name
STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}


def _add_message(file: descriptor_pb2.FileDescriptorProto, name: str, fields: tuple[str, ...]) -> None:
    holder: Any = file.message_type
    *outer, simple = name.split(".")
    if outer:
        parents = [message for message in file.message_type if message.name == outer[0]]
        holder = (parents[0] if parents else file.message_type.add(name=outer[0])).nested_type
    existing = [message for message in holder if message.name == simple]
    message = existing[0] if existing else holder.add(name=simple)
    for text in fields:
        _add_field(file.package, message, text)


def _add_field(package: str, message: Any, text: str) -> None:
    number, name, *rest = text.split(" ")
    kind = rest[-1]
    field = message.field.add(name=name, number=int(number), label=_Field.LABEL_OPTIONAL)
    if kind.startswith("*"):
        field.label, kind = _Field.LABEL_REPEATED, kind[1:]
    if rest[0].startswith("oneof:"):
        if not message.oneof_decl:
            message.oneof_decl.add(name=rest[0].removeprefix("oneof:"))
        field.oneof_index = 0
    if rest[0] == "map":
        entry = message.nested_type.add(name="".join(part.title() for part in name.split("_")) + "Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
        value = entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL)
        _set_kind(package, value, kind)
        field.label, kind = _Field.LABEL_REPEATED, f".{package}.{message.name}.{entry.name}"
    _set_kind(package, field, kind)


def _set_kind(package: str, field: Any, kind: str) -> None:
    if kind in _KINDS:
        field.type = _KINDS[kind]
    else:
        field.type, field.type_name = _Field.TYPE_MESSAGE, kind if kind.startswith(".") else f".{package}.{kind}"


def _build_pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(any_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    files = (("tensorflow", _TENSORFLOW, ()), ("tensorflow.serving", _SERVING, ("aisle/tensorflow.proto",)))
    for package, messages, dependencies in files:
        file = descriptor_pb2.FileDescriptorProto(name=f"aisle/{package}.proto", package=package, syntax="proto3")
        file.dependency.extend([any_pb2.DESCRIPTOR.name, wrappers_pb2.DESCRIPTOR.name, *dependencies])
        for name, fields in messages.items():
            _add_message(file, name, fields)
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL = _build_pool()


def _class(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(name))


TensorProto = _class("tensorflow.TensorProto")
SignatureDef = _class("tensorflow.SignatureDef")
ModelSpec = _class("tensorflow.serving.ModelSpec")
PredictRequest = _class("tensorflow.serving.PredictRequest")
PredictResponse = _class("tensorflow.serving.PredictResponse")
GetModelMetadataRequest = _class("tensorflow.serving.GetModelMetadataRequest")
GetModelMetadataResponse = _class("tensorflow.serving.GetModelMetadataResponse")
SignatureDefMap = _class("tensorflow.serving.SignatureDefMap")
GetModelStatusRequest = _class("tensorflow.serving.GetModelStatusRequest")
GetModelStatusResponse = _class("tensorflow.serving.GetModelStatusResponse")
ModelConfig = _class("tensorflow.serving.ModelConfig")
ModelServerConfig = _class("tensorflow.serving.ModelServerConfig")
ReloadConfigRequest = _class("tensorflow.serving.ReloadConfigRequest")
ReloadConfigResponse = _class("tensorflow.serving.ReloadConfigResponse")
SSLConfig = _class("tensorflow.serving.SSLConfig")
MonitoringConfig = _class("tensorflow.serving.MonitoringConfig")
BatchingParameters = _class("tensorflow.serving.BatchingParameters")
