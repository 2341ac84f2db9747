"""TensorFlow Serving's REST API: predict, status and metadata; and the metrics page."""

from __future__ import annotations

import asyncio
import gzip
import re
import socket
import threading
import time
import zlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import uvicorn
from google.protobuf import json_format
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2

from serving.errors import Code, ServingError
from serving.json_answers import write_predictions
from serving.json_tensors import parse_call, read_inputs
from serving.monitoring import CONTENT_TYPE, METRICS_PATH, Monitor
from serving.predictor import DEFAULT_SIGNATURE
from serving.service import SIGNATURE_DEF, ModelService

_PREDICT_PATH = re.compile(
    r"/v1/models/([^/:]+)(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?:(classify|regress|predict)", re.IGNORECASE
)
_STATUS_PATH = re.compile(
    r"/v1/models(?:/([^/:]+))?(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?(?:/(metadata))?", re.IGNORECASE
)
_HTTP_STATUS: Mapping[Code, int] = {
    Code.CANCELLED: 499,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}
_METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]
_MAX_VERSION = 2**63 - 1


class RestServer:
    """An HTTP server in a thread of its own.

    Args:
      service: what answers.
      listener: the socket to accept from.
      monitor: what counts the calls.
      timeout_s: how long a request may run.
    """

    def __init__(
        self, service: ModelService, listener: socket.socket, monitor: Monitor, timeout_s: float = 30.0
    ) -> None:
        self._service = service
        self._monitor = monitor
        self._timeout_s = timeout_s
        self._listener = listener
        routes = [
            Route(METRICS_PATH, self._metrics, methods=["GET"]),
            Route("/{path:path}", self._answer, methods=_METHODS),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes), log_config=None, access_log=False, lifespan="off", server_header=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._server.serve(sockets=[listener])), name="rest", daemon=True
        )

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.005)

    def stop(self, grace_s: float) -> None:
        """Takes no new requests, lets those under way end for `grace_s`, then closes."""
        self._server.config.timeout_graceful_shutdown = max(1, round(grace_s))
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._listener.close()

    async def _metrics(self, _request: Request) -> Response:
        return Response(self._monitor.page(), media_type=CONTENT_TYPE)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
        if not path.lower().startswith("/v1/"):
            return Response(status_code=404)
        body = await request.body()
        gzipped = request.headers.get("content-encoding", "").lower() == "gzip"
        return await run_in_threadpool(self._process, request.method, path, body, gzipped)

    def _process(self, method: str, path: str, body: bytes, gzipped: bool) -> Response:
        started_s = time.perf_counter()
        model, action = "", ""
        try:
            pattern = {"POST": _PREDICT_PATH, "GET": _STATUS_PATH}.get(method)
            found = pattern.fullmatch(path) if pattern else None
            if found is None:
                raise ServingError(Code.INVALID_ARGUMENT, f"Malformed request: {method} {path}")
            spec = _model_spec(*found.groups()[:3])
            model, action = self._service.known_name(spec.name), (found[4] or "").lower()
            if method == "POST":
                text = self._predict(spec, action, gunzipped(body) if gzipped else body)
            else:
                text = self._metadata(spec) if action == "metadata" else self._status(spec)
        except ServingError as error:
            self._monitor.count(model, error.code)
            return JSONResponse({"error": error.message}, _HTTP_STATUS.get(error.code, 500))
        self._monitor.count(model, Code.OK)
        self._monitor.observe(model, action, "REST", time.perf_counter() - started_s)
        return Response(text.encode("utf-8", errors="surrogateescape"), media_type="application/json")

    def _predict(self, spec: Any, action: str, body: bytes) -> str:
        if action != "predict":
            raise ServingError(Code.UNIMPLEMENTED, f"'{action}' is not served here; ask with ':predict'")
        call = parse_call(body)
        with self._service.model(spec) as (_, predictor):
            name = call.signature_name or DEFAULT_SIGNATURE
            signature = predictor.signatures.get(name)
            if signature is None:
                raise ServingError(
                    Code.INVALID_ARGUMENT, f'Serving signature name: "{name}" not found in signature def'
                )
            inputs = read_inputs(call, signature.definition.inputs)
            outputs = self._service.run(spec.name, predictor, signature, inputs, timeout_s=self._timeout_s)
        return write_predictions(outputs, rows=call.rows)

    def _status(self, spec: Any) -> str:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=spec)
        return _to_json(self._service.get_model_status(request))

    def _metadata(self, spec: Any) -> str:
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=[SIGNATURE_DEF])
        response = self._service.get_model_metadata(request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata[SIGNATURE_DEF].Unpack(signatures)
        return (
            f'{{\n"model_spec":{_to_json(response.model_spec)},\n'
            f'"metadata": {{"signature_def": {_to_json(signatures)}}}\n}}\n'
        )


def gunzipped(body: bytes) -> bytes:
    """Unpacks a gzip body.

    Raises:
      ServingError: INVALID_ARGUMENT if it is none.
    """
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error) as error:
        raise ServingError(Code.INVALID_ARGUMENT, f"The body is no gzip data: {error}") from error


def _model_spec(name: str | None, version: str | None, label: str | None) -> Any:
    if not name:
        raise ServingError(Code.INVALID_ARGUMENT, "Missing model name in request.")
    spec = model_pb2.ModelSpec(name=unquote(name))
    if version is not None:
        if int(version) > _MAX_VERSION:
            raise ServingError(Code.INVALID_ARGUMENT, f"Failed to convert version: {version} to numeric.")
        spec.version.value = int(version)
    if label is not None:
        spec.version_label = unquote(label)
    return spec


def _to_json(message: Any) -> str:
    text: str = json_format.MessageToJson(
        message, preserving_proto_field_name=True, including_default_value_fields=True, indent=1
    )
    return text
