"""`aisle recommend`: the best items for users."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from serving.commands.answers import Answer, Delivery, ask_in_batches, delivery_options
from serving.commands.connection import Connection, Target, connection_options
from serving.commands.histories import HistorySources, check_context, history_options, moment_at
from serving.commands.questions import read_context, read_values
from serving.commands.rules import RuleOptions, rule_options

if TYPE_CHECKING:
    from serving.client import Rules
    from serving.histories import Histories

UNKNOWN_USER = "unknown user"
NO_HISTORY = "no history known"
SHOWN_EVENTS = 3


@click.command(
    epilog="Example: aisle recommend --server localhost:8500 --users 17841 14911 somebody-new --k 10 "
    '--category "Home > Kitchen" --in-stock --boost 22423=1 --max-per-category 3'
)
@connection_options
@click.option("--users", multiple=True, required=True, metavar="FILE|ID...", help="Whom to ask about; more may follow.")
@click.argument("more_users", nargs=-1, metavar="")
@history_options
@click.option("--k", type=click.IntRange(min=1), default=20, show_default=True, help="Items for each user.")
@click.option("--exclude-seen", is_flag=True, help="Leave out what the user has had.")
@click.option("--context", "context_pairs", multiple=True, metavar="KEY=VALUE", help="Context of every request.")
@rule_options
@delivery_options
def command(
    *,
    connection: Connection,
    users: tuple[str, ...],
    more_users: tuple[str, ...],
    sources: HistorySources,
    k: int,
    exclude_seen: bool,
    context_pairs: tuple[str, ...],
    asked: RuleOptions,
    delivery: Delivery,
) -> None:
    """Ask for the best items for users, known or not.

    USERS are ids, or files with one id a line or a column user_id (.csv, .jsonl, .parquet).
    """
    user_ids = read_values([*users, *more_users], "user_id", "--users")
    given = read_context(context_pairs)
    with connection.open() as target:
        columns = target.context_columns("recommend")
        check_context(given, columns)
        known = sources.read(user_ids, target.histories, columns)
        if known is None:
            click.echo(
                "No history is known: every user is asked about as a new one. Give --histories or --events.", err=True
            )
        rules = asked.rules(target, "recommend")
        asking = _Asking(target, known, sources.at, given, columns, k, exclude_seen, asked, rules)
        answers = ask_in_batches(user_ids, asking.answers, "users")
    delivery.give(answers)


@dataclass(frozen=True)
class _Asking:
    """What holds for every request of one run of the command."""

    target: Target
    known: Histories | None
    at: int | None
    given: Mapping[str, str]
    columns: Sequence[str]
    k: int
    exclude_seen: bool
    asked: RuleOptions
    rules: Rules

    def answers(self, user_ids: Sequence[str]) -> list[Answer]:
        from serving.histories import Histories, UserRecord

        known = self.known or Histories(int(time.time()), {})
        at = known.as_of if self.at is None else self.at
        records = [known.records.get(user_id, UserRecord()) for user_id in user_ids]
        contract = self.target.contract
        histories = [record.history(at) for record in records]
        seen = [record.seen(at, known.as_of) for record in records] if self.exclude_seen else None
        listed = self.target.client.recommend(
            user_ids,
            k=self.k,
            histories=histories,
            moments=[moment_at(at, {**record.context, **self.given}, self.columns, contract) for record in records],
            exclude_item_ids=self.asked.excluded(len(records), seen),
            rules=self.rules,
        )
        return [
            Answer(("user_id", user_id), items, self._note(user_id, history.item_ids))
            for user_id, items, history in zip(user_ids, listed, histories, strict=True)
        ]

    def _note(self, user_id: str, item_ids: Sequence[str]) -> str:
        if self.known is None:
            return NO_HISTORY
        if user_id not in self.known.records:
            return UNKNOWN_USER
        if not item_ids:
            return "no events before this moment"
        count = "1 event" if len(item_ids) == 1 else f"{len(item_ids)} events"
        return f"{count} known, the last: {', '.join(item_ids[:SHOWN_EVENTS])}"
