"""`aisle search`: the items that fit texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from serving.commands.answers import Answer, Delivery, ask_in_batches, delivery_options
from serving.commands.connection import Connection, connection_options
from serving.commands.questions import read_values
from serving.commands.rules import RuleOptions, rule_options

if TYPE_CHECKING:
    from serving.client import Facets

FACETS = ("category", "brand", "price", "rating", "stock")


@click.command(
    epilog='Example: aisle search --server localhost:8500 --queries "wooden spoon" "red shoes" --k 5 --max-price 20 '
    "--facets category,brand"
)
@connection_options
@click.option("--queries", multiple=True, required=True, metavar="FILE|TEXT...", help="What to ask; more may follow.")
@click.argument("more_queries", nargs=-1, metavar="")
@click.option("--k", type=click.IntRange(min=1), default=10, show_default=True, help="Items for each text.")
@click.option("--facets", metavar="NAME,...", help=f"Count all relevant items by {', '.join(FACETS)}.")
@rule_options
@delivery_options
def command(
    *,
    connection: Connection,
    queries: tuple[str, ...],
    more_queries: tuple[str, ...],
    k: int,
    facets: str | None,
    asked: RuleOptions,
    delivery: Delivery,
) -> None:
    """Ask for the items that fit texts.

    QUERIES are texts, or files with one text a line or a column query (.csv, .jsonl, .parquet).
    """
    counted = _facet_names(facets)
    texts = read_values([*queries, *more_queries], "query", "--queries")
    with connection.open() as target:
        rules = asked.rules(target, "search")
        if counted and not target.client.inputs("facets"):
            raise click.UsageError("--facets: this model counts none: no item has a column to count by")

        def ask(batch: Sequence[str]) -> list[Answer]:
            excluded = asked.excluded(len(batch))
            listed = target.client.search(batch, k=k, exclude_item_ids=excluded, rules=rules)
            if not counted:
                return [Answer(("query", text), items) for text, items in zip(batch, listed, strict=True)]
            found = target.client.facets(batch, exclude_item_ids=excluded, rules=rules)
            return [
                Answer(("query", text), items, facets=_chosen(each, counted))
                for text, items, each in zip(batch, listed, found, strict=True)
            ]

        answers = ask_in_batches(texts, ask, "queries")
    delivery.give(answers)


def _facet_names(listed: str | None) -> list[str]:
    names = [name.strip() for name in (listed or "").split(",") if name.strip()]
    for name in names:
        if name not in FACETS:
            raise click.UsageError(f"--facets {name}: expected some of {', '.join(FACETS)}, with commas between them")
    return names


def _chosen(found: Facets, names: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
    """Says the counts that were asked for, each value as people write it; `all` is the whole result set."""
    stock = [] if found.in_stock is None else [("in stock", found.in_stock)]
    counts = {
        "category": [(each.value, each.count) for each in found.categories],
        "brand": [(each.value, each.count) for each in found.brands],
        "price": [(f"from {each.low:g}", each.count) for each in found.prices],
        "rating": [(f"from {each.low:g}", each.count) for each in found.ratings],
        "stock": stock,
    }
    return {"all": [("items", found.total)], **{name: counts[name] for name in names}}
