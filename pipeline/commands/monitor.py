"""`aisle monitor`: drift, data quality and age of a served model, for people and for Prometheus."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.commands.options import json_option

if TYPE_CHECKING:
    from pipeline.monitoring.watch import Look, Watched

# None has to be there yet: with --port the command waits for a first push.
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command(
    epilog="Example: aisle monitor runs/simulated --requests requests --output /var/lib/node_exporter/aisle.prom"
)
@click.argument("directory", metavar="DIR", type=_FOLDER)
@click.option("--requests", type=_FOLDER, help="The folder of `aisle serve --request-log`; without it, only the model.")
@click.option("--serving", type=_FOLDER, help="Where the versions lie.  [default: DIR/serving/NAME, if there is one]")
@click.option(
    "--window-hours",
    type=click.FloatRange(min=0, min_open=True),
    default=24.0,
    show_default=True,
    help="How far back requests count.",
)
@click.option(
    "--most",
    type=click.IntRange(1),
    default=50_000,
    show_default=True,
    help="Calls to read, the newest; bounds memory.",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the metrics to this file.")
@click.option("--port", type=click.IntRange(1, 65535), help="Serve the metrics there, until Ctrl-C or SIGTERM.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on with --port.")
@click.option(
    "--every-seconds",
    type=click.FloatRange(min=1),
    default=900.0,
    show_default=True,
    help="Pause between two looks with --port.",
)
@json_option
def command(
    *,
    directory: Path,
    output: Path | None,
    port: int | None,
    host: str,
    every_seconds: float,
    as_json: bool,
    **where: Any,
) -> None:
    """Look at the model of the run folder DIR: drift of its inputs, unknown ids, empty answers, coverage, age, metrics.

    Inputs are compared with the statistics of the training by TensorFlow Data Validation. With --output the numbers go
    to a file for Prometheus' textfile collector, with --port to an endpoint; without, they are printed.
    """
    if output is not None and port is not None:
        raise click.UsageError("--output writes once, --port goes on: give one of them")
    watched = _watched(directory, **where)
    if port is not None:
        _serve(watched, host, port, every_seconds)
        return
    seen = _look(watched)
    if output is not None:
        _write(output, seen)
    if as_json:
        click.echo(json.dumps(_document(seen), indent=2))
    elif output is None:
        _print(seen)


def _watched(
    directory: Path, *, requests: Path | None, serving: Path | None, window_hours: float, most: int
) -> Watched:
    from pipeline.monitoring.watch import Watched
    from pipeline.run_folder import RunFolder

    folder = RunFolder(directory)
    if serving is None:
        models = [path for path in folder.serving.glob("*") if path.is_dir()]
        if len(models) != 1:
            raise click.ClickException(
                f"{folder.serving}: expected the folder of one model, got {len(models)}; name it by --serving"
            )
        serving = models[0]
    return Watched(folder, serving, requests, window_hours * 3600, most)


def _look(watched: Watched) -> Look:
    from pipeline.monitoring.watch import look

    try:
        return look(watched)
    except FileNotFoundError as error:
        raise click.ClickException(str(error)) from error


def _write(output: Path, seen: Look) -> None:
    from pipeline.monitoring.page import write_page

    try:
        write_page(output, seen)
    except OSError as error:
        raise click.ClickException(f"{output}: cannot be written: {error.strerror}") from error


def _serve(watched: Watched, host: str, port: int, every_s: float) -> None:
    """Looks again and again. What is not there yet, as before the first push, is said and waited for."""
    import signal
    import threading

    from prometheus_client import CollectorRegistry, start_http_server

    from pipeline.monitoring.page import Page

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_arguments: stop.set())
    page, registry = Page(), CollectorRegistry()
    registry.register(page)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from error
    click.echo(f"metrics of the model on http://{host}:{port}/metrics, a look every {every_s:.0f} s", err=True)
    try:
        while not stop.is_set():
            began_s = time.monotonic()
            try:
                page.show(_look(watched))
            except click.ClickException as error:
                click.echo(f"no look: {error.message}", err=True)
            stop.wait(max(0.0, every_s - (time.monotonic() - began_s)))
    finally:
        server.shutdown()
        thread.join()


def _document(seen: Look) -> dict[str, Any]:
    made: dict[str, Any] = {"at": seen.at_s, "model": dataclasses.asdict(seen.model)}
    if seen.verdict is not None:
        made["blessed"] = seen.verdict.blessed
    if seen.quality is not None:
        made["quality"] = dataclasses.asdict(seen.quality)
    if seen.drift is not None:
        made["drift"] = dataclasses.asdict(seen.drift)
    return made


def _print(seen: Look) -> None:
    from rich.console import Console
    from rich.table import Table

    from pipeline.monitoring.page import values_of

    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("metric", "of", "value"):
        table.add_column(title, justify="right" if title == "value" else "left")
    for name, labels, value in values_of(seen):
        shown = (
            time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(value)) if name.endswith("_seconds") else f"{value:.12g}"
        )
        table.add_row(name, ", ".join(labels), shown)
    Console(soft_wrap=True).print(table, highlight=False)
