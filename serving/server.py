"""The embedded server: stores, gRPC and REST together, from the first look at the folder to the last call."""

from __future__ import annotations

import contextlib
import gc
import socket
from collections.abc import Sequence

from serving.grpc_server import GrpcServer, PortTakenError
from serving.model_store import ModelStore
from serving.monitoring import Monitor
from serving.rest_server import RestServer
from serving.service import ModelService

GRACE_S = 10.0


class Server:
    """Serves some models on two ports.

    Args:
      stores: the models.
      host: the address to listen on.
      grpc_port: 0 takes a free one.
      rest_port: 0 takes a free one; None serves no REST.

    Raises:
      PortTakenError: if a port cannot be had.
    """

    def __init__(
        self, stores: Sequence[ModelStore], host: str = "127.0.0.1", grpc_port: int = 0, rest_port: int | None = 0
    ) -> None:
        self.stores = stores
        self.host = host
        self.monitor = Monitor()
        service = ModelService({store.name: store for store in stores}, self.monitor)
        listener = None if rest_port is None else _listen(host, rest_port)
        try:
            self._grpc = GrpcServer(service, host, grpc_port, self.monitor)
        except PortTakenError:
            if listener is not None:
                listener.close()
            raise
        self.grpc_port = self._grpc.port
        self.rest_port: int | None = None
        self._rest: RestServer | None = None
        if listener is not None:
            self.rest_port = listener.getsockname()[1]
            self._rest = RestServer(service, listener, self.monitor)

    @property
    def grpc_address(self) -> str:
        """HOST:PORT of the gRPC API."""
        return f"{self.host}:{self.grpc_port}"

    @property
    def rest_address(self) -> str | None:
        """HOST:PORT of the REST API."""
        return None if self.rest_port is None else f"{self.host}:{self.rest_port}"

    def start(self) -> None:
        """Loads what is there, then answers. New versions are loaded in the background from now on."""
        # A collection after a swap would go through all of TensorFlow's objects, and nobody is answered meanwhile.
        gc.freeze()
        for store in self.stores:
            store.on_change = lambda _store: self._update_health()
            store.start()
        self._update_health()
        self._grpc.start()
        if self._rest is not None:
            self._rest.start()

    def stop(self, grace_s: float = GRACE_S) -> None:
        """Takes no new calls, lets those under way end for `grace_s`, then frees the models."""
        self._grpc.stop(grace_s)
        if self._rest is not None:
            self._rest.stop(grace_s)
        for store in self.stores:
            store.on_change = lambda _store: None
            store.stop()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def _update_health(self) -> None:
        self._grpc.set_healthy(healthy=all(store.available() for store in self.stores))


def _listen(host: str, port: int) -> socket.socket:
    # With the protocol named, asyncio turns Nagle's algorithm off; without, every answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # A port whose last owner has just ended can be had again at once.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        with contextlib.suppress(OSError):
            listener.close()
        raise PortTakenError(f"cannot listen for REST on {host}:{port}: {error.strerror}") from error
    return listener
