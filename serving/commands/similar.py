"""`aisle similar`: the items like an item."""

from __future__ import annotations

from collections.abc import Sequence

import click

from serving.commands.answers import Answer, Delivery, ask_in_batches, delivery_options
from serving.commands.connection import Connection, connection_options
from serving.commands.questions import read_values
from serving.commands.rules import RuleOptions, rule_options

UNKNOWN_ITEM = "unknown item"
UNKNOWN_OR_FILTERED = "unknown item, or every other one is filtered"


@click.command(
    epilog="Example: aisle similar --server localhost:8500 --items 85123A 22423 --k 5 --exclude 22423 --diversity 0.3"
)
@connection_options
@click.option("--items", multiple=True, required=True, metavar="FILE|ID...", help="What to ask about; more may follow.")
@click.argument("more_items", nargs=-1, metavar="")
@click.option("--k", type=click.IntRange(min=1), default=10, show_default=True, help="Items for each item.")
@rule_options
@delivery_options
def command(
    *,
    connection: Connection,
    items: tuple[str, ...],
    more_items: tuple[str, ...],
    k: int,
    asked: RuleOptions,
    delivery: Delivery,
) -> None:
    """Ask for the items like each of some items.

    ITEMS are ids, or files with one id a line or a column item_id (.csv, .jsonl, .parquet).
    """
    item_ids = read_values([*items, *more_items], "item_id", "--items")
    with connection.open() as target:
        rules = asked.rules(target, "similar_items")
        note = UNKNOWN_OR_FILTERED if asked.filter else UNKNOWN_ITEM

        def ask(batch: Sequence[str]) -> list[Answer]:
            listed = target.client.similar(batch, k=k, exclude_item_ids=asked.excluded(len(batch)), rules=rules)
            return [
                Answer(("item_id", item_id), found, "" if found else note)
                for item_id, found in zip(batch, listed, strict=True)
            ]

        answers = ask_in_batches(item_ids, ask, "items")
    delivery.give(answers)
