"""The options of the commands that ask which say which items may be answered, and how mixed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from serving.commands.connection import Target
from serving.commands.questions import read_values

if TYPE_CHECKING:
    from serving.client import Rules

# The input of the model that each option needs, where items of some shops lack what it reads.
_NEEDS = {
    "--category": ("categories", "category"),
    "--exclude-category": ("exclude_categories", "category"),
    "--brand": ("brands", "brand"),
    "--min-price": ("min_price", "price"),
    "--max-price": ("max_price", "price"),
    "--in-stock": ("in_stock_only", "stock"),
    "--min-rating": ("min_rating", "rating"),
    "--max-per-category": ("max_per_category", "category"),
}


@dataclass(frozen=True)
class RuleOptions:
    """What the options say, as they came."""

    include: tuple[str, ...]
    exclude: tuple[str, ...]
    category: tuple[str, ...]
    exclude_category: tuple[str, ...]
    brand: tuple[str, ...]
    min_price: float
    max_price: float
    in_stock: bool
    boost: tuple[str, ...]
    diversity: float
    max_per_category: int
    min_rating: float

    @property
    def filter(self) -> bool:
        """Whether any option keeps items away."""
        others = (self.exclude, self.category, self.exclude_category, self.brand, self.min_price, self.max_price)
        return any((self.include, *others, self.in_stock, self.min_rating))

    def rules(self, target: Target, signature: str) -> Rules:
        """Reads the rules.

        Args:
          target: the model to ask.
          signature: the one that will be asked.

        Raises:
          click.UsageError: if an option cannot be read, or the model cannot do what it asks.
        """
        from serving.client import Rules

        taken = target.client.inputs(signature)
        for option, (name, column) in _NEEDS.items():
            if getattr(self, option.removeprefix("--").replace("-", "_")) and taken and name not in taken:
                raise click.UsageError(f"{option}: this model cannot do that: its items have no column '{column}'")
        return Rules(
            include_item_ids=_ids(self.include, "--include"),
            categories=self.category,
            exclude_categories=self.exclude_category,
            brands=self.brand,
            min_price=self.min_price,
            max_price=self.max_price,
            in_stock_only=self.in_stock,
            boosts=_boosts(self.boost),
            diversity=self.diversity,
            max_per_category=self.max_per_category,
            min_rating=self.min_rating,
        )

    def excluded(self, rows: int, seen: Sequence[Sequence[str]] | None = None) -> list[list[str]] | None:
        """Lists what must not be answered in each of `rows` rows: --exclude, and what is `seen` there."""
        given = _ids(self.exclude, "--exclude")
        if not given and seen is None:
            return None
        return [[*given, *own] for own in (seen or [()] * rows)]


def rule_options(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --include, --exclude, --category and so on, passed on as `asked`."""

    @functools.wraps(function)
    def collected(**options: Any) -> None:
        asked = {name: options.pop(name) for name in RuleOptions.__dataclass_fields__}
        function(asked=RuleOptions(**asked), **options)

    path = "a whole path or its first parts; may be repeated"
    options = (
        click.option("--include", multiple=True, metavar="FILE|ID", help="Answer only these items; may be repeated."),
        click.option("--exclude", multiple=True, metavar="FILE|ID", help="Answer none of these; may be repeated."),
        click.option("--category", multiple=True, metavar="PATH", help=f"Only items of this category: {path}."),
        click.option("--exclude-category", multiple=True, metavar="PATH", help=f"None of this category: {path}."),
        click.option("--brand", multiple=True, metavar="NAME", help="Only items of this brand; may be repeated."),
        click.option("--min-price", type=click.FloatRange(min=0), default=0.0, help="Only items from this price."),
        click.option("--max-price", type=click.FloatRange(min=0), default=0.0, help="Only items up to this price."),
        click.option("--min-rating", type=click.FloatRange(min=0), default=0.0, help="Only items from so many stars."),
        click.option("--in-stock", is_flag=True, help="Leave out what was out of stock when the model was made."),
        click.option(
            "--boost",
            multiple=True,
            metavar="ITEM=WEIGHT",
            help="Lift an item by so many standard deviations of the scores, or lower it; may be repeated.",
        ),
        click.option(
            "--diversity",
            type=click.FloatRange(0, 1),
            default=0.0,
            help="0 ranks by fit alone, 1 by difference to the items before.",
        ),
        click.option(
            "--max-per-category", type=click.IntRange(min=0), default=0, help="At most so many items of one category."
        ),
    )
    command: Callable[..., None] = collected
    for option in reversed(options):
        command = option(command)
    return command


def _ids(values: Sequence[str], option: str) -> list[str]:
    return read_values(values, "item_id", option) if values else []


def _boosts(pairs: Sequence[str]) -> dict[str, float]:
    boosts = {}
    for pair in pairs:
        item_id, separator, weight = pair.rpartition("=")
        try:
            boosts[item_id] = float(weight)
        except ValueError:
            separator = ""
        if not separator or not item_id:
            raise click.UsageError(f"--boost {pair}: expected ITEM=WEIGHT, for example 85123A=1.5")
    return boosts
