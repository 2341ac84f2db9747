"""The section of adaptation: the text encoder learns the shop's language from its own texts, without labels."""

from __future__ import annotations

from typing import Literal

import pydantic

from pipeline import schema
from pipeline.config.tables import Section


class AdaptationConfig(Section):
    """Contrastive fine-tuning of the text encoder before the towers learn, which then find it frozen.

    Pairs are texts of one item, and what was typed with what was chosen. Held-out pairs choose the epoch; where none
    is better than the encoder as it came, that one stays.
    """

    mode: Literal["none", "lora", "full"] = pydantic.Field(
        "none", description="none: the encoder stays as it came; lora: low-rank updates learn; full: all weights learn"
    )
    lora_rank: int = pydantic.Field(8, ge=1, description="rank of the LoRA updates")
    anchor: str = pydantic.Field("title", description="the column that stands for what a customer types")
    texts: tuple[str, ...] = pydantic.Field(
        ("description", "category"), min_length=1, description="columns that belong to it; each makes a pair of its own"
    )
    clicks: bool = pydantic.Field(True, description="learn from searches and what was chosen, where there are any")
    position_power: float = pydantic.Field(
        1.0, ge=0, description="how fast attention falls with the place in the list: 1 / (1 + place) to this power"
    )
    hard_negatives: int = pydantic.Field(1, ge=0, description="texts of items alike by BM25 beside each pair")
    sequence_length: int = pydantic.Field(64, ge=4, le=512, description="tokens kept while it learns")
    max_pairs: int = pydantic.Field(50_000, ge=2, description="learn from so many pairs, drawn by chance")
    held_out_share: float = pydantic.Field(0.1, gt=0, lt=1, description="share of the items whose pairs only measure")
    epochs: int = pydantic.Field(2, ge=1)
    batch_size: int = pydantic.Field(32, ge=2)
    learning_rate: float | None = pydantic.Field(
        None, gt=0, description="at its highest; 2e-5 where all weights learn and 5e-4 for LoRA if not given"
    )
    temperature: float = pydantic.Field(0.05, gt=0, description="softmax temperature")
    distil: float = pydantic.Field(
        0.0,
        ge=0,
        description="how much the margins of a cross-encoder, trained as search.rerank says, count beside the pairs; "
        "0: there is none",
    )

    @property
    def highest_rate(self) -> float:
        """The learning rate after the warm-up."""
        return self.learning_rate or (5e-4 if self.mode == "lora" else 2e-5)

    @pydantic.model_validator(mode="after")
    def _known_columns(self) -> AdaptationConfig:
        for name in (self.anchor, *self.texts):
            if name not in schema.RAW_ITEM_TEXTS:
                raise ValueError(f"'{name}' is no text column; allowed are {', '.join(schema.RAW_ITEM_TEXTS)}")
        if self.anchor in self.texts:
            raise ValueError(f"'{self.anchor}' is the anchor and one of 'texts': a text says nothing of itself")
        if self.distil and not self.hard_negatives:
            raise ValueError("'distil' compares texts with hard negatives: set 'hard_negatives' to 1 or more")
        return self
