"""A tiny shop with planted effects, as the arrays that the trainer works on."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf

from pipeline.config import Config, parse_config
from trainer.catalogue import Catalogue
from trainer.inputs import EventExamples
from trainer.phase import Phase
from trainer.towers import item, query
from trainer.validation_cases import ValidationCases

TASTES, ITEMS, HISTORY, SEASONS = 16, 160, 4, 2
TASTE_WORDS = tuple(" ".join(f"{kind}{taste}" for kind in ("cloth", "shape", "use")) for taste in range(TASTES))
SIZES = {"context_season": 1 + SEASONS, "category_index": 1 + TASTES, "category_top_index": 1 + TASTES}
SIZES |= {"price_bucket": 11, "brand_index": 2, "hour": 24, "weekday": 7, "month": 12}


class WordBag(tf.Module):
    """A text encoder as TensorFlow Hub serves them: the sum of fixed vectors of the words."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        vectors = np.random.default_rng(3).normal(size=(4096, width))
        self.vectors = tf.Variable(vectors.astype(np.float32), trainable=False)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, texts: tf.Tensor) -> tf.Tensor:
        words = tf.strings.split(texts)
        numbers = tf.ragged.map_flat_values(lambda word: tf.strings.to_hash_bucket_fast(word, 4096), words)
        return tf.reduce_sum(tf.gather(self.vectors, numbers), axis=1)


def save_word_bag(folder: Path) -> str:
    tf.saved_model.save(WordBag(), str(folder))
    return str(folder)


def planted_config(preset: str, **changes: Any) -> Config:
    """The configuration of the planted shop; `changes` are sections, merged into it."""
    tree: dict[str, Any] = {
        "name": "planted",
        "tables": {"events": {"path": "unused"}, "items": {"from_events": True}},
        "split": {"test_start": "2024-01-01"},
        "features": {"history": {"length": HISTORY}, "time": False, "context": ["season"], "item": {"brand": False}},
        "encoder": {"kind": "tensorflow_hub", "preset": preset},
        "model": {"dimension": 16, "hidden": [32], "dropout": 0.0},
        "training": {"batch_size": 256, "epochs": 12, "learning_rate": 0.01, "early_stopping_patience": 12},
        "gate": {"metric": "ndcg@10"},
    }
    for section, values in changes.items():
        tree[section] = {**tree.get(section, {}), **values}
    return parse_config(tree)


@dataclass(frozen=True)
class PlantedShop:
    """Each user keeps to one taste; items with an even number sell in season 1, odd ones in season 2.

    Items whose number ends in 8 or 9 are new: nobody has bought them. A fifth of the events are searches for two
    words of the item's taste, without any history.
    """

    catalogue: Catalogue
    examples: EventExamples
    cases: ValidationCases | None


def taste_of(rows: np.ndarray) -> np.ndarray:
    return rows // (ITEMS // TASTES)


def is_new(rows: np.ndarray) -> np.ndarray:
    return rows % 10 >= 8


def planted_shop(events: int = 3000, seed: int = 0) -> PlantedShop:
    rows = np.arange(ITEMS)
    titles = np.array([f"{TASTE_WORDS[taste]} {row}" for row, taste in zip(rows, taste_of(rows), strict=True)], object)
    catalogue = Catalogue(
        ids=np.array([f"item{row:03}" for row in rows], object),
        titles=titles,
        texts=titles,
        features={
            "category_index": 1 + taste_of(rows),
            "category_top_index": 1 + taste_of(rows),
            "price_bucket": 1 + rows % 10,
            "price_scaled": (rows % 7 - 3.0).astype(np.float32),
        },
    )
    columns, _ = _events(events, seed)
    queries = np.array(sorted(" ".join(words.split()[:2]) for words in TASTE_WORDS), object)
    examples = EventExamples(columns, queries, np.arange(events), seed)
    return PlantedShop(catalogue, examples, cases_of(_events(300, seed + 1)[0], queries))


def cases_of(columns: dict[str, np.ndarray], queries: np.ndarray) -> ValidationCases:
    """Asks for the label of each event."""
    names = ("history_types", "history_ages", "context_season")
    return ValidationCases(
        features={name: columns[name].reshape(len(columns["query"]), -1) for name in names},
        history_rows=columns["history_rows"],
        texts=np.array(["", *queries], object)[columns["query"]],
        searched=columns["query"] > 0,
        truth=[np.array([row - 1]) for row in columns["item_row"]],
    )


def _events(count: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    generator = np.random.default_rng(seed)
    known = np.flatnonzero(~is_new(np.arange(ITEMS))).reshape(TASTES, -1)
    taste = generator.integers(TASTES, size=count)
    season = generator.integers(1, 1 + SEASONS, size=count)
    # Within a taste and season the first items sell best.
    popularity = 1.0 / np.arange(1, known.shape[1] // 2 + 1)
    rank = generator.choice(len(popularity), size=count, p=popularity / popularity.sum())
    labels = known[taste, 2 * rank + (season - 1)]
    searched = generator.random(count) < 0.2
    history = known[taste[:, None], generator.integers(known.shape[1], size=(count, HISTORY))] + 1
    history[searched] = 0
    order = np.argsort([" ".join(words.split()[:2]) for words in TASTE_WORDS])
    place = np.empty(TASTES, np.int64)
    place[order] = np.arange(TASTES)
    columns = {
        "item_row": (labels + 1).astype(np.int32),
        "history_rows": history.astype(np.int32),
        "history_types": np.where(history > 0, 4, 0).astype(np.int8),
        "history_ages": np.where(history > 0, 5, 0).astype(np.int8),
        "query": np.where(searched, 1 + place[taste], 0).astype(np.int32),
        "weight": np.ones(count, np.float32),
        "timestamp": np.arange(count, dtype=np.int64),
        "split": np.zeros(count, np.int8),
        "context_season": season.astype(np.int32),
    }
    return columns, labels


@contextlib.contextmanager
def without_draws() -> Iterator[None]:
    """Inside, towers leave nothing out at random: they draw for the rows of a device, whatever examples these are."""
    shares = ("HISTORY_DROPOUT", "CONTEXT_DROPOUT", "QUERY_DROPOUT", "USER_DROPOUT")
    with mock.patch.multiple(query, **dict.fromkeys(shares, 0.0)), mock.patch.object(item, "_NEW_SHARE", 0.0):
        yield


def planted_phase(shop: PlantedShop, config: Config, folder: Path, **changes: Any) -> Phase:
    settings: dict[str, Any] = {
        "name": "judged",
        "config": config,
        "catalogue": shop.catalogue,
        "examples": shop.examples,
        "sizes": SIZES,
        "cases": shop.cases,
        "epochs": config.training.epochs,
        "cache": folder / "cache",
        "checkpoints": folder / "checkpoints",
        "board": folder / "board",
    }
    return Phase(**{**settings, **changes})
