"""The options of `aisle serve`; the names that tensorflow_model_server has for them work too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_PORT = click.IntRange(0, 65535)
_COUNT = click.IntRange(min=0)
_SECONDS = click.FloatRange(min=0)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)
# What the stock server's names mean here. The rest of its names differ only in `_` for `-`.
_OTHER_NAMES = {
    "--port": "--grpc-port",
    "--rest-api-port": "--rest-port",
    "--rest-api-enable-cors-support": "--cors",
    "--tensorflow-intra-op-parallelism": "--threads",
    "--tensorflow-inter-op-parallelism": "--threads",
    "--tensorflow-session-parallelism": "--threads",
}
# Names of the stock server that change nothing here, and why.
WITHOUT_EFFECT = {
    "--enable-grpc-healthcheck-service": "the health service is always there",
    "--flush-filesystem-caches": "the system decides what it caches",
    "--load-retry-interval-micros": "a version that does not load is tried again after 1, 2, 4 ... 60 seconds",
    "--max-num-load-retries": "a version that does not load is tried again as long as it lies there",
    "--num-load-threads": "each model has a thread of its own for loading",
    "--num-request-iterations-for-warmup": "each warm-up request is run once",
    "--num-unload-threads": "each model has a thread of its own for unloading",
    "--per-process-gpu-memory-fraction": "the embedded server computes on the CPU",
    "--remove-unused-fields-from-bundle-metagraph": "they are dropped with the loader",
    "--rest-api-num-threads": "REST takes threads as it needs them",
}


_SWITCHES_WITHOUT_EFFECT = {
    "--enable-grpc-healthcheck-service",
    "--flush-filesystem-caches",
    "--remove-unused-fields-from-bundle-metagraph",
}


class ServeCommand(click.Command):
    """Reads `--some_name`, and `--switch` for `--switch=true`, as tensorflow_model_server does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Writes the stock server's names as ours, then parses."""
        switches = {
            name
            for parameter in self.params
            if isinstance(parameter, click.Option) and parameter.type is click.BOOL and not parameter.is_flag
            for name in parameter.opts
        }
        return super().parse_args(ctx, _plain(args, switches))


def _plain(args: list[str], switches: set[str]) -> list[str]:
    made: list[str] = []
    words = iter(args)
    for word in words:
        name, equals, value = word.partition("=")
        if not name.startswith("--") or name == "--":
            made.append(word)
            continue
        name = name.replace("_", "-")
        name = _OTHER_NAMES.get(name, name)
        if name in WITHOUT_EFFECT:
            if not equals and name not in _SWITCHES_WITHOUT_EFFECT:
                next(words, None)
            click.echo(f"{name} changes nothing here: {WITHOUT_EFFECT[name]}", err=True)
        elif name in switches and not equals:
            made.append(f"{name}=true")
        else:
            made.append(name + equals + value)
    return made


def _switch(name: str, text: str, *, default: bool = False) -> Any:
    return click.option(name, type=bool, default=default, show_default=True, metavar="[true|false]", help=text)


def serve_options(function: Callable[..., None]) -> Callable[..., None]:
    """Adds every option of `aisle serve`."""
    for option in reversed([*_MODELS, *_PLACES, *_ADMISSION, *_OPERATION]):
        function = option(function)
    return function


_MODELS = (
    click.argument("base_path", required=False, type=_FOLDER),
    click.option("--model-base-path", type=_FOLDER, help="The same as BASE_PATH."),
    click.option(
        "--model-name", help="Name in requests; by default the one in the model's contract, else the folder's."
    ),
    click.option("--model-config-file", type=_FILE, help="Serve the models of this ModelServerConfig, a text proto."),
    click.option(
        "--model-config-file-poll-wait-seconds",
        "config_poll_s",
        type=_SECONDS,
        help="Pause between two looks at the configuration; 0 looks once.  [default: 0; 1 with BASE_PATH]",
    ),
    click.option(
        "--file-system-poll-wait-seconds",
        "version_poll_s",
        type=_SECONDS,
        default=1.0,
        show_default=True,
        help="Pause between two looks for new versions; 0 looks once.",
    ),
    _switch(
        "--allow-version-labels-for-unavailable-models", "A new label may name a version that does not answer yet."
    ),
    _switch("--enable-model-warmup", "Run a version's warm-up requests before it answers.", default=True),
)
_PLACES = (
    click.option("--grpc-port", type=_PORT, default=8500, show_default=True, help="0 takes a free port."),
    click.option("--rest-port", type=_PORT, default=8501, show_default=True, help="0 takes a free port."),
    click.option(
        "--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 lets other machines ask."
    ),
    click.option("--grpc-socket-path", default="", metavar="FILE", help="Answer gRPC on this UNIX socket too."),
    click.option("--ssl-config-file", type=_FILE, help="Speak TLS on the gRPC port by this SSLConfig, a text proto."),
    click.option(
        "--grpc-channel-arguments", default="", metavar="NAME=VALUE,...", help="Further settings of the gRPC server."
    ),
    _switch("--cors", "Let browsers on other sites ask over REST."),
)
_ADMISSION = (
    click.option("--tokens-file", type=_FILE, help="Ask for one of these bearer tokens; one `NAME TOKEN` a line."),
    click.option(
        "--max-concurrent-calls",
        type=_COUNT,
        default=512,
        show_default=True,
        help="Calls at work and waiting in a process; more are refused with the time to retry. 0: no limit.",
    ),
    click.option(
        "--max-calls-per-second",
        type=_SECONDS,
        default=0.0,
        show_default=True,
        help="Of one client, by token or address, in a process. 0: no limit.",
    ),
    click.option(
        "--max-burst",
        type=_COUNT,
        default=0,
        show_default=True,
        help="Calls that a client may make at once before that holds. 0: a second's worth.",
    ),
    click.option(
        "--max-request-bytes", type=_COUNT, default=2**31 - 1, show_default=True, help="Of one request, unpacked."
    ),
    click.option("--max-rows", type=_COUNT, default=0, show_default=True, help="Of one call. 0: no limit."),
    click.option("--max-k", type=_COUNT, default=0, show_default=True, help="Answers for one row. 0: no limit."),
    click.option(
        "--max-json-depth", type=_COUNT, default=256, show_default=True, help="Brackets in brackets over REST."
    ),
)
_OPERATION = (
    click.option(
        "--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes behind the ports."
    ),
    click.option(
        "--threads",
        type=_COUNT,
        default=0,
        show_default=True,
        help="Of one call's graph. 0: all processors, or each worker its share.",
    ),
    _switch(
        "--enable-batching",
        "Put calls together by the batching parameters; without, where it pays and changes nothing.",
    ),
    click.option(
        "--batching-parameters-file",
        type=_FILE,
        help="How, with --enable-batching; a BatchingParameters, a text proto.",
    ),
    click.option("--grpc-max-threads", type=_COUNT, default=0, help="gRPC calls at work at once. 0: 4 a processor."),
    click.option(
        "--rest-api-timeout-in-ms", type=click.IntRange(1), default=30_000, show_default=True, help="For REST calls."
    ),
    click.option(
        "--access-log", type=click.Path(dir_okay=False, path_type=Path), help="One JSON line a call; -: stderr."
    ),
    click.option(
        "--request-log",
        type=click.Path(file_okay=False, path_type=Path),
        help="Keep a sample of requests with their answers in this folder, for `aisle monitor`. It holds user ids.",
    ),
    click.option(
        "--request-log-rate",
        type=click.FloatRange(0, 1),
        default=0.01,
        show_default=True,
        help="The share of calls in that sample.",
    ),
    click.option(
        "--request-log-keep-hours", type=_SECONDS, default=72.0, show_default=True, help="How long its files are kept."
    ),
    click.option(
        "--monitoring-config-file", type=_FILE, help="Where the metrics are; a MonitoringConfig, a text proto."
    ),
    click.option(
        "--drain-seconds",
        type=_SECONDS,
        default=0.0,
        show_default=True,
        help="How long to say 'not ready' on SIGTERM before calls are taken no more.",
    ),
    click.option("--fail-if-empty", is_flag=True, help="End with an error if no version can be served at the start."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON line once the server answers."),
)
