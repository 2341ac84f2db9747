"""How a server serves: where it listens, whom it lets in, how much it takes. Loads no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from serving.batching_parameters import Batching
from serving.errors import Code, ServingError

# No message can be larger: protobuf counts bytes in 31 bits.
MAX_MESSAGE_BYTES = 2**31 - 1
K_INPUT = "k"


@dataclass(frozen=True)
class Limits:
    """What one server process takes. 0 stands for no limit.

    Args:
      concurrent_calls: calls at work and waiting at once; what comes beyond is refused at once, with the time to retry.
      calls_per_s: of one client, on average; a client is its token's name, or else its address.
      burst: how many calls a client may make at once before `calls_per_s` holds; 0 stands for one second's worth.
      request_bytes: the size of one request, unpacked.
      rows: the first dimension of an input.
      k: the answers that one row asks for.
      json_depth: brackets within brackets in a REST request.
    """

    concurrent_calls: int = 512
    calls_per_s: float = 0.0
    burst: int = 0
    request_bytes: int = MAX_MESSAGE_BYTES
    rows: int = 0
    k: int = 0
    json_depth: int = 256

    def check_inputs(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Refuses more rows or answers than one call may ask for.

        Args:
          inputs: input alias: value, rows first.

        Raises:
          ServingError: INVALID_ARGUMENT, naming the input and the limit.
        """
        if self.rows:
            for alias, value in inputs.items():
                if value.ndim and len(value) > self.rows:
                    raise ServingError(
                        Code.INVALID_ARGUMENT,
                        f"input '{alias}' has {len(value)} rows; this server takes at most {self.rows} a call: "
                        "ask in several calls",
                    )
        wanted = inputs.get(K_INPUT)
        if self.k and wanted is not None and wanted.dtype.kind in "iu" and wanted.size and wanted.max() > self.k:
            raise ServingError(
                Code.INVALID_ARGUMENT,
                f"input '{K_INPUT}' asks for {wanted.max()} answers; this server gives at most {self.k}",
            )

    def check_bytes(self, count: int) -> None:
        """Refuses a request of too many bytes.

        Raises:
          ServingError: RESOURCE_EXHAUSTED, as gRPC itself answers.
        """
        if self.request_bytes and count > self.request_bytes:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"Received message larger than max ({count} vs. {self.request_bytes}); send less in one call",
            )


@dataclass(frozen=True)
class TlsKeys:
    """What makes the gRPC port speak TLS, as PEM texts.

    Args:
      key: the server's private key.
      certificate: the server's certificate, with those between it and its root.
      client_ca: whose signature a client's certificate must bear; "" trusts what gRPC trusts.
      verify_clients: whether clients must show a certificate.
    """

    key: str = field(repr=False)
    certificate: str
    client_ca: str = ""
    verify_clients: bool = False


@dataclass(frozen=True)
class ServerOptions:
    """Everything about a server but its models and ports.

    Args:
      limits: how much it takes.
      tokens: name: bearer token of each client that may ask; none lets everyone in.
      tls: keys for the gRPC port; None speaks plain HTTP/2.
      socket_path: a UNIX socket where gRPC answers too; "" for none.
      channel_arguments: further settings of gRPC, as (name, value).
      batching: how calls are put together; None decides by what pays.
      processors: how many processors the process shall keep busy with graphs; 0: all that it may use.
      share_port: whether other processes may listen on the same ports.
      grpc_threads: how many gRPC calls may be at work at once; 0 decides by the processors.
      rest_timeout_s: how long a REST request may take.
      cors: whether browsers on other sites may ask over REST.
      metrics_path: where REST shows the metrics; "" nowhere.
      access_log: the file that gets one JSON line a call; None writes none.
      request_log: the folder that gets a sample of requests with their answers; None keeps none.
      request_log_rate: the share of calls in that sample, 0 to 1.
      request_log_keep_s: how long a file of it is kept.
      drain_s: how long the server says that it is not ready before it takes no more calls.
    """

    limits: Limits = Limits()
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: TlsKeys | None = None
    socket_path: str = ""
    channel_arguments: tuple[tuple[str, int | str], ...] = ()
    batching: Batching | None = None
    processors: int = 0
    share_port: bool = False
    grpc_threads: int = 0
    rest_timeout_s: float = 30.0
    cors: bool = False
    metrics_path: str = "/monitoring/prometheus/metrics"
    access_log: Path | None = None
    request_log: Path | None = None
    request_log_rate: float = 0.01
    request_log_keep_s: float = 72 * 3600.0
    drain_s: float = 0.0
