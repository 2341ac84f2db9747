"""`aisle serve`: a pushed model over gRPC and REST."""

from __future__ import annotations

import json
import logging
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from serving.commands.connection import quiet_tensorflow

if TYPE_CHECKING:
    from serving.server import Server

WAIT_STEP_S = 0.5
_PORT = click.IntRange(0, 65535)


@click.command(
    epilog="Example: aisle serve runs/simulated/serving/aisle --grpc-port 8500 --rest-port 8501. The names of "
    "tensorflow_model_server's flags work too: --port, --rest_api_port, --model_name, --model_base_path."
)
@click.argument("base_path", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--model-base-path",
    "--model_base_path",
    "model_base_path",
    type=click.Path(file_okay=False, path_type=Path),
    help="The same as BASE_PATH.",
)
@click.option(
    "--model-name",
    "--model_name",
    "model_name",
    help="Name in requests; by default the one in the model's contract, else the folder's.",
)
@click.option(
    "--grpc-port", "--port", "grpc_port", type=_PORT, default=8500, show_default=True, help="0 takes a free port."
)
@click.option(
    "--rest-port",
    "--rest_api_port",
    "--rest-api-port",
    "rest_port",
    type=_PORT,
    default=8501,
    show_default=True,
    help="0 takes a free port.",
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 lets other machines ask."
)
@click.option("--fail-if-empty", is_flag=True, help="End with an error if no version can be served at the start.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line once the server answers.")
def command(
    *,
    base_path: Path | None,
    model_base_path: Path | None,
    model_name: str | None,
    grpc_port: int,
    rest_port: int,
    host: str,
    fail_if_empty: bool,
    as_json: bool,
) -> None:
    """Serve the newest version under BASE_PATH, DIR/serving/NAME, over gRPC and REST.

    A newer version takes over while the server runs. SIGTERM and Ctrl-C let the calls under way end.
    """
    folder = base_path or model_base_path
    if folder is None:
        raise click.UsageError("give BASE_PATH, the folder that holds one folder a version: DIR/serving/NAME")
    if not folder.is_dir():
        raise click.ClickException(f"{folder}: there is no such folder; expected DIR/serving/NAME of a run")
    stop = _stop_event()
    for port in {grpc_port, rest_port} - {0}:
        _check_port(host, port)
    _prepare_logging()
    from serving.grpc_server import PortTakenError
    from serving.model_store import ModelStore
    from serving.server import Server

    store = ModelStore(model_name or _model_name(folder), folder.resolve())
    try:
        server = Server([store], host, grpc_port, rest_port)
    except PortTakenError as error:
        raise click.ClickException(str(error)) from error
    with server:
        _serve(server, stop, fail_if_empty=fail_if_empty, as_json=as_json)


def _serve(server: Server, stop: threading.Event, *, fail_if_empty: bool, as_json: bool) -> None:
    store = server.stores[0]
    if not store.available():
        message = f"{store.base_path}: no version can be served yet"
        if fail_if_empty:
            raise click.ClickException(message)
        click.echo(f"{message}; waiting for one (the server listens on {server.grpc_address})", err=True)
    while not stop.is_set() and not store.wait_available(WAIT_STEP_S):
        pass
    if not stop.is_set():
        _announce(server, as_json=as_json)
    stop.wait()
    click.echo("stopping: no new calls, those under way may end", err=True)


def _announce(server: Server, *, as_json: bool) -> None:
    store = server.stores[0]
    version = store.available()[0]
    if as_json:
        click.echo(
            json.dumps(
                {
                    "name": store.name,
                    "version": version,
                    "grpc": server.grpc_address,
                    "rest": server.rest_address,
                    "base_path": str(store.base_path),
                }
            )
        )
    else:
        click.echo(
            f"aisle serves '{store.name}' version {version}: gRPC {server.grpc_address}, "
            f"REST http://{server.rest_address}/v1/models/{store.name}"
        )
    sys.stdout.flush()


def _model_name(folder: Path) -> str:
    from serving.contract import ContractError, read_contract
    from serving.versions import list_versions

    for version in list_versions(folder).values():
        try:
            contract = read_contract(version)
        except ContractError:
            continue  # the store says what is wrong with a version; here another one may know the name
        if contract is not None:
            return contract.name
    return folder.resolve().name


def _stop_event() -> threading.Event:
    """Returns what is set by SIGTERM and Ctrl-C; set up first, so that neither ends a half-loaded server badly."""
    stop = threading.Event()

    def ask_to_stop(_number: int, _frame: Any) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    return stop


def _check_port(host: str, port: int) -> None:
    """Says at once that a port is taken, before the seconds that TensorFlow takes to load."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise click.ClickException(
                f"cannot listen on {host}:{port}: {error.strerror}; end what uses it, or choose another port (0: any)"
            ) from error


def _prepare_logging() -> None:
    quiet_tensorflow()
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("aisle.serving")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
