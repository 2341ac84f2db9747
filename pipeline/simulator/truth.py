"""The planted parameters of a simulated shop, and the ranking that follows from them.

They are written beside the tables, for tests and for judging a model against the best possible one.
No model may read them.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.simulator import sessions
from pipeline.simulator.arrays import Floats, Ints
from pipeline.simulator.assortment import ASSORTMENTS, COUNTRIES, WEATHERS
from pipeline.simulator.catalogue import vocabulary_texts
from pipeline.simulator.customers import LIKED_SLOTS
from pipeline.simulator.effects import base
from pipeline.simulator.rows import file_order
from pipeline.simulator.world import World

SHOP_FILE, USERS_FILE, ITEMS_FILE = "truth.json", "truth_users.parquet", "truth_items.parquet"
_DECIMALS = 6


@dataclass(frozen=True)
class Context:
    """The moment of a request.

    Args:
      timestamp: seconds since 1970 UTC.
      country: a code, or "" for the customer's own.
      holiday: a name as in the events table, or "".
      weather: one of the simulator's weathers, or "" for unknown.
    """

    timestamp: int
    country: str = ""
    holiday: str = ""
    weather: str = ""


@dataclass(frozen=True)
class Truth:
    """What `read_truth` found.

    Args:
      shop: the contents of truth.json.
      item_ids: `[items]`, in the order of the items file, which is the order of every `[items]` here.
      category, words, relative_price, popularity, offered_s: as in `Catalogue`.
      user_rows: row of each user id.
      country: `[users]`, a code.
      category_taste, liked_words, liked_weights, price_sensitivity, joined_s: as in `Customers`.
    """

    shop: Mapping[str, Any]
    item_ids: tuple[str, ...]
    category: Ints
    words: Ints
    relative_price: Floats
    popularity: Floats
    offered_s: Ints
    user_rows: Mapping[str, int]
    country: tuple[str, ...]
    category_taste: Floats
    liked_words: Ints
    liked_weights: Floats
    price_sensitivity: Floats
    joined_s: Ints


def write_truth(world: World, folder: Path) -> None:
    """Writes the three files of the truth of `world` into `folder`."""
    text = json.dumps(_shop(world), indent=1, ensure_ascii=False)
    (folder / SHOP_FILE).write_text(text + "\n", encoding="utf-8")
    customers, catalogue, order = world.customers, world.catalogue, file_order(world)
    users = {
        "user_id": pa.array(customers.user_ids),
        "country": pa.array(COUNTRIES).take(pa.array(customers.country)),
        "joined": pa.array(customers.joined_s),
        "activity": _rounded(customers.activity),
        "category_taste": _lists(_rounded(customers.category_taste.ravel()), len(ASSORTMENTS)),
        "liked_words": _lists(pa.array(customers.liked_words.ravel()), len(LIKED_SLOTS)),
        "liked_weights": _lists(_rounded(customers.liked_weights.ravel()), len(LIKED_SLOTS)),
        "price_sensitivity": _rounded(customers.price_sensitivity),
    }
    items = {
        "item_id": pa.array(catalogue.item_ids),
        "category": pa.array(catalogue.category),
        "words": _lists(pa.array(catalogue.words.ravel()), catalogue.words.shape[1]),
        "relative_price": _rounded(catalogue.relative_price),
        "popularity": pa.array(catalogue.popularity),
        "offered": pa.array(catalogue.offered_s),
    }
    pq.write_table(pa.table(users), folder / USERS_FILE)
    pq.write_table(pa.table(items).take(pa.array(order)), folder / ITEMS_FILE)


def read_truth(folder: Path) -> Truth:
    """Reads what `write_truth` wrote.

    Raises:
      OSError: if a file is missing or cannot be read.
    """
    users, items = pq.read_table(folder / USERS_FILE), pq.read_table(folder / ITEMS_FILE)
    return Truth(
        shop=json.loads((folder / SHOP_FILE).read_text(encoding="utf-8")),
        item_ids=tuple(items["item_id"].to_pylist()),
        category=items["category"].to_numpy(),
        words=_matrix(items["words"]),
        relative_price=items["relative_price"].to_numpy(),
        popularity=items["popularity"].to_numpy(),
        offered_s=items["offered"].to_numpy(),
        user_rows={user_id: row for row, user_id in enumerate(users["user_id"].to_pylist())},
        country=tuple(users["country"].to_pylist()),
        category_taste=_matrix(users["category_taste"]),
        liked_words=_matrix(users["liked_words"]),
        liked_weights=_matrix(users["liked_weights"]),
        price_sensitivity=users["price_sensitivity"].to_numpy(),
        joined_s=users["joined"].to_numpy(),
    )


def true_preferences(truth: Truth, user_id: str, context: Context) -> Floats:
    """Ranks the items as the simulator would: the log of how probable a purchase of each is.

    Args:
      truth: the planted parameters.
      user_id: a customer; any other is taken as somebody without tastes.
      context: the moment.

    Returns:
      `[items]`, up to one constant; -inf for what is not on sale at that moment.
    """
    on_sale = truth.offered_s <= context.timestamp
    appeal = true_appeal(truth, user_id)
    odds = np.where(on_sale, truth.popularity * np.exp(appeal), 0.0)
    total = np.bincount(truth.category, odds, minlength=len(ASSORTMENTS))
    with np.errstate(divide="ignore"):
        in_category = np.log(odds) - np.log(np.where(total > 0, total, 1.0))[truth.category]
    scores = category_preferences(truth, user_id, context)[truth.category]
    preferences: Floats = scores + in_category + np.log(sessions.click_odds(appeal))
    return preferences


def category_preferences(truth: Truth, user_id: str, context: Context) -> Floats:
    """Returns the log-odds of each category for a customer and a moment, `[categories]`."""
    effects, names = truth.shop["effects"], truth.shop
    moment = datetime.datetime.fromtimestamp(context.timestamp, datetime.UTC)
    row = truth.user_rows.get(user_id)
    country = context.country or (truth.country[row] if row is not None else "")
    scores = np.array(effects["base"]) + np.array(effects["season"][moment.month - 1])
    scores += np.array(effects["weekday"][moment.weekday()])
    if row is not None:
        scores += truth.category_taste[row]
    for effect, value, known in (
        ("holiday", context.holiday, names["holidays"]),
        ("weather", context.weather, names["weathers"]),
        ("country", country, names["countries"]),
    ):
        if value in known:
            scores += np.array(effects[effect][known.index(value)])
    return scores


def true_appeal(truth: Truth, user_id: str) -> Floats:
    """Returns how much each item's words and price appeal to a customer, `[items]`; 0 for a stranger."""
    row = truth.user_rows.get(user_id)
    if row is None:
        return np.zeros(len(truth.item_ids))
    appeal = -truth.price_sensitivity[row] * truth.relative_price
    for column, slot in enumerate(LIKED_SLOTS):
        appeal = appeal + truth.liked_weights[row, column] * (truth.words[:, slot] == truth.liked_words[row, column])
    return appeal


def _shop(world: World) -> dict[str, Any]:
    plan = world.plan
    return {
        "users": plan.users,
        "items": plan.items,
        "events": plan.events,
        "seed": plan.seed,
        "start": plan.start.isoformat(),
        "days": plan.days,
        "categories": [assortment.path for assortment in ASSORTMENTS],
        "cycle_days": [assortment.cycle_days for assortment in ASSORTMENTS],
        "countries": list(COUNTRIES),
        "weathers": list(WEATHERS),
        "holidays": list(world.almanac.holiday_names),
        "words": list(vocabulary_texts()),
        "effects": {
            "base": np.round(base(), _DECIMALS).tolist(),
            "season": world.season.tolist(),
            "weekday": world.weekday.tolist(),
            "holiday": world.holiday.tolist(),
            "weather": world.weather.tolist(),
            "country": world.country.tolist(),
        },
    }


def _rounded(values: Floats) -> Any:
    return pa.array(np.round(values, _DECIMALS))


def _lists(values: Any, width: int) -> Any:
    return pa.FixedSizeListArray.from_arrays(values, width)


def _matrix(column: Any) -> Any:
    return np.array(column.to_pylist())
