"""TensorFlow Serving's REST API over HTTP; beside it what watches a server: probes and metrics."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serving.call import Call
from serving.errors import RETRY_AFTER, Code, ServingError
from serving.http_protocol import TimedProtocol
from serving.monitoring import CONTENT_TYPE
from serving.options import ServerOptions
from serving.reception import REQUEST_ID, Reception
from serving.rest_calls import RestCalls, RestRequest

HTTP_STATUS: Mapping[Code, int] = {
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
LOADING_RETRY_S = 1.0
LIVE_PATH, READY_PATH = "/livez", "/readyz"


class RestServer:
    """An HTTP server in a thread of its own.

    Args:
      reception: lets calls in and knows what answers.
      listener: the socket to accept from.
      options: time for a request, where the metrics are, whether other sites may ask.
      is_ready: tells whether every model answers and the server goes on taking calls.
    """

    def __init__(
        self, reception: Reception, listener: socket.socket, options: ServerOptions, is_ready: Callable[[], bool]
    ) -> None:
        self._reception = reception
        self._calls = RestCalls(reception.service, options)
        self._options = options
        self._is_ready = is_ready
        self._listener = listener
        self._open = False
        routes = [
            Route(LIVE_PATH, self._live, methods=["GET"]),
            Route(READY_PATH, self._ready, methods=["GET"]),
            Route("/{path:path}", self._answer, methods=_METHODS),
        ]
        if options.metrics_path:
            routes.insert(0, Route(options.metrics_path, self._metrics, methods=["GET"]))
        config = uvicorn.Config(
            Starlette(routes=routes, middleware=_middleware(options)),
            http=TimedProtocol,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._server.serve(sockets=[listener])), name="rest", daemon=True
        )

    def start(self) -> None:
        """Begins to answer the probes; calls are told to come again."""
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.005)

    def open(self) -> None:
        """Begins to answer calls."""
        self._open = True

    def stop(self, grace_s: float) -> None:
        """Takes no new requests, lets those under way end for `grace_s`, then closes."""
        self._server.config.timeout_graceful_shutdown = max(1, round(grace_s))
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._listener.close()

    async def _live(self, _request: Request) -> Response:
        return JSONResponse({"live": True})

    async def _ready(self, _request: Request) -> Response:
        told: dict[str, Any] = {"ready": self._is_ready()}
        if not self._reception.admission.knows_tokens:  # else strangers learn no more than they must
            stores = self._reception.service.catalog.stores.values()
            told["models"] = {store.name: store.available() for store in stores}
        return JSONResponse(told, 200 if told["ready"] else 503)

    async def _metrics(self, request: Request) -> Response:
        try:
            self._reception.admission.client("", request.headers.get("authorization", ""))
        except ServingError as error:
            return _refusal(error)
        return Response(self._reception.monitor.page(), media_type=CONTENT_TYPE)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
        if not path.lower().startswith("/v1/"):
            return Response(status_code=404)
        call = Call("REST", "", request.client.host if request.client else "unix")
        if self._reception.names_calls:
            call.request_id = self._reception.request_id(request.headers.get(REQUEST_ID, ""))
        admission = self._reception.admission
        try:
            if not self._open:
                raise ServingError(Code.UNAVAILABLE, "the server loads its models; try again", LOADING_RETRY_S)
            admission.check_load()
            body = await self._body(request)
            # A call counts once it is there: whoever sends slowly takes nobody's place.
            admission.check_load()
        except ServingError as error:
            self._reception.note(call, error.code, error.message)
            return _named(_refusal(error), call)
        sent = RestRequest(
            request.method,
            path,
            request.headers.get("authorization", ""),
            body,
            request.headers.get("content-encoding", "").lower() == "gzip",
        )
        admission.enter()
        try:
            response = await run_in_threadpool(self._run, call, sent)
        finally:
            admission.leave()
        return _named(response, call)

    async def _body(self, request: Request) -> bytes:
        """Reads the body, no more than is allowed; a stranger's is not read."""
        self._reception.admission.client("", request.headers.get("authorization", ""))
        limits = self._options.limits
        announced = request.headers.get("content-length", "0")
        limits.check_bytes(int(announced) if announced.isdigit() else 0)
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._options.rest_timeout_s):
                async for part in request.stream():
                    size += len(part)
                    limits.check_bytes(size)
                    parts.append(part)
        except (TimeoutError, ClientDisconnect) as error:
            raise ServingError(Code.DEADLINE_EXCEEDED, "the body did not come in time") from error
        return b"".join(parts)

    def _run(self, call: Call, sent: RestRequest) -> Response:
        try:
            text = self._reception.answer(
                call, sent.model_name(), sent.authorization, lambda: self._calls.answer(sent, call)
            )
        except ServingError as error:
            return _refusal(error)
        return Response(text.encode("utf-8", errors="surrogateescape"), media_type="application/json")


def _refusal(error: ServingError) -> Response:
    headers = {}
    if error.retry_after_s is not None:
        headers[RETRY_AFTER] = str(max(1, round(error.retry_after_s + 0.5)))  # HTTP knows whole seconds only
    if error.code == Code.UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    # It may quote bytes of the client's that are no text.
    message = error.message.encode("utf-8", errors="replace").decode()
    return JSONResponse({"error": message}, HTTP_STATUS.get(error.code, 500), headers)


def _named(response: Response, call: Call) -> Response:
    if call.request_id:
        response.headers[REQUEST_ID] = call.request_id
    return response


def _middleware(options: ServerOptions) -> list[Middleware]:
    if not options.cors:
        return []
    return [Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])]
