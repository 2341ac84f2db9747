"""A shop without any order in it, as the ranking stage sees it: interactions, wares, requests."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from planted import planted_config
from shop_tables import DAY

from pipeline import schema
from pipeline.config import Config
from trainer.interactions import Interactions
from trainer.ranking.knowledge import Knowledge, Wares
from trainer.ranking.pair_features import Evidence, gather_evidence
from trainer.ranking_stage import Request

USERS, ITEMS, DIM = 24, 30, 5
END = 1_000 * DAY
TYPES = ("view", "click", "cart", "purchase")

# The row, -1 for an unknown item; the event type, "" for a pad; the age in days. Of a row that is divisible by 3 there
# are three pieces, of the others one.
Event = tuple[int, str, float]


def interactions_of(events: Sequence[tuple[int, int, int]], *, users: int = USERS, items: int = ITEMS) -> Interactions:
    """Interactions before END of (user, row, seconds before END)."""
    columns = np.array(events, np.int64).reshape(-1, 3)
    return Interactions(
        user_ids=pa.array([f"u{user}" for user in range(users)]),
        items=items,
        end=END,
        users=columns[:, 0],
        item_rows=columns[:, 1],
        timestamps=END - columns[:, 2],
        orders=columns[:, 2],
        quantities=np.ones(len(columns)),
        prices=np.full(len(columns), np.nan),
        values=np.full(len(columns), np.nan),
        types=np.full(len(columns), schema.EVENT_TYPES.index("purchase")),
    )


def random_interactions(seed: int = 0, events: int = 500, days: int = 200) -> Interactions:
    """Interactions at whole half-days, so that many moments are the same; nobody buys the last item."""
    generator = np.random.default_rng(seed)
    users, rows = generator.integers(USERS, size=events), generator.integers(ITEMS - 1, size=events)
    ages = generator.integers(1, 2 * days, events) * (DAY // 2)
    return interactions_of(list(zip(users, rows, ages, strict=True)))


def ranked_config(**changes: Any) -> Config:
    """The configuration; `changes` are settings of the ranking stage."""
    small = {"hidden": (8,), "cross_rank": 3, "embedding": 3, "epochs": 1, "neighbours": 6, "dropout": 0.0}
    return planted_config("unused", ranking={**small, **changes})


def knowledge_of(bought: Interactions, config: Config, *, texts: bool = True) -> Knowledge:
    """What is known of the shop; the price of the first item is not."""
    generator = np.random.default_rng(9)
    prices = generator.normal(size=bought.items).astype(np.float32)
    prices[0] = np.nan
    vectors = generator.normal(size=(bought.items, 8)).astype(np.float32)
    vectors[1::2] = vectors[::2][: len(vectors[1::2])] + 0.1
    return Knowledge(bought, Wares(prices, vectors if texts else None), config.ranking)


def random_histories(seed: int, lines: int = 7, longest: int = 20) -> list[list[Event]]:
    """Histories, newest first, with unknown items and repeated moments; the first one is empty."""
    generator = np.random.default_rng(seed)
    histories: list[list[Event]] = [[]]
    for _ in range(lines - 1):
        length = int(generator.integers(longest + 1))
        ages = np.sort(generator.integers(0, 60, length) * 2.5)
        rows, types = generator.integers(-1, 12, length), generator.choice(TYPES, length)
        histories.append([(int(r), str(t), float(a)) for r, t, a in zip(rows, types, ages, strict=True)])
    return histories


def pieces_of(row: int) -> float:
    """How many pieces an event is about."""
    return 1.0 if row % 3 else 3.0


def request_of(histories: Sequence[Sequence[Event]], *, seed: int = 3, width: int | None = None) -> Request:
    """Requests with these histories; `width` pads them further. A line's query vector depends on its place only."""
    width = max(map(len, histories), default=0) if width is None else width
    padded = [[*history, *[(-1, "", 0.0)] * (width - len(history))] for history in histories]
    queries = np.random.default_rng(seed).normal(size=(len(histories), DIM)).astype(np.float32)
    shape = (len(histories), width)
    return Request(
        queries=tf.constant(queries),
        features={},
        inputs={},
        timestamps=tf.fill([len(histories)], tf.constant(END, tf.int64)),
        history_rows=tf.constant([[event[0] for event in line] for line in padded], tf.int64, shape),
        history_types=tf.constant([[event[1] for event in line] for line in padded], tf.string, shape),
        history_ages_days=tf.constant([[event[2] for event in line] for line in padded], tf.float32, shape),
        history_quantities=tf.constant([[pieces_of(event[0]) for event in line] for line in padded], tf.float32, shape),
    )


def tower_scores(request: Request, items: int = ITEMS) -> tf.Tensor:
    """What towers might say of every item, [batch, items]."""
    vectors = np.random.default_rng(8).normal(size=(items, DIM)).astype(np.float32)
    return tf.matmul(request.queries, vectors, transpose_b=True)


def evidence_of(request: Request, knowledge: Knowledge) -> Evidence:
    """All that is known of requests."""
    return gather_evidence(request, tower_scores(request, knowledge.items), knowledge, ("purchase",))
