"""A shop with planted tastes: customers like the colours of half of the items, and brands set the prices."""

import numpy as np
import pyarrow as pa
import tensorflow as tf
from planted import planted_config
from shop_tables import DAY

from pipeline import schema
from pipeline.config import Config
from trainer.heads.goods import Goods, describe_goods
from trainer.interactions import Interactions
from trainer.ranking_stage import Request
from trainer.rules.attributes import ItemAttributes

USERS, ITEMS = 60, 40
END = 1_000 * DAY
CATEGORIES, BRANDS = 4, 5


def headed_config(**changes: object) -> Config:
    """The configuration; `changes` are settings of the ranking stage."""
    return planted_config("unused", ranking={"heads": ["purchase", "rating", "price"], "head_windows": 6, **changes})


def attributes() -> ItemAttributes:
    """Prices are those of the brand; the first item's is not known."""
    rows = np.arange(ITEMS)
    prices = (np.exp(rows % BRANDS) * (1 + 0.01 * (rows % 3))).astype(np.float32)
    prices[0] = 0.0
    return ItemAttributes(
        prices=prices,
        brands=np.array([f"brand {row % BRANDS}" for row in rows], object),
        categories=np.array([f"category {row % CATEGORIES}" for row in rows], object),
        stock=np.full(ITEMS, np.nan, np.float32),
    )


def colours() -> np.ndarray:
    """Which of two colours each item has, [items]."""
    return np.arange(ITEMS) // CATEGORIES % 2


def texts() -> np.ndarray:
    """Text vectors that tell category, colour and brand, [items, width]."""
    rows = np.arange(ITEMS)
    parts = [np.eye(CATEGORIES)[rows % CATEGORIES], np.eye(2)[colours()], np.eye(BRANDS)[rows % BRANDS]]
    return np.concatenate(parts, axis=1).astype(np.float32)


def goods() -> Goods:
    """The items as heads know them."""
    return describe_goods(attributes(), texts())


def events(count: int = 6000, days: int = 170, seed: int = 0) -> Interactions:
    """Views, purchases and ratings: customers view what has their colour, and give that 5 stars and the rest 2."""
    generator = np.random.default_rng(seed)
    users, rows = generator.integers(USERS, size=count), generator.integers(ITEMS, size=count)
    liked = colours()[rows] == users % 2
    kinds = np.where(liked & (generator.random(count) < 0.8), "view", "rate")
    kinds = np.where(generator.random(count) < 0.2, "purchase", kinds)
    stars = np.where(liked, 5.0, 2.0)
    return Interactions(
        user_ids=pa.array([f"u{user}" for user in range(USERS)]),
        items=ITEMS,
        end=END,
        users=users,
        item_rows=rows,
        timestamps=END - generator.integers(1, days * DAY, count),
        orders=np.arange(count),
        quantities=np.ones(count),
        prices=np.full(count, np.nan),
        values=np.where(kinds == "rate", stars, np.nan),
        types=np.array([schema.EVENT_TYPES.index(kind) for kind in kinds]),
    )


def request_of(user_ids: list[str], rows: np.ndarray, types: list[list[str]]) -> Request:
    """Requests with histories [batch, n]; -1 and "" pad."""
    return Request(
        queries=tf.zeros([len(user_ids), 0]),
        features={},
        inputs={schema.RAW_USER_ID: tf.constant(user_ids)},
        timestamps=tf.fill([len(user_ids)], tf.constant(END, tf.int64)),
        history_rows=tf.constant(rows, tf.int64),
        history_types=tf.constant(types),
        history_ages_days=tf.zeros(rows.shape),
        history_quantities=tf.ones(rows.shape),
    )
