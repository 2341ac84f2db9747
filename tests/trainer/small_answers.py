"""A small catalogue behind the answer path, without towers, and what NumPy says it must answer."""

from typing import Any

import numpy as np
import tensorflow as tf

from trainer.answers import Answers
from trainer.catalogue import Catalogue
from trainer.index import ExactIndex, row_table
from trainer.ranking_stage import Request
from trainer.rules.attributes import ItemAttributes
from trainer.rules.fallback import Popularity

ITEMS, DIMENSION = 40, 4
IDS = [f"i{row:02}" for row in range(ITEMS)]
CATEGORIES = ["Home > Kitchen", "Home > Kitchen > Knives", "Home > Garden", "Toys", "", "Homeware"]
BRANDS = ["Alba", "Berg", ""]
DEFAULTS: dict[str, Any] = {
    "k": [5],
    "exclude_item_ids": [[""]],
    "include_item_ids": [[""]],
    "categories": [[""]],
    "exclude_categories": [[""]],
    "brands": [[""]],
    "min_price": [0.0],
    "max_price": [0.0],
    "in_stock_only": [0],
    "min_rating": [0.0],
    "boost_item_ids": [[""]],
    "boosts": [[0.0]],
    "diversity": [0.0],
    "max_per_category": [0],
}


def small_attributes() -> ItemAttributes:
    """Attributes with unknown values in every column."""
    generator = np.random.default_rng(3)
    stock = generator.choice([0.0, 2.0, np.nan], ITEMS).astype(np.float32)
    return ItemAttributes(
        prices=np.array([0.0 if row % 9 == 0 else 1.0 + row % 7 for row in range(ITEMS)], np.float32),
        brands=generator.choice(np.array(BRANDS, object), ITEMS),
        categories=generator.choice(np.array(CATEGORIES, object), ITEMS),
        stock=stock,
        ratings=np.array([0.0 if row % 4 == 0 else 1.0 + row % 9 / 2 for row in range(ITEMS)], np.float32),
    )


class SmallShop:
    """The answer path behind a graph function, as it is served.

    Args:
      vectors: [items, dim].
      stage: a ranking stage.
    """

    def __init__(self, vectors: np.ndarray, stage: Any = None) -> None:
        self.vectors = vectors
        self.attributes = small_attributes()
        catalogue = Catalogue(np.array(IDS, object), np.array(IDS, object), None, {})
        self.answers = Answers(
            catalogue,
            self.attributes,
            index=ExactIndex(vectors),
            rows=row_table(IDS),
            popularity=Popularity((), np.zeros((1, ITEMS), np.float32)),
            stage=stage,
        )
        self._function = tf.function(self._answer, reduce_retracing=True)

    def ask(self, queries: np.ndarray, **inputs: Any) -> tuple[list[list[str]], np.ndarray]:
        """Answers queries [batch, dim]; returns ids without pads, and scores [batch, k]."""
        kinds = {"k": np.int32, "in_stock_only": np.int32, "max_per_category": np.int32}
        tensors = {}
        for name, default in DEFAULTS.items():
            values = np.array(inputs.get(name, default))
            kind = object if values.dtype.kind in "UO" else kinds.get(name, np.float32)
            shape = (len(queries), *values.shape[1:])
            tensors[name] = tf.constant(np.broadcast_to(values.astype(kind), shape))
        found = self._function(tf.constant(queries, tf.float32), tensors)
        scores = found["scores"].numpy()
        ids = [[each.decode() for each in line] for line in found["item_ids"].numpy()]
        for line, values in zip(ids, scores, strict=True):
            kept = len([each for each in line if each])
            assert all(line[:kept]), "pads stand at the end"
            assert np.isfinite(values[:kept]).all()
            assert np.isneginf(values[kept:]).all()
        return [[each for each in line if each] for line in ids], scores

    def _answer(self, queries: tf.Tensor, inputs: dict[str, tf.Tensor]) -> Any:
        request = Request(queries, {}, inputs, *[tf.constant(0)] * 5)
        return self.answers.best(queries, inputs, request=request)

    def allowed(self, **inputs: Any) -> np.ndarray:
        """Which items the filters of one request leave, bool [items], one item after the other."""
        return np.array([self._is_allowed(row, {**DEFAULTS, **inputs}) for row in range(ITEMS)])

    def _is_allowed(self, row: int, asked: dict[str, Any]) -> bool:
        def listed(name: str) -> list[str]:
            return [value for value in asked[name][0] if value]

        price, path = self.attributes.prices[row], self.attributes.categories[row]
        inside = {name: any(path == c or path.startswith(c + " > ") for c in listed(name)) for name in _PATHS}
        low, high = asked["min_price"][0], asked["max_price"][0]
        return (
            IDS[row] not in listed("exclude_item_ids")
            and (not listed("include_item_ids") or IDS[row] in listed("include_item_ids"))
            and (not listed("categories") or inside["categories"])
            and not inside["exclude_categories"]
            and (not listed("brands") or self.attributes.brands[row] in listed("brands"))
            and (low == 0 or (price > 0 and price >= np.float32(low)))
            and (high == 0 or (price > 0 and price <= np.float32(high)))
            and (asked["min_rating"][0] == 0 or self.attributes.ratings[row] >= np.float32(asked["min_rating"][0]))
            and (asked["in_stock_only"][0] == 0 or not self.attributes.stock[row] <= 0)
        )


_PATHS = ("categories", "exclude_categories")


def greedy(shop: SmallShop, scores: np.ndarray, *, k: int, cap: int, strength: float) -> list[str]:
    """Maximal marginal relevance with caps among scores [items], -inf being not allowed, one pick after the other."""
    order = [row for row in np.argsort(-scores, kind="stable") if scores[row] > -np.inf]
    if not order:
        return []
    low, high = scores[order[-1]], scores[order[0]]
    unit = shop.vectors / np.maximum(np.linalg.norm(shop.vectors, axis=1, keepdims=True), 1e-6)
    picked: list[int] = []
    while len(picked) < k:
        counts = [shop.attributes.categories[row] for row in picked]
        open_ = [
            row
            for row in order
            if row not in picked
            and (cap == 0 or not shop.attributes.categories[row] or counts.count(shop.attributes.categories[row]) < cap)
        ]
        if not open_:
            break
        values = [
            (1 - strength) * (scores[row] - low) / max(high - low, 1e-12)
            - strength * max((unit[row] @ unit[each] for each in picked), default=0.0)
            for row in open_
        ]
        picked.append(open_[int(np.argmax(values))])
    return [IDS[row] for row in picked]
