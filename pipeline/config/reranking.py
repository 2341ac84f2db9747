"""The section of re-ranking: a network that reads what was typed and an item together."""

from __future__ import annotations

import pydantic

from pipeline.config.tables import Section


class RerankConfig(Section):
    """A cross-encoder over the best items of a search; it starts with the weights of the text encoder.

    It learns from the pairs of `adaptation` (its columns, clicks, `max_pairs`, `held_out_share`) against texts alike by
    their words; held-out pairs choose the epoch.
    """

    enabled: bool = pydantic.Field(False, description="whether the best items of a search are read again")
    depth: int = pydantic.Field(
        50, ge=2, le=1000, description="how many of the best; the others stay below, as they were"
    )
    share: float = pydantic.Field(
        0.5, gt=0, le=1, description="of the cross-encoder in the order of these; the rest is the score that they had"
    )
    layers: int | None = pydantic.Field(None, ge=1, description="first layers of the encoder that it has; none: all")
    sequence_length: int = pydantic.Field(64, ge=8, le=512, description="tokens read of both texts together")
    negatives: int = pydantic.Field(4, ge=1, description="texts alike by BM25 that each pair is told from")
    epochs: int = pydantic.Field(1, ge=1)
    batch_size: int = pydantic.Field(8, ge=1, description="pairs learned from at once, each with its negatives")
    learning_rate: float = pydantic.Field(5e-5, gt=0, description="at its highest")
