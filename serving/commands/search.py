"""`aisle search`: the items that fit texts."""

from __future__ import annotations

from collections.abc import Sequence

import click

from serving.commands.answers import Answer, Delivery, ask_in_batches, delivery_options
from serving.commands.connection import Connection, connection_options
from serving.commands.questions import read_values
from serving.commands.rules import RuleOptions, rule_options


@click.command(
    epilog='Example: aisle search --server localhost:8500 --queries "wooden spoon" "red shoes" --k 5 --max-price 20'
)
@connection_options
@click.option("--queries", multiple=True, required=True, metavar="FILE|TEXT...", help="What to ask; more may follow.")
@click.argument("more_queries", nargs=-1, metavar="")
@click.option("--k", type=click.IntRange(min=1), default=10, show_default=True, help="Items for each text.")
@rule_options
@delivery_options
def command(
    *,
    connection: Connection,
    queries: tuple[str, ...],
    more_queries: tuple[str, ...],
    k: int,
    asked: RuleOptions,
    delivery: Delivery,
) -> None:
    """Ask for the items that fit texts.

    QUERIES are texts, or files with one text a line or a column query (.csv, .jsonl, .parquet).
    """
    texts = read_values([*queries, *more_queries], "query", "--queries")
    with connection.open() as target:
        rules = asked.rules(target, "search")

        def ask(batch: Sequence[str]) -> list[Answer]:
            listed = target.client.search(batch, k=k, exclude_item_ids=asked.excluded(len(batch)), rules=rules)
            return [Answer(("query", text), items) for text, items in zip(batch, listed, strict=True)]

        answers = ask_in_batches(texts, ask, "queries")
    delivery.give(answers)
