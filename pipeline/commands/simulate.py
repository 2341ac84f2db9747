"""`aisle simulate`: writes the tables of a simulated shop."""

from __future__ import annotations

import contextlib
import datetime
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import click

from pipeline.commands.options import json_option

_FORMATS = ("csv", "csv.gz", "parquet")
_LINE_EVERY_S = 5.0


@click.command(
    "simulate",
    epilog="Example: aisle simulate --users 1000 --items 500 --events 50000 --seed 7 --output runs/simulated-data",
)
@click.option("--users", type=click.IntRange(min=1), default=1000, show_default=True, help="Number of customers.")
@click.option("--items", type=click.IntRange(min=1), default=500, show_default=True, help="Number of products.")
@click.option("--events", type=click.IntRange(min=1), default=50_000, show_default=True, help="Number of event rows.")
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Same seed, same bytes.")
@click.option(
    "--output", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder to write the tables into."
)
@click.option(
    "--start", type=click.DateTime(["%Y-%m-%d"]), default="2024-06-01", show_default=True, help="First day, UTC."
)
@click.option("--days", type=click.IntRange(min=1, max=36_500), default=395, show_default=True, help="Number of days.")
@click.option(
    "--new-items",
    type=click.FloatRange(min=0, max=1, max_open=True),
    default=0.08,
    show_default=True,
    help="Share of the products that are first offered in the last six weeks.",
)
@click.option(
    "--format", "table_format", type=click.Choice(_FORMATS), default="csv", show_default=True, help="File format."
)
@click.option("--force", is_flag=True, help="Replace the tables of an earlier simulation in DIR.")
@json_option
def command(
    *,
    users: int,
    items: int,
    events: int,
    seed: int,
    output: Path,
    start: datetime.datetime,
    days: int,
    new_items: float,
    table_format: Literal["csv", "csv.gz", "parquet"],
    force: bool,
    as_json: bool,
) -> None:
    """Write the tables of a simulated shop: users, items and events.

    Products have titles, brands, categories and prices; customers have tastes; sessions search, view, click, put
    into the cart, buy and rate. Season, weekday, holidays, weather, country, price and habit are planted effects:
    DIR/truth.json and the files beside it hold them.
    """
    from pipeline.simulator import Plan, SimulationError, simulate

    began = time.monotonic()
    try:
        plan = Plan(
            users=users, items=items, events=events, seed=seed, start=start.date(), days=days, new_items=new_items
        )
        with _progress(events, quiet=as_json) as on_progress:
            paths = simulate(plan, output, table_format=table_format, force=force, on_progress=on_progress)
    except SimulationError as error:
        raise click.ClickException(str(error)) from error
    counts = {"users": users, "items": items, "events": events}
    _report(counts, paths, seconds=time.monotonic() - began, as_json=as_json)


def _report(counts: dict[str, int], paths: dict[str, Path], seconds: float, as_json: bool) -> None:
    if as_json:
        tables = {name: {"path": str(path), "rows": counts[name]} for name, path in paths.items()}
        click.echo(json.dumps({"tables": tables, "seconds": round(seconds, 3)}))
        return
    for name, path in paths.items():
        click.echo(f"{name:<7} {counts[name]:>12,} rows  {path}")
    click.echo(f"done in {seconds:.1f} s; the planted effects are in {paths['events'].parent / 'truth.json'}")


@contextlib.contextmanager
def _progress(total: int, quiet: bool) -> Iterator[Callable[[int], None] | None]:
    """Yields what shows the number of events written: a bar on a terminal, else a line every few seconds."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if quiet:
        yield None
    elif console.is_terminal:
        columns = (TextColumn("events"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("events", total=total)
            yield lambda done: bar.update(task, completed=done)
    else:
        yield _Lines(total)


class _Lines:
    """Prints how far the work is, not more often than every few seconds."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._next_s = time.monotonic() + _LINE_EVERY_S

    def __call__(self, done: int) -> None:
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _LINE_EVERY_S
            click.echo(f"{done:,} of {self._total:,} events", err=True)
