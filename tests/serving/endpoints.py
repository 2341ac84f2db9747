"""Where the suite of the contract asks: our server, and the stock one where there is one.

The stock server is found by an environment variable:

    AISLE_TEST_MODEL_SERVER=tensorflow_model_server    a binary, which the tests start and end
    AISLE_TEST_SERVER_ADDRESS=localhost:8500,localhost:8501    gRPC and REST of a running one

A running one must serve the models of the tests. This writes them, with the models.config to start it with:

    python tests/serving/endpoints.py DIR
    tensorflow_model_server --port=8500 --rest_api_port=8501 --model_config_file=DIR/models.config \\
        --monitoring_config_file=DIR/monitoring.config --enable_grpc_healthcheck_service=true
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from serving.client import Client, GrpcTransport, ServingError

BINARY = "AISLE_TEST_MODEL_SERVER"
ADDRESS = "AISLE_TEST_SERVER_ADDRESS"
START_S = 120.0
MONITORING = 'prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }\n'
MODELS = ("half_plus_two", "shop")


@dataclass(frozen=True)
class Endpoint:
    """A server of the models half_plus_two, version 1, and shop, version 3; each address is HOST:PORT."""

    grpc_address: str
    rest_address: str

    @classmethod
    def of(cls, server: object) -> "Endpoint":
        """Makes that of an embedded server."""
        return cls(getattr(server, "grpc_address"), getattr(server, "rest_address"))  # noqa: B009


NO_STOCK_SERVER = f"no stock server: set {BINARY} to tensorflow_model_server, or {ADDRESS} to HOST:PORT,HOST:PORT"


def has_stock_server() -> bool:
    """Returns whether the environment tells of a stock server."""
    return bool(os.environ.get(ADDRESS) or os.environ.get(BINARY))


@contextlib.contextmanager
def stock_endpoint(folder: Path, base_paths: dict[str, Path]) -> Iterator[Endpoint]:
    """Finds or starts the stock server."""
    if address := os.environ.get(ADDRESS):
        grpc_address, _, rest_address = address.partition(",")
        assert rest_address, f"{ADDRESS}={address}: expected the addresses of gRPC and of REST, HOST:PORT,HOST:PORT"
        endpoint = Endpoint(grpc_address, rest_address)
        _wait(endpoint)
        yield endpoint
    else:
        with _started(os.environ[BINARY], folder, base_paths) as endpoint:
            yield endpoint


def write_configs(folder: Path, base_paths: dict[str, Path]) -> None:
    """Writes models.config and monitoring.config."""
    models = "".join(
        f'  config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" }}\n'
        for name, path in base_paths.items()
    )
    (folder / "models.config").write_text(f"model_config_list {{\n{models}}}\n", encoding="utf-8")
    (folder / "monitoring.config").write_text(MONITORING, encoding="utf-8")


@contextlib.contextmanager
def _started(binary: str, folder: Path, base_paths: dict[str, Path]) -> Iterator[Endpoint]:
    write_configs(folder, base_paths)
    grpc_port, rest_port = _free_ports()
    words = [
        f"--port={grpc_port}",
        f"--rest_api_port={rest_port}",
        f"--model_config_file={folder / 'models.config'}",
        f"--monitoring_config_file={folder / 'monitoring.config'}",
        "--enable_grpc_healthcheck_service=true",
    ]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen([binary, *words], stdout=log, stderr=subprocess.STDOUT)
    endpoint = Endpoint(f"127.0.0.1:{grpc_port}", f"127.0.0.1:{rest_port}")
    try:
        _wait(endpoint, process, folder / "log.txt")
        yield endpoint
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(endpoint: Endpoint, process: "subprocess.Popen[bytes] | None" = None, log: Path | None = None) -> None:
    end_s = time.monotonic() + START_S
    for name in MODELS:
        with Client(GrpcTransport(endpoint.grpc_address), model_name=name) as client:
            while why := _missing(client):
                said = log.read_text(encoding="utf-8", errors="replace")[-2000:] if log else ""
                assert process is None or process.poll() is None, f"the stock server has ended: {said}"
                assert time.monotonic() < end_s, f"the stock server does not serve '{name}': {why}; {said}"
                time.sleep(0.1)


def _missing(client: Client) -> str:
    try:
        found = client.versions(deadline_s=5)
    except ServingError as error:
        return str(error)
    return "" if any(version.state == "AVAILABLE" for version in found) else f"its versions are {found}"


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        for listener in (one, other):
            listener.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def main(folder: Path) -> None:
    """Writes the models of the tests and their models.config."""
    from tiny_models import save_half_plus, save_shop

    save_half_plus(folder / "half_plus_two/1")
    save_shop(folder / "shop/3")
    write_configs(folder, {name: folder / name for name in MODELS})


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
