"""How answers reach people and programs: tables on the terminal, JSON lines elsewhere."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

    from serving.client import ScoredItem

PROGRESS_AFTER_S = 2.0
BATCH = 64


@dataclass(frozen=True)
class Answer:
    """The answer to one question.

    Args:
      key: what was asked about, under the name that it has in JSON: ("user_id", "4711").
      items: best first.
      note: what a person should know, for example that the user is unknown.
      facets: counts of the whole result set, by the name of the facet; None where nobody asked.
    """

    key: tuple[str, str]
    items: Sequence[ScoredItem]
    note: str = ""
    facets: Mapping[str, Sequence[tuple[str, int]]] | None = None

    def line(self) -> str:
        """Returns the answer as a line of JSON."""
        said: dict[str, Any] = {self.key[0]: self.key[1], "items": list(map(_described, self.items))}
        if self.facets is not None:
            said["facets"] = {name: dict(counts) for name, counts in self.facets.items()}
        return json.dumps(said, ensure_ascii=False)


@dataclass(frozen=True)
class Delivery:
    """Where the answers go.

    Args:
      output: a file for JSON lines, replaced when all is written; None writes none.
      as_json: print JSON lines; else, without `output`, tables for people.
    """

    output: Path | None
    as_json: bool

    def give(self, answers: Sequence[Answer]) -> None:
        """Writes the answers.

        Raises:
          click.ClickException: if the file cannot be written.
        """
        if self.output is not None:
            _write(answers, self.output)
        if self.as_json:
            for answer in answers:
                click.echo(answer.line())
        elif self.output is None:
            _print_tables(answers)
        else:
            click.echo(f"{len(answers)} answers written to {self.output}")


def delivery_options(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --output and --json, passed on as `delivery`."""

    @functools.wraps(function)
    def collected(*, output: Path | None, as_json: bool, **others: Any) -> None:
        function(delivery=Delivery(output, as_json), **others)

    file = click.option(
        "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the answers to this file, as --json."
    )
    flag = click.option("--json", "as_json", is_flag=True, help="Print the answers as JSON, one a line.")
    return file(flag(collected))


def ask_in_batches(values: Sequence[str], ask: Callable[[Sequence[str]], list[Answer]], what: str) -> list[Answer]:
    """Asks about many values, a batch at a time; says how far it is once that takes more than two seconds.

    Args:
      values: what to ask about.
      ask: answers one batch.
      what: the values' name, for the progress line.

    Returns:
      All answers.
    """
    answers: list[Answer] = []
    with _progress(len(values), what) as advance:
        for start in range(0, len(values), BATCH):
            answers.extend(ask(values[start : start + BATCH]))
            advance(len(answers))
    return answers


def _described(item: ScoredItem) -> dict[str, Any]:
    """Says all that is known of an answered item, in the words of JSON."""
    said: dict[str, Any] = {"item_id": item.item_id, "score": item.score, "title": item.title}
    if item.price is not None:
        said["price"] = item.price
    if item.why is not None:
        words = list(item.why.matched_words)
        said["why"] = {"similarity": item.why.similarity, "matched_words": words, "named": item.why.named}
    return said


def _write(answers: Sequence[Answer], output: Path) -> None:
    temporary = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(answer.line() + "\n" for answer in answers)
        temporary.replace(output)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise click.ClickException(f"{output}: cannot be written: {error.strerror}") from error


def _print_tables(answers: Sequence[Answer]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    for answer in answers:
        heading = f"[bold]{escape(answer.key[1])}[/]" + (f" · {escape(answer.note)}" if answer.note else "")
        console.print(heading if answer.items else f"{heading}: no item fits", soft_wrap=True, highlight=False)
        table = _table(answer.items)
        if answer.items:
            console.print(table)
        for name, counts in (answer.facets or {}).items():
            said = " · ".join(f"{escape(value)} {count:,}" for value, count in counts)
            console.print(f"[bold]{name}[/] {said or '-'}", soft_wrap=True, highlight=False)
        console.print()


def _table(items: Sequence[ScoredItem]) -> Table:
    """Makes a table of answers; columns of which nothing is known stay away."""
    from rich.markup import escape
    from rich.table import Table

    priced, reasoned = (any(getattr(item, name) is not None for item in items) for name in ("price", "why"))
    table = Table(box=None, pad_edge=False)
    table.add_column("", justify="right", style="dim")
    table.add_column("title", overflow="fold")
    if priced:
        table.add_column("price", justify="right")
    table.add_column("item", style="cyan", no_wrap=True)
    table.add_column("score", justify="right")
    if reasoned:
        table.add_column("alike", justify="right")
        table.add_column("why", overflow="fold")
    for rank, item in enumerate(items, start=1):
        price = [] if not priced else ["-" if item.price is None else f"{item.price:,.2f}"]
        cells = [str(rank), escape(item.title or "-"), *price, escape(item.item_id), f"{item.score:.3f}"]
        if item.why is not None:
            said = [*(["named"] if item.why.named else []), *item.why.matched_words]
            cells += [f"{item.why.similarity:.2f}", escape(", ".join(said)) or "by meaning"]
        table.add_row(*cells)
    return table


@contextlib.contextmanager
def _progress(total: int, what: str) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task(what, total=total)
    started_s = time.monotonic()
    shown = False

    def advance(done: int) -> None:
        nonlocal shown
        if not shown and time.monotonic() - started_s > PROGRESS_AFTER_S and progress.console.is_terminal:
            progress.start()
            shown = True
        progress.update(task, completed=done)

    try:
        yield advance
    finally:
        if shown:
            progress.stop()
