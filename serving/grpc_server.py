"""TensorFlow Serving's gRPC API on a port: PredictionService, ModelService, health and reflection."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from serving.call import Call
from serving.errors import ServingError
from serving.grpc_calls import AUTHORIZATION, GrpcCalls, client_host
from serving.grpc_health import SERVICES, HealthService
from serving.options import MAX_MESSAGE_BYTES, ServerOptions, TlsKeys
from serving.reception import Reception

_HEALTH_METHODS = f"/{health.SERVICE_NAME}/"
_CLOSE_S = 5.0

Result = TypeVar("Result")


class PortTakenError(OSError):
    """Another process listens on the address."""


class GrpcServer:
    """A gRPC server in an event loop of its own. It listens from the start and answers after `start`.

    Args:
      reception: lets calls in and knows what answers.
      host: the address to listen on.
      port: the port; 0 takes a free one, then found in `port`.
      options: TLS, a UNIX socket beside the port, threads and further settings.

    Raises:
      PortTakenError: if the port or the socket cannot be had.
    """

    def __init__(self, reception: Reception, host: str, port: int, options: ServerOptions) -> None:
        self._calls = GrpcCalls(reception, options.grpc_threads or 4 * (os.cpu_count() or 1))
        self._health = HealthService()
        self._healthy: bool | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="grpc", daemon=True)
        self._thread.start()
        with contextlib.ExitStack() as opened:
            opened.callback(self._close)
            self.port: int = self._in_loop(self._listen(reception, host, port, options))
            opened.pop_all()

    def start(self) -> None:
        """Begins to answer."""
        self._in_loop(self._server.start())

    def set_healthy(self, *, healthy: bool) -> None:
        """Tells the health service's clients whether every model answers; those who watch hear only of changes."""
        if healthy != self._healthy and self._thread.is_alive():
            self._healthy = healthy
            # Nobody waits for it: the loop may end at this moment.
            asyncio.run_coroutine_threadsafe(self._health.tell(healthy=healthy), self._loop)

    def stop(self, grace_s: float) -> None:
        """Takes no new calls, lets those under way end for `grace_s`, then closes."""
        if not self._thread.is_alive():
            return
        self._in_loop(self._health.end())
        self._in_loop(self._server.stop(grace_s))
        self._close()

    async def _listen(self, reception: Reception, host: str, port: int, options: ServerOptions) -> int:
        guards = [_Guard(reception, self._calls)] if reception.admission.knows_tokens else []
        self._server = grpc.aio.server(interceptors=guards, options=_settings(options))
        self._server.add_generic_rpc_handlers(self._calls.handlers())
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection([*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server)
        found = _bound(self._server, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", options.tls)
        if options.socket_path:
            _bound(self._server, f"unix:{options.socket_path}", None)
        return found

    def _in_loop(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _close(self) -> None:
        self._calls.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_S)
        if not self._thread.is_alive():
            self._loop.close()


class _Guard(grpc.aio.ServerInterceptor):
    """Refuses calls of strangers before their messages are parsed; the probes are open to all."""

    def __init__(self, reception: Reception, calls: GrpcCalls) -> None:
        self._admission = reception.admission
        self._calls = calls

    async def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        if details.method.startswith(_HEALTH_METHODS):
            return await continuation(details)
        try:
            self._admission.client("", dict(details.invocation_metadata).get(AUTHORIZATION, ""))
        except ServingError as error:
            return self._refusal(details.method.rpartition("/")[2], error)
        return await continuation(details)

    def _refusal(self, method: str, refused: ServingError) -> grpc.RpcMethodHandler:
        async def refuse(_request: bytes, context: Any) -> None:
            await self._calls.refuse(Call("GRPC", method, client_host(context.peer())), context, refused)

        return grpc.unary_unary_rpc_method_handler(refuse)


def _bound(server: Any, address: str, tls: TlsKeys | None) -> int:
    try:
        if tls is None:
            port: int = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, _credentials(tls))
    except RuntimeError as error:
        raise PortTakenError(f"cannot listen for gRPC on {address}: {error}") from error
    return port


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
