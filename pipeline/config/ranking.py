"""The section of the ranking stage, which orders what the towers and other sources propose."""

from __future__ import annotations

from typing import Literal

import pydantic

from pipeline.config.tables import Section

Head = Literal["purchase", "rating", "price"]


class CandidatesConfig(Section):
    """How many items each source proposes for a request; what several of them propose counts once."""

    tower: int = pydantic.Field(100, ge=1, description="nearest to the query vector")
    copurchase: int = pydantic.Field(100, ge=0, description="most often bought together with what the customer bought")
    popular: int = pydantic.Field(50, ge=0, description="most bought of the last 30 days")
    history: int = pydantic.Field(256, ge=0, description="different items of the customer's own history, newest first")


class TreesConfig(Section):
    """Boosted regression trees beside the networks: other mistakes, so that the mean of both is better than either."""

    count: int = pydantic.Field(250, ge=0, le=10_000, description="trees; 0 leaves the networks alone")
    first: int = pydantic.Field(
        40, ge=1, description="of them, which read every candidate; the others read what the networks read"
    )
    depth: int = pydantic.Field(6, ge=1, le=10, description="questions of one tree; twice the leaves with each more")
    learning_rate: float = pydantic.Field(0.1, gt=0, le=1)


class RankingConfig(Section):
    """The second stage: a DCN-v2 with a factorisation-machine term, and trees, over what is known of the pair."""

    enabled: bool = pydantic.Field(True, description="whether recommendations are ranked anew; false leaves the towers")
    history_length: int = pydantic.Field(512, ge=1, le=512, description="newest events that the features read")
    candidates: CandidatesConfig = CandidatesConfig()
    windows: int = pydantic.Field(
        3, ge=1, description="past windows to learn from, each with towers that end before it"
    )
    window_days: int = pydantic.Field(28, ge=1, description="how long a window is")
    max_requests: int = pydantic.Field(20_000, ge=1, description="customers of one window to learn from")
    neighbours: int = pydantic.Field(128, ge=1, description="co-purchases kept of each item")
    copurchase_items: int = pydantic.Field(
        10_000, ge=1, description="items with co-purchases, the most bought ones: memory grows with the square"
    )
    embedding: int = pydantic.Field(8, ge=1, description="width of the vector of each feature")
    cross_layers: int = pydantic.Field(2, ge=0, description="cross layers of the DCN-v2")
    cross_rank: int = pydantic.Field(32, ge=1, description="rank of their weights")
    hidden: tuple[int, ...] = pydantic.Field((128, 64), description="widths of the deep part")
    dropout: float = pydantic.Field(0.1, ge=0, lt=1)
    learning_rate: float = pydantic.Field(0.002, gt=0)
    weight_decay: float = pydantic.Field(1e-4, ge=0)
    epochs: int = pydantic.Field(3, ge=1)
    batch_requests: int = pydantic.Field(
        24, ge=1, description="requests in a training step, all their candidates with them"
    )
    ensemble: int = pydantic.Field(2, ge=1, description="networks of other seeds, their scores averaged")
    depth: int = pydantic.Field(
        48,
        ge=1,
        description="candidates that networks and later trees read, the best by the first trees, however many "
        "are asked for",
    )
    trees: TreesConfig = TreesConfig()
    heads: tuple[Head, ...] = pydantic.Field(
        ("purchase",), description="what is predicted of customer and item: purchase always, rating and price if named"
    )
    head_windows: int = pydantic.Field(
        13, ge=2, description="past windows that rating and price learn from; they need no towers of their own"
    )

    @pydantic.field_validator("heads")
    @classmethod
    def _ranks_by_purchase(cls, value: tuple[Head, ...]) -> tuple[Head, ...]:
        if "purchase" not in value or len(set(value)) < len(value):
            raise ValueError(
                f"got {', '.join(value) or 'none'}; 'purchase' must be there, as it ranks, and each head once"
            )
        return value


def past_name(number: int) -> str:
    """Names the file of the cases of a window before the validation window; number 1 is the newest."""
    return f"past-{number}"
