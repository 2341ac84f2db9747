"""gRPC servers without a model: they answer when and what a test says."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from serving.messages import PredictResponse


class SlowServer:
    """Answers Predict with its own name as the model's.

    Args:
      name: its name.
      delay_s: how long it takes.
      error: what it answers instead: code and message.
      trailing: the metadata that come with the answer.
    """

    def __init__(
        self,
        name: str,
        delay_s: float = 0.0,
        error: tuple[grpc.StatusCode, str] | None = None,
        trailing: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.name = name
        self.delay_s = delay_s
        self.error = error
        self.trailing = trailing
        self.calls = 0
        self.cancelled = threading.Event()
        self.peers: list[str] = []
        self.metadata: dict[str, str] = {}
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        handlers = {"Predict": grpc.unary_unary_rpc_method_handler(self._answer)}
        service = grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", handlers)
        self._server.add_generic_rpc_handlers((service,))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    @contextlib.contextmanager
    def running(self) -> Iterator["SlowServer"]:
        """Answers until the end of the block."""
        self._server.start()
        try:
            yield self
        finally:
            self._server.stop(None).wait()

    def _answer(self, _request: bytes, context: Any) -> bytes:
        self.calls += 1
        self.peers.append(context.peer())
        self.metadata = dict(context.invocation_metadata())
        ended = threading.Event()
        context.add_callback(ended.set)
        if self.delay_s and ended.wait(self.delay_s):
            self.cancelled.set()
        context.set_trailing_metadata(self.trailing)
        if self.error is not None:
            context.abort(*self.error)
        response = PredictResponse()
        response.model_spec.name = self.name
        return response.SerializeToString()
