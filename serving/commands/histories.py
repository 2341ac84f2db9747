"""Where the commands take histories from, and the moment and context of their requests."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from serving.commands.questions import read_moment

if TYPE_CHECKING:
    from serving.client import Moment
    from serving.contract import Contract
    from serving.histories import Histories

HOLIDAY = "holiday"


@dataclass(frozen=True)
class HistorySources:
    """What the options say about histories.

    Args:
      histories: a run's histories.parquet.
      events: a file of events.
      at: the moment of the requests; None means the end of the histories.
    """

    histories: Path | None
    events: Path | None
    at: int | None

    def read(self, user_ids: Sequence[str], found: Path | None, context: Sequence[str]) -> Histories | None:
        """Reads what is known of some users.

        Args:
          user_ids: the users.
          found: the histories.parquet beside the model, which counts if no option names a source.
          context: context columns to take from the events.

        Returns:
          Their records; None if there is no source.

        Raises:
          click.UsageError: if a file cannot be used.
        """
        from serving.event_files import read_events
        from serving.histories import HistoryError, merge, read_histories

        file = self.histories or (None if self.events else found)
        try:
            older = read_histories(file, user_ids) if file else None
            newer = read_events(self.events, user_ids, context, self.at) if self.events else None
        except HistoryError as error:
            raise click.UsageError(str(error)) from error
        if older is not None and newer is not None:
            return merge(older, newer)
        return newer if older is None else older


def history_options(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --histories, --events and --at, passed on as `sources`."""

    @functools.wraps(function)
    def collected(*, histories: Path | None, events: Path | None, at_text: str | None, **others: Any) -> None:
        function(sources=HistorySources(histories, events, read_moment(at_text)), **others)

    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    options = (
        click.option(
            "--histories",
            type=file,
            help="A run's histories.parquet. By default the one beside --model, or under ./runs beside the version "
            "that the server answers with.",
        ),
        click.option(
            "--events",
            type=file,
            help="Make the histories from these events (canonical columns; .csv, .jsonl, .parquet) instead; with "
            "--histories, the newer ones go on top of it.",
        ),
        click.option("--at", "at_text", metavar="TIME", help="Moment of the requests; by default the histories' end."),
    )
    command: Callable[..., None] = collected
    for option in reversed(options):
        command = option(command)
    return command


def moment_at(at: int, context: Mapping[str, str], columns: Sequence[str], contract: Contract | None) -> Moment:
    """Makes the moment of a request, with the context columns that the model takes.

    Args:
      at: seconds since 1970 UTC.
      context: what is known; an empty value counts as unknown.
      columns: the context columns that the model takes.
      contract: says which country's calendar fills `holiday`, where nothing else does.

    Raises:
      click.ClickException: if there is no such calendar.
    """
    from serving.client import Moment
    from serving.holiday_calendar import CalendarError, holiday_name

    taken = {name: context.get(name, "") for name in columns}
    if HOLIDAY in taken and HOLIDAY not in context and contract is not None and contract.holiday_country:
        try:
            taken[HOLIDAY] = holiday_name(at, contract.holiday_country)
        except CalendarError as error:
            raise click.ClickException(str(error)) from error
    return Moment(timestamp=at, context=taken)


def check_context(given: Mapping[str, str], columns: Sequence[str]) -> None:
    """Refuses context that the model does not take.

    Raises:
      click.UsageError: naming what it takes.
    """
    for name in given:
        if name not in columns:
            allowed = ", ".join(columns) or "none"
            raise click.UsageError(f"--context {name}: this model takes no such context; it takes {allowed}")
