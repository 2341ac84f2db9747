"""`aisle validate`: reads and cleans a shop's tables, and says what became of every row."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.commands.options import config_argument, json_option

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pipeline.config import Config
    from pipeline.report import TableReport, TablesReport

_LINE_EVERY_S = 5.0


@click.command(epilog="Example: aisle validate examples/online_retail.yaml")
@config_argument
@json_option
def command(config: Config, as_json: bool) -> None:
    """Read and clean the tables of CONFIG and report every dropped row.

    Does what the first step of `aisle run` does, into a temporary folder. Exit status 1 if a file cannot be
    used or nothing is left of a table.
    """
    from rich.console import Console

    from pipeline.tables import TableError

    console = Console(file=sys.stderr if as_json else sys.stdout)
    try:
        report = _import(config, console)
    except TableError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
        return
    for table in report.tables.values():
        console.print(_as_table(table))


def _import(config: Config, console: Console) -> TablesReport:
    from pipeline.tables import import_tables

    with tempfile.TemporaryDirectory(prefix="aisle-validate-") as folder, console.status("reading") as status:
        last_s = time.monotonic()

        def show(step: str, count: int) -> None:
            nonlocal last_s
            status.update(f"{step}: {count:,}")
            if not console.is_terminal and time.monotonic() - last_s > _LINE_EVERY_S:
                console.print(f"{step}: {count:,}")
                last_s = time.monotonic()

        return import_tables(config, Path(folder), show)


def _as_table(report: TableReport) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=report.table, title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column("rows", justify="right")
    table.add_column("for example", overflow="fold")
    table.add_row("read", f"{report.read:,}", "")
    for reason, dropped in report.dropped.items():
        examples = ", ".join(f"row {example.row}: '{example.value}'" for example in dropped.examples)
        table.add_row(f"dropped, {escape(reason)}", f"{dropped.rows:,}", escape(examples), style="yellow")
    table.add_row("kept", f"{report.kept:,}", "", style="green")
    for what, count in report.notes.items():
        table.add_row(f"changed, {escape(what)}", f"{count:,}", "")
    return table
