"""How one call over gRPC is answered: in the event loop where that takes a moment, in a thread otherwise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)

from serving.call import Call
from serving.errors import RETRY_AFTER, Code, ServingError, WouldWaitError
from serving.inference import ExampleService
from serving.messages import ReloadConfigRequest
from serving.reception import REQUEST_ID, Reception

AUTHORIZATION = "authorization"
MAX_MESSAGE_LENGTH = 1024
# gRPC's own words for what is no message of the method's.
NO_MESSAGE = "Exception deserializing request!"
# Parsing more than that would keep the loop from others.
_SMALL_BYTES = 16 * 1024
_STATUS_CODES: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

Work = Callable[[Any, float | None, Call], Any]


class GrpcCalls:
    """Answers the methods of TensorFlow Serving's two services.

    Args:
      reception: lets calls in and knows what answers.
      threads: for the calls that take longer than a moment.
    """

    def __init__(self, reception: Reception, threads: int) -> None:
        self._reception = reception
        self._admission = reception.admission
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="grpc")

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """Returns the services as gRPC takes them."""
        service = self._reception.service
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
        return tuple(
            grpc.method_handlers_generic_handler(
                f"tensorflow.serving.{name}",
                {method: self._method(method, *found) for method, found in methods.items()},
            )
            for name, methods in (("PredictionService", prediction), ("ModelService", model))
        )

    def close(self) -> None:
        """Starts no more calls."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def refuse(self, call: Call, context: Any, error: ServingError) -> NoReturn:
        """Notes a call that is not let in, and ends it."""
        self._reception.note(call, error.code, error.message)
        await _abort(context, error)

    def _method(self, name: str, work: Work, request_class: Any) -> grpc.RpcMethodHandler:
        async def answer(raw: bytes, context: Any) -> bytes:
            call = Call("GRPC", name, client_host(context.peer()))
            # The message, as bytes until it is parsed; a call that has ended holds it no longer.
            held: list[Any] = [raw]
            at_once = name == "Predict" and len(raw) <= _SMALL_BYTES
            del raw
            authorization = await self._named(call, context)
            left_s = context.time_remaining()
            ends_s = None if left_s is None else time.monotonic() + left_s

            def made() -> bytes:
                if isinstance(held[0], bytes):
                    held[0] = self._parsed(call, request_class, held[0])
                message = held[0]
                left_s = None if ends_s is None else ends_s - time.monotonic()
                return self._reception.answer(
                    call, _model_name(message), authorization, lambda: work(message, left_s, call).SerializeToString()
                )

            try:
                return await self._run(call, made, held, at_once=at_once)
            except ServingError as error:
                held.clear()
                await _abort(context, error)

        return grpc.unary_unary_rpc_method_handler(answer)

    def _parsed(self, call: Call, request_class: Any, raw: bytes) -> Any:
        try:
            return request_class.FromString(raw)
        except DecodeError as error:
            self._reception.note(call, Code.INTERNAL, NO_MESSAGE)
            raise ServingError(Code.INTERNAL, NO_MESSAGE) from error

    async def _named(self, call: Call, context: Any) -> str:
        """Gives a call its id where calls have one; returns what the client sent as authorization."""
        if not (self._admission.knows_tokens or self._reception.names_calls):
            return ""
        sent = dict(context.invocation_metadata())
        if self._reception.names_calls:
            call.request_id = self._reception.request_id(sent.get(REQUEST_ID, ""))
            try:
                await context.send_initial_metadata(((REQUEST_ID, call.request_id),))
            except asyncio.CancelledError:
                self._reception.note(call, Code.CANCELLED, "the client went away before it was answered")
                raise
        return sent.get(AUTHORIZATION, "")

    async def _run(self, call: Call, made: Callable[[], bytes], held: list[Any], *, at_once: bool) -> bytes:
        """Makes an answer of what is held, in this thread if it may be `at_once`, and counts the call meanwhile."""

        def ended(_future: Any) -> None:
            self._admission.leave()
            held.clear()

        try:
            self._admission.check_load()
        except ServingError as error:
            self._reception.note(call, error.code, error.message)
            raise
        if at_once:
            call.at_once = True
            self._admission.enter()
            try:
                return made()
            except WouldWaitError:
                call.at_once = False
            finally:
                self._admission.leave()
        self._admission.enter()
        future = self._pool.submit(made)
        future.add_done_callback(ended)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if future.cancelled():
                self._reception.note(call, Code.CANCELLED, "the client went away before a thread was free")
            raise


def client_host(peer: str) -> str:
    """Returns a client's address without its port, of gRPC's `ipv4:10.0.0.1:5000`; `unix` for a UNIX socket."""
    kind, _, address = unquote(peer).partition(":")
    return address.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else kind


def truncated(message: str) -> str:
    """Shortens an error message as the stock server does."""
    return message if len(message) <= MAX_MESSAGE_LENGTH else message[:MAX_MESSAGE_LENGTH] + "...TRUNCATED"


async def _abort(context: Any, error: ServingError) -> NoReturn:
    pause: tuple[tuple[str, str], ...] = ()
    if error.retry_after_s is not None:
        # The second is what gRPC's own retries go by.
        pause = (
            (RETRY_AFTER, f"{error.retry_after_s:.3f}"),
            ("grpc-retry-pushback-ms", str(int(error.retry_after_s * 1000))),
        )
    await context.abort(_STATUS_CODES[error.code], truncated(error.message), pause)
    raise error  # not reached: `abort` raises


def _model_name(request: Any) -> str:
    spec = getattr(request, "model_spec", None)
    if spec is None:
        spec = request.tasks[0].model_spec if getattr(request, "tasks", None) else None
    return "" if spec is None else spec.name
