"""TensorFlow Serving's gRPC API: PredictionService, ModelService and the health service."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

from serving.errors import Code, ServingError
from serving.monitoring import Monitor
from serving.service import ModelService

MAX_MESSAGE_LENGTH = 1024
# The names under which the health service knows this server; "" means all of it.
HEALTH_NAMES = (
    "",
    "ModelService",
    "PredictionService",
    "tensorflow.serving.ModelService",
    "tensorflow.serving.PredictionService",
)
_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.so_reuseport", 0),  # a taken port is an error, not a share of the calls
)
_STATUS_CODES: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

Call = Callable[[Any, float | None], Any]


class PortTakenError(OSError):
    """Another process listens on the address."""


class GrpcServer:
    """A gRPC server. It listens from the start and answers after `start`.

    Args:
      service: what answers.
      host: the address to listen on.
      port: the port; 0 takes a free one, then found in `port`.
      monitor: what counts the calls.
      max_threads: how many calls may run at once.

    Raises:
      PortTakenError: if the port cannot be had.
    """

    def __init__(self, service: ModelService, host: str, port: int, monitor: Monitor, max_threads: int = 0) -> None:
        self._monitor = monitor
        threads = max_threads or 4 * (os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="grpc")
        self._server = grpc.server(self._pool, options=_OPTIONS)
        self._server.add_generic_rpc_handlers(tuple(self._handlers(service)))
        self._health_pool = ThreadPoolExecutor(1, thread_name_prefix="grpc-health")
        self._health = health.HealthServicer(experimental_non_blocking=True, experimental_thread_pool=self._health_pool)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.set_healthy(healthy=False)
        try:
            self.port: int = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise PortTakenError(f"cannot listen for gRPC on {host}:{port}: {error}") from error

    def start(self) -> None:
        """Begins to answer."""
        self._server.start()

    def set_healthy(self, *, healthy: bool) -> None:
        """Tells the health service's clients whether a model answers."""
        state = health_pb2.HealthCheckResponse.SERVING if healthy else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in HEALTH_NAMES:
            self._health.set(name, state)

    def stop(self, grace_s: float) -> None:
        """Takes no new calls, lets those under way end for `grace_s`, then closes."""
        self._health.enter_graceful_shutdown()
        self._server.stop(grace_s).wait()
        self._pool.shutdown(wait=False)
        self._health_pool.shutdown(wait=False)

    def _handlers(self, service: ModelService) -> list[grpc.GenericRpcHandler]:
        prediction = {
            "Predict": self._method(service, "Predict", service.predict, predict_pb2.PredictRequest),
            "GetModelMetadata": self._method(
                service, "GetModelMetadata", service.get_model_metadata, get_model_metadata_pb2.GetModelMetadataRequest
            ),
        }
        model = {
            "GetModelStatus": self._method(
                service, "GetModelStatus", service.get_model_status, get_model_status_pb2.GetModelStatusRequest
            )
        }
        return [
            grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", prediction),
            grpc.method_handlers_generic_handler("tensorflow.serving.ModelService", model),
        ]

    def _method(self, service: ModelService, name: str, call: Call, request_class: Any) -> grpc.RpcMethodHandler:
        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            started_s = time.perf_counter()
            model = service.known_name(request.model_spec.name)
            try:
                response = call(request, context.time_remaining())
            except ServingError as error:
                self._monitor.count(model, error.code)
                context.abort(_STATUS_CODES[error.code], truncated(error.message))
            self._monitor.count(model, Code.OK)
            self._monitor.observe(model, name, "GRPC", time.perf_counter() - started_s)
            return response

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=request_class.FromString,
            response_serializer=lambda response: response.SerializeToString(),
        )


def truncated(message: str) -> str:
    """Shortens an error message as the stock server does."""
    return message if len(message) <= MAX_MESSAGE_LENGTH else message[:MAX_MESSAGE_LENGTH] + "...TRUNCATED"
