"""TensorFlow Serving's gRPC API: PredictionService, ModelService, health and reflection."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)

from serving.admission import Admission
from serving.call import Call
from serving.errors import RETRY_AFTER, ServingError
from serving.inference import ExampleService
from serving.messages import ReloadConfigRequest
from serving.options import MAX_MESSAGE_BYTES, ServerOptions, TlsKeys
from serving.reception import REQUEST_ID, Reception
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
_HEALTH_METHODS = f"/{health.SERVICE_NAME}/"
_AUTHORIZATION = "authorization"
_STATUS_CODES: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

Work = Callable[[Any, float | None, Call], Any]


class PortTakenError(OSError):
    """Another process listens on the address."""


class GrpcServer:
    """A gRPC server. It listens from the start and answers after `start`.

    Args:
      reception: lets calls in and knows what answers.
      host: the address to listen on.
      port: the port; 0 takes a free one, then found in `port`.
      options: TLS, a UNIX socket beside the port, threads and further settings.

    Raises:
      PortTakenError: if the port or the socket cannot be had.
    """

    def __init__(self, reception: Reception, host: str, port: int, options: ServerOptions) -> None:
        self._reception = reception
        self._pool = _CountedPool(reception.admission, options.grpc_threads or 4 * (os.cpu_count() or 1))
        self._server = grpc.server(self._pool, interceptors=[_Guard(reception)], options=_settings(options))
        self._server.add_generic_rpc_handlers(tuple(self._handlers(reception.service)))
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="grpc-health")
        self._health = _health_servicer(self._aside)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._streams = ThreadPoolExecutor(2, thread_name_prefix="grpc-reflection")
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(_reflection(self._streams), self._server)
        self._healthy: bool | None = None
        self.set_healthy(healthy=False)
        self.port = self._listen(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", options.tls)
        if options.socket_path:
            self._listen(f"unix:{options.socket_path}", None)

    def start(self) -> None:
        """Begins to answer."""
        self._server.start()

    def set_healthy(self, *, healthy: bool) -> None:
        """Tells the health service's clients whether every model answers; those who watch hear only of changes."""
        if healthy == self._healthy:
            return
        self._healthy = healthy
        state = health_pb2.HealthCheckResponse.SERVING if healthy else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in HEALTH_NAMES:
            self._health.set(name, state)

    def stop(self, grace_s: float) -> None:
        """Takes no new calls, lets those under way end for `grace_s`, then closes."""
        self._health.enter_graceful_shutdown()
        self._server.stop(grace_s).wait()
        self._pool.shutdown(wait=False)
        self._aside.shutdown(wait=False)
        self._streams.shutdown(wait=False)

    def _listen(self, address: str, tls: TlsKeys | None) -> int:
        try:
            if tls is None:
                port: int = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, _credentials(tls))
        except RuntimeError as error:
            raise PortTakenError(f"cannot listen for gRPC on {address}: {error}") from error
        return port

    def _handlers(self, service: ModelService) -> list[grpc.GenericRpcHandler]:
        examples = ExampleService(service)
        prediction = {
            "Predict": (service.predict, predict_pb2.PredictRequest),
            "Classify": (examples.classify, classification_pb2.ClassificationRequest),
            "Regress": (examples.regress, regression_pb2.RegressionRequest),
            "MultiInference": (examples.multi_inference, inference_pb2.MultiInferenceRequest),
            "GetModelMetadata": (service.get_model_metadata, get_model_metadata_pb2.GetModelMetadataRequest),
        }
        model = {
            "GetModelStatus": (service.get_model_status, get_model_status_pb2.GetModelStatusRequest),
            "HandleReloadConfigRequest": (service.reload_config, ReloadConfigRequest),
        }
        return [
            grpc.method_handlers_generic_handler(
                f"tensorflow.serving.{name}",
                {method: self._method(method, *found) for method, found in methods.items()},
            )
            for name, methods in (("PredictionService", prediction), ("ModelService", model))
        ]

    def _method(self, name: str, work: Work, request_class: Any) -> grpc.RpcMethodHandler:
        reception = self._reception
        with_tokens = bool(reception.admission.knows_tokens)

        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            call = Call("GRPC", name, client_host(context.peer()))
            authorization = ""
            if with_tokens or reception.names_calls:
                sent = dict(context.invocation_metadata())
                authorization = sent.get(_AUTHORIZATION, "")
                if reception.names_calls:
                    call.request_id = reception.request_id(sent.get(REQUEST_ID, ""))
                    context.send_initial_metadata(((REQUEST_ID, call.request_id),))
            try:
                return reception.answer(
                    call, _model_name(request), authorization, lambda: work(request, context.time_remaining(), call)
                )
            except ServingError as error:
                return _abort(context, error)

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=request_class.FromString,
            response_serializer=lambda response: response.SerializeToString(),
        )


class _CountedPool(ThreadPoolExecutor):
    """Counts the calls that it runs and those that wait for it."""

    def __init__(self, admission: Admission, threads: int) -> None:
        super().__init__(threads, thread_name_prefix="grpc")
        self._admission = admission

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        self._admission.enter()
        future = super().submit(*args, **kwargs)
        future.add_done_callback(lambda _future: self._admission.leave())
        return future


class _Guard(grpc.ServerInterceptor):
    """Refuses calls before they wait for a thread: those of strangers, and those that come when it is full."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="grpc-refusals")

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        if details.method.startswith(_HEALTH_METHODS):
            return continuation(details)
        admission = self._reception.admission
        try:
            admission.check_load()
            if admission.knows_tokens:
                admission.client("", dict(details.invocation_metadata).get(_AUTHORIZATION, ""))
        except ServingError as error:
            return self._refusal(details.method.rpartition("/")[2], error)
        return continuation(details)

    def _refusal(self, method: str, refused: ServingError) -> grpc.RpcMethodHandler:
        def refuse(_request: bytes, context: grpc.ServicerContext) -> None:
            self._reception.note(Call("GRPC", method, client_host(context.peer())), refused.code, refused.message)
            _abort(context, refused)

        # gRPC would have the refusal wait behind the very calls that it is refused for.
        refuse.experimental_thread_pool = self._pool  # type: ignore[attr-defined]
        return grpc.unary_unary_rpc_method_handler(refuse)


def truncated(message: str) -> str:
    """Shortens an error message as the stock server does."""
    return message if len(message) <= MAX_MESSAGE_LENGTH else message[:MAX_MESSAGE_LENGTH] + "...TRUNCATED"


def client_host(peer: str) -> str:
    """Returns a client's address without its port, of gRPC's `ipv4:10.0.0.1:5000`; `unix` for a UNIX socket."""
    kind, _, address = unquote(peer).partition(":")
    return address.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else kind


def _health_servicer(pool: ThreadPoolExecutor) -> Any:
    servicer = health.HealthServicer()
    # gRPC's servicer notes its pool at its class: with a second server in the process, the first would use the pool of
    # that one, and die of it once that one has stopped.
    watch = functools.partial(servicer.Watch)
    watch.experimental_non_blocking = True  # type: ignore[attr-defined]
    watch.experimental_thread_pool = pool  # type: ignore[attr-defined]
    servicer.Watch = watch
    return servicer


def _reflection(pool: ThreadPoolExecutor) -> Any:
    servicer = reflection.ReflectionServicer([*HEALTH_NAMES[3:], health.SERVICE_NAME, reflection.SERVICE_NAME])
    info = functools.partial(servicer.ServerReflectionInfo)
    # Whoever leaves such a stream open would hold a thread that answers calls.
    info.experimental_thread_pool = pool  # type: ignore[attr-defined]
    servicer.ServerReflectionInfo = info
    return servicer


def _settings(options: ServerOptions) -> list[tuple[str, int | str]]:
    settings: dict[str, int | str] = {
        "grpc.max_send_message_length": -1,
        "grpc.max_receive_message_length": options.limits.request_bytes or MAX_MESSAGE_BYTES,
        # Unless processes share it, a taken port is an error, not a share of the calls.
        "grpc.so_reuseport": int(options.share_port),
    }
    # Of a name that stands twice, gRPC would take the first.
    return list((settings | dict(options.channel_arguments)).items())


def _credentials(tls: TlsKeys) -> Any:
    return grpc.ssl_server_credentials(
        [(tls.key.encode(), tls.certificate.encode())],
        root_certificates=tls.client_ca.encode() or None,
        require_client_auth=tls.verify_clients,
    )


def _abort(context: grpc.ServicerContext, error: ServingError) -> None:
    if error.retry_after_s is not None:
        # The second is what gRPC's own retries go by.
        pause = (
            (RETRY_AFTER, f"{error.retry_after_s:.3f}"),
            ("grpc-retry-pushback-ms", str(int(error.retry_after_s * 1000))),
        )
        context.set_trailing_metadata(pause)
    context.abort(_STATUS_CODES[error.code], truncated(error.message))


def _model_name(request: Any) -> str:
    spec = getattr(request, "model_spec", None)
    if spec is None:
        spec = request.tasks[0].model_spec if getattr(request, "tasks", None) else None
    return "" if spec is None else spec.name
