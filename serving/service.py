"""The calls of TensorFlow Serving's API on messages, whatever carries them: gRPC, REST or the same process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from serving.batching import Batcher
from serving.batching_parameters import Batching
from serving.call import Call
from serving.errors import Code, ServingError, WouldWaitError
from serving.messages import ReloadConfigResponse
from serving.model_catalog import ModelCatalog
from serving.model_config import ONLY_LISTS, ModelSettings, settings_of
from serving.monitoring import Monitor
from serving.options import Limits
from serving.predictor import Predictor, Signature
from serving.request_log import RequestLog
from serving.tensors import TensorError, decode, encode
from serving.version_states import VersionStatus

SIGNATURE_DEF = "signature_def"


class ModelService:
    """Answers calls for some models.

    Args:
      catalog: the models.
      monitor: what notes how long the graphs run.
      limits: how many rows and answers one call may ask for.
      on_reload: called with a new configuration that was taken over from a client.
      batching: how calls are put together; None decides by what pays.
      processors: as `Batcher` takes it.
      request_log: what keeps a sample of Predict calls, if there is one.
    """

    def __init__(
        self,
        catalog: ModelCatalog,
        monitor: Monitor,
        limits: Limits | None = None,
        on_reload: Callable[[Sequence[ModelSettings]], None] = lambda _models: None,
        *,
        batching: Batching | None = None,
        processors: int = 0,
        request_log: RequestLog | None = None,
    ) -> None:
        self.catalog = catalog
        self._monitor = monitor
        self._limits = limits or Limits()
        self._on_reload = on_reload
        self._request_log = request_log
        self._batcher = Batcher(
            batching,
            processors=processors,
            observe_batch=monitor.observe_batch,
            observe_queue=monitor.observe_queue,
        )

    def known_name(self, name: str) -> str:
        """Returns `name` if there is such a model, else "": what metrics are counted under must not grow."""
        return name if name in self.catalog.stores else ""

    def predict(self, request: Any, timeout_s: float | None = None, call: Call | None = None) -> Any:
        """Runs a signature on tensors.

        Args:
          request: a PredictRequest.
          timeout_s: when the client stops waiting; None means never.
          call: where to note what the request resolved to.

        Returns:
          A PredictResponse; outputs in typed fields.

        Raises:
          ServingError: what the stock server would answer.
          WouldWaitError: if the call must not wait and would.
        """
        require_spec(request)
        call = call or Call()
        with self.catalog.use(request.model_spec) as (version, predictor):
            signature = predictor.signature(request.model_spec.signature_name)
            call.version, call.signature = version, signature.name
            if call.at_once and not predictor.is_quick(signature, _value_count(request.inputs)):
                raise WouldWaitError
            inputs = _decode_inputs(signature, request.inputs)
            outputs = self.run(
                request.model_spec.name,
                predictor,
                signature,
                inputs,
                output_filter=request.output_filter,
                timeout_s=timeout_s,
                at_once=call.at_once,
            )
        self.keep(request.model_spec.name, version, signature.name, inputs, outputs)
        response = predict_pb2.PredictResponse()
        spec = response.model_spec
        spec.name, spec.signature_name = request.model_spec.name, signature.name
        spec.version.value = version
        for alias, value in outputs.items():
            encode(value, response.outputs[alias])
        return response

    def keep(
        self,
        model: str,
        version: int,
        signature: str,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Mapping[str, NDArray[Any]],
    ) -> None:
        """Offers a call that was answered to the request log, if there is one."""
        if self._request_log is not None:
            self._request_log.offer(model, version, signature, inputs, outputs)

    def run(
        self,
        model: str,
        predictor: Predictor,
        signature: Signature,
        inputs: Mapping[str, NDArray[Any]],
        *,
        output_filter: Iterable[str] = (),
        timeout_s: float | None,
        at_once: bool = False,
    ) -> dict[str, NDArray[Any]]:
        """Runs a signature as `Batcher.run` does, within the limits, and notes rows and time.

        Raises:
          ServingError: what the stock server would answer; INVALID_ARGUMENT beyond a limit.
        """
        self._limits.check_inputs(inputs)
        started_s = time.perf_counter()
        chosen = tuple(output_filter)
        outputs = self._batcher.run(
            model, predictor, signature, inputs, output_filter=chosen, timeout_s=timeout_s, at_once=at_once
        )
        self._monitor.observe_runtime(model, "Predict", time.perf_counter() - started_s)
        self._monitor.observe_rows(model, signature.name, max(map(_row_count, inputs.values()), default=1))
        return outputs

    def get_model_metadata(self, request: Any, _timeout_s: float | None = None, call: Call | None = None) -> Any:
        """Tells a model's signatures.

        Args:
          request: a GetModelMetadataRequest.
          call: where to note what the request resolved to.

        Returns:
          A GetModelMetadataResponse with `signature_def`, the only metadata there is.

        Raises:
          ServingError: what the stock server would answer.
        """
        require_spec(request)
        if not request.metadata_field:
            raise ServingError(
                Code.INVALID_ARGUMENT, "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for name in request.metadata_field:
            if name != SIGNATURE_DEF:
                raise ServingError(Code.INVALID_ARGUMENT, f"Metadata field {name} is not supported")
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        signatures = get_model_metadata_pb2.SignatureDefMap()
        with self.catalog.use(request.model_spec) as (version, predictor):
            for name, signature in predictor.signatures.items():
                signatures.signature_def[name].CopyFrom(signature.definition)
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = version
        if call is not None:
            call.version = version
        response.metadata[SIGNATURE_DEF].Pack(signatures)
        return response

    def get_model_status(self, request: Any, _timeout_s: float | None = None, _call: Call | None = None) -> Any:
        """Tells the state of a model's versions. As in the stock server, labels are not looked at.

        Args:
          request: a GetModelStatusRequest.

        Returns:
          A GetModelStatusResponse, highest version first.

        Raises:
          ServingError: what the stock server would answer.
        """
        require_spec(request)
        spec = request.model_spec
        store = self.catalog.stores.get(spec.name)
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

    def reload_config(self, request: Any, _timeout_s: float | None = None, _call: Call | None = None) -> Any:
        """Serves the models of a new configuration, with its labels, instead of those before.

        Args:
          request: a ReloadConfigRequest.

        Returns:
          A ReloadConfigResponse; an error is raised, not told in it.

        Raises:
          ServingError: what the stock server would answer.
        """
        if request.config.WhichOneof("config") is None:
            raise ServingError(Code.INVALID_ARGUMENT, ONLY_LISTS)
        models = settings_of(request.config)
        self.catalog.reload(models)
        self._on_reload(models)
        response = ReloadConfigResponse()
        response.status.SetInParent()
        return response


def require_spec(request: Any) -> None:
    """Refuses a request that names no model.

    Raises:
      ServingError: INVALID_ARGUMENT, in the stock server's words.
    """
    if not request.HasField("model_spec"):
        raise ServingError(Code.INVALID_ARGUMENT, "Missing ModelSpec")


def _row_count(value: NDArray[Any]) -> int:
    return len(value) if value.ndim else 1


def _value_count(protos: Mapping[str, Any]) -> int:
    """Counts the values that tensors say they have: few bytes may stand for many of them."""
    return sum(math.prod(dim.size for dim in proto.tensor_shape.dim) for proto in protos.values())


def _decode_inputs(signature: Signature, protos: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    signature.check_inputs(set(protos))
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
