"""`aisle serve`: pushed models over gRPC and REST."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from serving.commands.connection import quiet_tensorflow
from serving.commands.serve_flags import ServeCommand, serve_options

if TYPE_CHECKING:
    from serving.batching_parameters import Batching
    from serving.deployment import Deployment
    from serving.model_config import ModelSettings
    from serving.options import ServerOptions

WAIT_STEP_S = 0.2
BESIDE_POLL_S = 1.0


@click.command(
    cls=ServeCommand,
    epilog="Example: aisle serve runs/simulated/serving/aisle --grpc-port 8500 --rest-port 8501. The names of "
    "tensorflow_model_server's flags work too: --port, --rest_api_port, --model_name, --model_base_path.",
)
@serve_options
def command(*, workers: int, fail_if_empty: bool, as_json: bool, **flags: Any) -> None:
    """Serve the newest version under BASE_PATH, DIR/serving/NAME, over gRPC and REST.

    A newer version takes over while the server runs. SIGTERM and Ctrl-C let the calls under way end.
    """
    deployment = _deployment(flags)
    if workers > 1 and deployment.options.socket_path:
        raise click.UsageError("--grpc-socket-path: one process owns the socket; leave --workers away")
    stop = _stop_event()
    for port in {flags["grpc_port"], flags["rest_port"]} - {0}:
        _check_port(deployment.host, port)
    prepare_process()
    if workers > 1:
        _serve_workers(deployment, workers, stop, as_json=as_json)
    else:
        _serve(deployment, stop, fail_if_empty=fail_if_empty, as_json=as_json)
    _say("stopped", err=True)


def _deployment(flags: dict[str, Any]) -> Deployment:
    from serving.batching_parameters import BatchingError
    from serving.deployment import Deployment
    from serving.errors import ServingError
    from serving.option_files import OptionError

    config_file: Path | None = flags["model_config_file"]
    poll_s: float | None = flags["config_poll_s"]
    try:
        deployment = Deployment(
            host=flags["host"],
            grpc_port=flags["grpc_port"],
            rest_port=flags["rest_port"],
            model=None if config_file else _model(flags),
            config_file=config_file.resolve() if config_file else None,
            config_poll_s=(0.0 if config_file else BESIDE_POLL_S) if poll_s is None else poll_s,
            options=_options(flags),
            version_poll_s=flags["version_poll_s"],
            threads=flags["threads"],
            warm=flags["enable_model_warmup"],
            labels_ahead=flags["allow_version_labels_for_unavailable_models"],
        )
        deployment.models()  # what is wrong in a configuration is said before TensorFlow is loaded
    except (BatchingError, OptionError, OSError, ServingError) as error:
        raise click.ClickException(str(error)) from error
    return deployment


def _model(flags: dict[str, Any]) -> ModelSettings:
    from serving.model_config import ModelSettings
    from serving.serving_folder import model_name

    folder: Path | None = flags["base_path"] or flags["model_base_path"]
    if folder is None:
        raise click.UsageError(
            "give BASE_PATH, the folder that holds one folder a version: DIR/serving/NAME; or --model-config-file"
        )
    if not folder.is_dir():
        raise click.ClickException(f"{folder}: there is no such folder; expected DIR/serving/NAME of a run")
    return ModelSettings(flags["model_name"] or model_name(folder), folder.resolve())


def _options(flags: dict[str, Any]) -> ServerOptions:
    from serving.option_files import parse_channel_arguments, read_metrics_path, read_tls, read_tokens
    from serving.options import Limits, ServerOptions

    monitoring: Path | None = flags["monitoring_config_file"]
    return ServerOptions(
        limits=Limits(
            concurrent_calls=flags["max_concurrent_calls"],
            calls_per_s=flags["max_calls_per_second"],
            burst=flags["max_burst"],
            request_bytes=flags["max_request_bytes"],
            rows=flags["max_rows"],
            k=flags["max_k"],
            json_depth=flags["max_json_depth"],
        ),
        tokens=read_tokens(flags["tokens_file"]) if flags["tokens_file"] else {},
        tls=read_tls(flags["ssl_config_file"]) if flags["ssl_config_file"] else None,
        socket_path=flags["grpc_socket_path"],
        channel_arguments=parse_channel_arguments(flags["grpc_channel_arguments"]),
        grpc_threads=flags["grpc_max_threads"],
        rest_timeout_s=flags["rest_api_timeout_in_ms"] / 1000,
        cors=flags["cors"],
        metrics_path=read_metrics_path(monitoring) if monitoring else ServerOptions.metrics_path,
        access_log=flags["access_log"],
        request_log=flags["request_log"],
        request_log_rate=flags["request_log_rate"],
        request_log_keep_s=flags["request_log_keep_hours"] * 3600,
        drain_s=flags["drain_seconds"],
        batching=_batching(flags),
    )


def _batching(flags: dict[str, Any]) -> Batching | None:
    from serving.batching_parameters import Batching, read_batching

    if not flags["enable_batching"]:
        return None
    file: Path | None = flags["batching_parameters_file"]
    return read_batching(file) if file else Batching()


def _serve(deployment: Deployment, stop: threading.Event, *, fail_if_empty: bool, as_json: bool) -> None:
    from serving.deployment import describe, running
    from serving.errors import ServingError

    try:
        with running(deployment) as server:
            if not server.ready():
                missing = ", ".join(str(store.base_path) for store in server.stores if not store.available())
                message = f"{missing}: no version can be served yet"
                if fail_if_empty:
                    raise click.ClickException(message)
                _say(f"{message}; waiting for one (the server listens on {server.grpc_address})", err=True)
            while not stop.is_set() and not server.ready():
                stop.wait(WAIT_STEP_S)
            if not stop.is_set():
                _announce(describe(server), as_json=as_json)
            stop.wait()
            _say("stopping: no new calls, those under way may end", err=True)
    except (OSError, ServingError) as error:
        raise click.ClickException(str(error)) from error


def _serve_workers(deployment: Deployment, count: int, stop: threading.Event, *, as_json: bool) -> None:
    from serving.workers import Workers, reserved

    # More threads than processors only get in each other's way.
    share = max(1, len(os.sched_getaffinity(0)) // count)
    options = dataclasses.replace(deployment.options, processors=share)
    deployment = dataclasses.replace(deployment, threads=deployment.threads or share, options=options)
    try:
        with reserved(deployment) as fixed:
            workers = Workers(fixed, count, prepare_process)
            failure = workers.run(stop, lambda said: _announce({**said, "workers": count}, as_json=as_json))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {deployment.host}: {error}") from error
    if failure:
        raise click.ClickException(failure)


def _announce(said: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        _say(json.dumps(said))
    else:
        for model in said["models"]:
            _say(
                f"aisle serves '{model['name']}' version {model['version']}: gRPC {said['grpc']}, "
                f"REST http://{said['rest']}/v1/models/{model['name']}"
            )


def _say(text: str, *, err: bool = False) -> None:
    """Prints a line; a terminal that is gone or a disk that is full must not end a server."""
    with contextlib.suppress(OSError):
        click.echo(text, err=err)
        (sys.stderr if err else sys.stdout).flush()


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
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise click.ClickException(
                f"cannot listen on {host}:{port}: {error.strerror}; end what uses it, or choose another port (0: any)"
            ) from error


def prepare_process() -> None:
    """Sends what the server has to say to the standard error, and sets TensorFlow up; before its import."""
    quiet_tensorflow()
    # oneDNN sets up each product anew at every call, which takes longer than the small products of one request.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("aisle.serving")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
