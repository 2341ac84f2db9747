"""The embedded server: stores, gRPC and REST together, from the first look at the folder to the last call."""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
import time
from collections.abc import Callable, Sequence

from serving.access_log import AccessLog
from serving.admission import Admission
from serving.grpc_server import GrpcServer, PortTakenError
from serving.model_catalog import ModelCatalog
from serving.model_config import ModelSettings
from serving.model_store import ModelStore
from serving.monitoring import Monitor
from serving.options import ServerOptions
from serving.peers import Peers
from serving.reception import Reception
from serving.request_log import RequestLog
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
      options: everything else.
      catalog: the models where they may change; instead of `stores`.
      on_reload: called with a new configuration that was taken over from a client.
      peers: the processes that listen on the same ports; by default there are no others.

    Raises:
      PortTakenError: if a port cannot be had.
      OSError: if a log cannot be opened.
    """

    def __init__(
        self,
        stores: Sequence[ModelStore] = (),
        host: str = "127.0.0.1",
        grpc_port: int = 0,
        rest_port: int | None = 0,
        *,
        options: ServerOptions | None = None,
        catalog: ModelCatalog | None = None,
        on_reload: Callable[[Sequence[ModelSettings]], None] = lambda _models: None,
        peers: Peers | None = None,
    ) -> None:
        self.catalog = catalog or ModelCatalog(stores)
        self.host = host
        self.options = options or ServerOptions()
        self.monitor = Monitor()
        self._peers = peers or Peers([0], 0)
        self._draining = False
        with contextlib.ExitStack() as opened:
            self._requests = _open_request_log(self.options, self.monitor)
            if self._requests is not None:
                opened.callback(self._requests.close)
            service = self._service(on_reload)
            listener = None
            if rest_port is not None:
                listener = opened.enter_context(_listen(host, rest_port, share=self.options.share_port))
            self._log = _open_log(self.options, self.monitor)
            if self._log is not None:
                opened.callback(self._log.close)
            self._admission = Admission(self.options.limits, self.options.tokens, on_load=self.monitor.set_under_way)
            reception = Reception(service, self._admission, self.monitor, self._log)
            self._grpc = GrpcServer(reception, host, grpc_port, self.options)
            opened.pop_all()
        self.grpc_port = self._grpc.port
        self.rest_port: int | None = None
        self._rest: RestServer | None = None
        if listener is not None:
            self.rest_port = listener.getsockname()[1]
            self._rest = RestServer(reception, listener, self.options, self.ready)

    @property
    def grpc_address(self) -> str:
        """HOST:PORT of the gRPC API."""
        return f"{self.host}:{self.grpc_port}"

    @property
    def rest_address(self) -> str | None:
        """HOST:PORT of the REST API."""
        return None if self.rest_port is None else f"{self.host}:{self.rest_port}"

    @property
    def stores(self) -> Sequence[ModelStore]:
        """The models served now."""
        return list(self.catalog.stores.values())

    @property
    def calls_under_way(self) -> int:
        """How many calls are at work or waiting, over both APIs."""
        return self._admission.calls

    def ready(self) -> bool:
        """Returns whether every model answers, warmed up, and new calls are welcome, whichever process they reach."""
        self._peers.tell(ready=self.catalog.ready() and not self._draining)
        return self._peers.all_ready()

    def update_health(self) -> None:
        """Tells gRPC's health service whether the server is ready."""
        self._grpc.set_healthy(healthy=self.ready())

    def tell_peers(self) -> None:
        """Hears of the other processes behind the port, and tells them this one's numbers."""
        self.update_health()
        self.monitor.flush()

    def start(self) -> None:
        """Loads what is there, then answers. New versions are loaded in the background from now on."""
        # A collection after a swap would go through all of TensorFlow's objects, and nobody is answered meanwhile.
        gc.freeze()
        if self._rest is not None:
            self._rest.start()
        self.catalog.on_change = self._note_versions
        self.catalog.start()
        self._note_versions()
        self._grpc.start()
        if self._rest is not None:
            self._rest.open()

    def stop(self, grace_s: float = GRACE_S) -> None:
        """Says that it is not ready, takes no new calls, lets those under way end for `grace_s`, frees the models."""
        self._draining = True
        self.update_health()
        time.sleep(self.options.drain_s)
        stopping = threading.Thread(target=self._grpc.stop, args=[grace_s], name="end of grpc")
        stopping.start()
        if self._rest is not None:
            self._rest.stop(grace_s)
        stopping.join()
        self.catalog.on_change = lambda: None
        self.catalog.stop()
        for log in (self._log, self._requests):
            if log is not None:
                log.close()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def _service(self, on_reload: Callable[[Sequence[ModelSettings]], None]) -> ModelService:
        return ModelService(
            self.catalog,
            self.monitor,
            self.options.limits,
            on_reload,
            batching=self.options.batching,
            processors=self.options.processors,
            request_log=self._requests,
        )

    def _note_versions(self) -> None:
        for store in self.stores:
            self.monitor.set_version(store.name, max(store.available(), default=0), store.failed_loads)
        self.update_health()


def _open_log(options: ServerOptions, monitor: Monitor) -> AccessLog | None:
    return None if options.access_log is None else AccessLog(options.access_log, monitor.count_lost_line)


def _open_request_log(options: ServerOptions, monitor: Monitor) -> RequestLog | None:
    if options.request_log is None:
        return None
    return RequestLog(
        options.request_log, options.request_log_rate, options.request_log_keep_s, monitor.count_lost_record
    )


def _listen(host: str, port: int, *, share: bool) -> socket.socket:
    # With the protocol named, asyncio turns Nagle's algorithm off; without, every answer waits 40 ms.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # A port whose last owner has just ended can be had again at once.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if share:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        with contextlib.suppress(OSError):
            listener.close()
        raise PortTakenError(f"cannot listen for REST on {host}:{port}: {error.strerror}") from error
    return listener
