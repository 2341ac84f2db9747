"""Calls to a server over gRPC: ours, or the stock TensorFlow Serving. Loads no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from serving.errors import RETRY_AFTER, Code, ServingError

# method: the service that has it
SERVICES = {
    "Predict": "tensorflow.serving.PredictionService",
    "GetModelMetadata": "tensorflow.serving.PredictionService",
    "GetModelStatus": "tensorflow.serving.ModelService",
    "HandleReloadConfigRequest": "tensorflow.serving.ModelService",
}
CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # gRPC waits a second before it tries a lost server again, longer than the client's first retries.
    ("grpc.initial_reconnect_backoff_ms", 100),
    # How long one attempt to connect may take: a busy server needs some time for its first word.
    ("grpc.min_reconnect_backoff_ms", 5000),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # Else two transports to one address would share a connection, and so one worker of the server.
    ("grpc.use_local_subchannel_pool", 1),
)


def token_metadata(token: str) -> tuple[tuple[str, str], ...]:
    """Makes the metadata that show a bearer token; none for ""."""
    return (("authorization", f"Bearer {token}"),) if token else ()


def serving_error(error: Any) -> ServingError:
    """Tells in our words how gRPC's call ended."""
    retry_after = dict(error.trailing_metadata() or ()).get(RETRY_AFTER)
    return ServingError(Code(error.code().value[0]), str(error.details()), _seconds(retry_after))


def _seconds(text: object) -> float | None:
    try:
        return max(0.0, float(str(text)))
    except ValueError:
        return None


class Flight:
    """A call under way.

    Args:
      future: gRPC's own.
    """

    def __init__(self, future: Any) -> None:
        self._future = future

    def on_end(self, callback: Callable[[Flight], None]) -> None:
        """Calls `callback` with this flight once it has ended, at once if it has."""
        self._future.add_done_callback(lambda _future: callback(self))

    def cancel(self) -> None:
        """Ends the call if it has not ended, here and on the server."""
        self._future.cancel()

    def result(self) -> bytes:
        """Waits for the serialised response.

        Raises:
          ServingError: what the call was answered with; UNAVAILABLE if nobody answers.
        """
        try:
            response: bytes = self._future.result()
        except grpc.FutureCancelledError as error:
            raise ServingError(Code.CANCELLED, "the call was cancelled") from error
        except grpc.RpcError as error:
            raise serving_error(error) from error
        return response


class GrpcTransport:
    """Carries the calls of `Client` over one connection, which lasts and is made anew when it is lost.

    Args:
      address: HOST:PORT, or unix:PATH.
      credentials: how TLS is spoken, from `grpc.ssl_channel_credentials`; None speaks plainly.
      token: the bearer token that the server asks for; "" sends none. Without TLS others can read it.
    """

    def __init__(self, address: str, *, credentials: grpc.ChannelCredentials | None = None, token: str = "") -> None:
        self.address = address
        self._metadata = token_metadata(token)
        self._channel = (
            grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
            if credentials is None
            else grpc.secure_channel(address, credentials, options=CHANNEL_OPTIONS)
        )
        self._methods: dict[str, Any] = {
            method: self._channel.unary_unary(f"/{service}/{method}") for method, service in SERVICES.items()
        }

    def call(self, method: str, request: bytes, timeout_s: float) -> bytes:
        """Carries one call, as `Transport.call`."""
        try:
            response: bytes = self._methods[method](request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise serving_error(error) from error
        return response

    def start(self, method: str, request: bytes, timeout_s: float) -> Flight:
        """Begins a call and does not wait for it; arguments as those of `call`."""
        return Flight(self._methods[method].future(request, timeout=timeout_s, metadata=self._metadata))

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()
