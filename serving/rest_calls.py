"""What the paths and bodies of TensorFlow Serving's REST API ask for, and the JSON that answers."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from google.protobuf import json_format
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    regression_pb2,
)

from serving.call import Call
from serving.errors import Code, ServingError
from serving.inference import ExampleService
from serving.json_answers import write_classes, write_numbers, write_predictions
from serving.json_documents import parse_object
from serving.json_examples import read_examples
from serving.json_tensors import parse_call, read_inputs
from serving.options import ServerOptions
from serving.predictor import DEFAULT_SIGNATURE
from serving.service import SIGNATURE_DEF, ModelService
from serving.versions import MAX_VERSION

_CHOICE = r"(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?"
_POST_PATH = re.compile(rf"/v1/models/([^/:]+){_CHOICE}:(classify|regress|predict)", re.IGNORECASE)
_GET_PATH = re.compile(rf"/v1/models(?:/([^/:]+))?{_CHOICE}(?:/(metadata))?", re.IGNORECASE)
_PATHS = {"POST": _POST_PATH, "GET": _GET_PATH}


@dataclass(frozen=True)
class RestRequest:
    """A request as it was sent.

    Args:
      method: of HTTP, in capitals.
      path: without the query.
      authorization: the header of that name, "" if there is none.
      body: perhaps packed.
      gzipped: whether it is.
    """

    method: str
    path: str
    authorization: str
    body: bytes
    gzipped: bool

    def match(self) -> re.Match[str] | None:
        """Reads the path; None if it asks for nothing that there is."""
        return _PATHS[self.method].fullmatch(self.path) if self.method in _PATHS else None

    def model_name(self) -> str:
        """Returns the name of the model that the path asks for, "" if it asks for none."""
        found = self.match()
        return unquote(found[1] or "") if found else ""


class RestCalls:
    """Answers REST requests.

    Args:
      service: holds the models.
      options: time for a request, and how much it may bring.
    """

    def __init__(self, service: ModelService, options: ServerOptions) -> None:
        self._service = service
        self._examples = ExampleService(service)
        self._timeout_s = options.rest_timeout_s
        self._limits = options.limits

    def answer(self, request: RestRequest, call: Call) -> str:
        """Answers one request.

        Args:
          request: what was sent.
          call: where to note what the request resolved to.

        Returns:
          The JSON text; bytes that are no UTF-8 as surrogates.

        Raises:
          ServingError: what the stock server would answer.
        """
        found = request.match()
        if found is None:
            raise ServingError(Code.INVALID_ARGUMENT, f"Malformed request: {request.method} {request.path}")
        call.method = (found[4] or "").lower()
        spec = _model_spec(*found.groups()[:3])
        if request.method == "GET":
            return self._metadata(spec, call) if call.method == "metadata" else self._status(spec)
        body = gunzipped(request.body, self._limits.request_bytes) if request.gzipped else request.body
        if call.method == "predict":
            return self._predict(spec, body, call)
        return self._examine(spec, body, call)

    def _predict(self, spec: Any, body: bytes, call: Call) -> str:
        parsed = parse_call(body, self._limits.json_depth)
        with self._service.catalog.use(spec) as (version, predictor):
            name = parsed.signature_name or DEFAULT_SIGNATURE
            signature = predictor.signatures.get(name)
            if signature is None:
                raise ServingError(
                    Code.INVALID_ARGUMENT, f'Serving signature name: "{name}" not found in signature def'
                )
            call.version, call.signature = version, name
            inputs = read_inputs(parsed, signature.definition.inputs)
            outputs = self._service.run(spec.name, predictor, signature, inputs, timeout_s=self._timeout_s)
        self._service.keep(spec.name, version, name, inputs, outputs)
        return write_predictions(outputs, rows=parsed.rows)

    def _examine(self, spec: Any, body: bytes, call: Call) -> str:
        document = parse_object(body, self._limits.json_depth)
        classify = call.method == "classify"
        request = classification_pb2.ClassificationRequest() if classify else regression_pb2.RegressionRequest()
        request.model_spec.CopyFrom(spec)
        read_examples(document, request)
        if classify:
            return write_classes(self._examples.classify(request, self._timeout_s, call).result)
        return write_numbers(self._examples.regress(request, self._timeout_s, call).result)

    def _status(self, spec: Any) -> str:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=spec)
        return _to_json(self._service.get_model_status(request))

    def _metadata(self, spec: Any, call: Call) -> str:
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=[SIGNATURE_DEF])
        response = self._service.get_model_metadata(request, None, call)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata[SIGNATURE_DEF].Unpack(signatures)
        return (
            f'{{\n"model_spec":{_to_json(response.model_spec)},\n'
            f'"metadata": {{"signature_def": {_to_json(signatures)}}}\n}}\n'
        )


def gunzipped(body: bytes, most: int) -> bytes:
    """Unpacks a gzip body, no further than it may be long.

    Args:
      body: packed.
      most: how many bytes it may hold; 0 for any number.

    Raises:
      ServingError: INVALID_ARGUMENT if it is no gzip data, RESOURCE_EXHAUSTED if it holds more than `most`.
    """
    parts, size = [], 0
    try:
        while body:
            unpacker = zlib.decompressobj(wbits=31)
            part = unpacker.decompress(body, most - size + 1 if most else 0)
            size += len(part)
            if most and size > most:
                raise ServingError(
                    Code.RESOURCE_EXHAUSTED,
                    f"Received message larger than max (more than {most}); send less in one call",
                )
            if not unpacker.eof:
                raise ServingError(Code.INVALID_ARGUMENT, "The body is no gzip data: it ends too early")
            parts.append(part)
            body = unpacker.unused_data
    except zlib.error as error:
        raise ServingError(Code.INVALID_ARGUMENT, f"The body is no gzip data: {error}") from error
    return b"".join(parts)


def _model_spec(name: str | None, version: str | None, label: str | None) -> Any:
    if not name:
        raise ServingError(Code.INVALID_ARGUMENT, "Missing model name in request.")
    try:
        spec = model_pb2.ModelSpec(name=unquote(name))
        if label is not None:
            spec.version_label = unquote(label)
    except UnicodeEncodeError as error:
        raise ServingError(Code.INVALID_ARGUMENT, "the name in the path is no text") from error
    if version is not None:
        if len(version) > 19 or int(version) > MAX_VERSION:
            raise ServingError(Code.INVALID_ARGUMENT, f"Failed to convert version: {version} to numeric.")
        spec.version.value = int(version)
    return spec


def _to_json(message: Any) -> str:
    text: str = json_format.MessageToJson(
        message, preserving_proto_field_name=True, including_default_value_fields=True, indent=1
    )
    return text
