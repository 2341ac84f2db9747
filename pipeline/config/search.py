"""The section of search: what words are looked for in, and how they are weighed against meaning."""

from __future__ import annotations

from typing import Literal

import pydantic

from pipeline import schema
from pipeline.config.reranking import RerankConfig
from pipeline.config.tables import Section

Columns = tuple[str, ...]


class SearchConfig(Section):
    """Search by words beside search by meaning, where `features.query` is on."""

    words: bool = pydantic.Field(True, description="whether queries are looked up as words; false leaves the meaning")
    texts: tuple[Columns, ...] = pydantic.Field(
        (("title", "brand", "category"), ("title", "brand", "category", "description")),
        min_length=1,
        description="joined columns that words are looked up in; each gives a BM25 score, and those count alike",
    )
    stemmer: str | None = pydantic.Field(
        "english", description="a Snowball language, whose endings make no difference; none: whole words only"
    )
    stop_words: bool = pydantic.Field(True, description="leave English words such as 'the' out")
    k1: float = pydantic.Field(1.5, ge=0, description="BM25: how soon a word that comes again stops counting")
    b: float = pydantic.Field(0.75, ge=0, le=1, description="BM25: how much long texts count less")
    fusion: Literal["fixed", "learned"] = pydantic.Field(
        "fixed",
        description="where the weights of words, meaning and feedback come from. fixed: from here; learned: from the "
        "shop's own texts, and from searches and what was chosen, starting here",
    )
    fusion_queries: int = pydantic.Field(1_000, ge=1, description="learn from so many made searches, and real ones")
    words_weight: float = pydantic.Field(
        0.3, ge=0, le=1, description="share of the words in the score; the rest is the similarity of meaning"
    )
    feedback_items: int = pydantic.Field(
        5, ge=0, description="best items whose meaning joins the query's before all are scored again; 0: none do"
    )
    feedback_weight: float = pydantic.Field(1.0, ge=0, description="how much, the query's own meaning being 1")
    exact_bonus: float = pydantic.Field(
        2.0, ge=0, description="added where item id, model number, brand, whole title or phrase match; 2 always wins"
    )
    relevant_share: float = pydantic.Field(
        0.5,
        ge=0,
        le=1,
        description="an item is relevant from this share of the best item's relevance on: only such are counted in "
        "facets, and change places by who asks",
    )
    personal_bound: float = pydantic.Field(
        0.1, ge=0, le=1, description="by how much who asks may shift a relevant item at most; 0: the same for everybody"
    )
    correct_spelling: bool = pydantic.Field(True, description="read an unknown word as the nearest word of the items")
    rerank: RerankConfig = RerankConfig()

    @pydantic.field_validator("texts")
    @classmethod
    def _known_columns(cls, value: tuple[Columns, ...]) -> tuple[Columns, ...]:
        for name in (name for columns in value for name in columns):
            if name not in schema.RAW_ITEM_TEXTS:
                raise ValueError(f"'{name}' is no text column; allowed are {', '.join(schema.RAW_ITEM_TEXTS)}")
        return value

    @pydantic.field_validator("texts")
    @classmethod
    def _no_empty_text(cls, value: tuple[Columns, ...]) -> tuple[Columns, ...]:
        if not all(value):
            raise ValueError("a text of no column holds no word: name at least one column, or set 'words' to false")
        return value
