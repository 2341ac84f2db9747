"""The calls of TensorFlow Serving's API on messages, whatever carries them: gRPC, REST or the same process."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from serving.errors import Code, ServingError
from serving.model_store import ModelStore, VersionStatus
from serving.monitoring import Monitor
from serving.predictor import Predictor, Signature
from serving.tensors import TensorError, decode, encode

SIGNATURE_DEF = "signature_def"


class ModelService:
    """Answers calls for some models.

    Args:
      stores: model name: where its versions are.
      monitor: what notes how long the graphs run.
    """

    def __init__(self, stores: Mapping[str, ModelStore], monitor: Monitor) -> None:
        self.stores = stores
        self._monitor = monitor

    def known_name(self, name: str) -> str:
        """Returns `name` if there is such a model, else "": what metrics are counted under must not grow."""
        return name if name in self.stores else ""

    @contextmanager
    def model(self, spec: Any) -> Iterator[tuple[int, Predictor]]:
        """Holds the version that a ModelSpec means while a call runs.

        Yields:
          The version's number and its predictor.

        Raises:
          ServingError: as the stock server, if there is none.
        """
        if not spec.name:
            raise ServingError(Code.INVALID_ARGUMENT, "ModelSpec has no name specified.")
        choice = spec.WhichOneof("version_choice")
        if choice == "version_label":
            raise ServingError(Code.INVALID_ARGUMENT, f"Unrecognized servable version label: {spec.version_label}")
        version = spec.version.value if choice == "version" else None
        store = self.stores.get(spec.name)
        if store is None:
            wanted = f"Latest({spec.name})" if version is None else f"Specific({spec.name}, {version})"
            raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {wanted}")
        with store.use(version) as held:
            yield held

    def predict(self, request: Any, timeout_s: float | None = None) -> Any:
        """Runs a signature on tensors.

        Args:
          request: a PredictRequest.
          timeout_s: when the client stops waiting; None means never.

        Returns:
          A PredictResponse; outputs in typed fields.

        Raises:
          ServingError: what the stock server would answer.
        """
        _require_spec(request)
        with self.model(request.model_spec) as (version, predictor):
            signature = predictor.signature(request.model_spec.signature_name)
            inputs = _decode_inputs(signature, request.inputs)
            outputs = self.run(
                request.model_spec.name,
                predictor,
                signature,
                inputs,
                output_filter=request.output_filter,
                timeout_s=timeout_s,
            )
        response = predict_pb2.PredictResponse()
        spec = response.model_spec
        spec.name, spec.signature_name = request.model_spec.name, signature.name
        spec.version.value = version
        for alias, value in outputs.items():
            encode(value, response.outputs[alias])
        return response

    def run(
        self,
        model: str,
        predictor: Predictor,
        signature: Signature,
        inputs: Mapping[str, NDArray[Any]],
        *,
        output_filter: Iterable[str] = (),
        timeout_s: float | None,
    ) -> dict[str, NDArray[Any]]:
        """Runs a signature as `Predictor.predict` does and notes how long it took."""
        started_s = time.perf_counter()
        outputs = predictor.predict(signature, inputs, output_filter, timeout_s)
        self._monitor.observe_runtime(model, "Predict", time.perf_counter() - started_s)
        return outputs

    def get_model_metadata(self, request: Any, _timeout_s: float | None = None) -> Any:
        """Tells a model's signatures.

        Args:
          request: a GetModelMetadataRequest.

        Returns:
          A GetModelMetadataResponse with `signature_def`, the only metadata there is.

        Raises:
          ServingError: what the stock server would answer.
        """
        _require_spec(request)
        if not request.metadata_field:
            raise ServingError(
                Code.INVALID_ARGUMENT, "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for name in request.metadata_field:
            if name != SIGNATURE_DEF:
                raise ServingError(Code.INVALID_ARGUMENT, f"Metadata field {name} is not supported")
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        signatures = get_model_metadata_pb2.SignatureDefMap()
        with self.model(request.model_spec) as (version, predictor):
            for name, signature in predictor.signatures.items():
                signatures.signature_def[name].CopyFrom(signature.definition)
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = version
        response.metadata[SIGNATURE_DEF].Pack(signatures)
        return response

    def get_model_status(self, request: Any, _timeout_s: float | None = None) -> Any:
        """Tells the state of a model's versions. As in the stock server, labels are not looked at.

        Args:
          request: a GetModelStatusRequest.

        Returns:
          A GetModelStatusResponse, highest version first.

        Raises:
          ServingError: what the stock server would answer.
        """
        _require_spec(request)
        spec = request.model_spec
        store = self.stores.get(spec.name)
        statuses = store.statuses() if store else []
        if spec.WhichOneof("version_choice") == "version":
            version = spec.version.value
            statuses = [status for status in statuses if status.version == version]
            if not statuses:
                raise ServingError(Code.NOT_FOUND, f"Could not find version {version} of model {spec.name}")
        if not statuses:
            raise ServingError(Code.NOT_FOUND, f"Could not find any versions of model {spec.name}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for status in statuses:
            _add_status(response, status)
        return response


def _require_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise ServingError(Code.INVALID_ARGUMENT, "Missing ModelSpec")


def _decode_inputs(signature: Signature, protos: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    signature.check_inputs(protos.keys())
    inputs = {}
    for alias, proto in protos.items():
        try:
            inputs[alias] = decode(proto)
        except TensorError as error:
            raise ServingError(Code.INVALID_ARGUMENT, f"tensor parsing error: {alias}") from error
    return inputs


def _add_status(response: Any, status: VersionStatus) -> None:
    message = response.model_version_status.add(version=status.version, state=status.state)
    message.status.error_code = int(status.code)
    message.status.error_message = status.message
