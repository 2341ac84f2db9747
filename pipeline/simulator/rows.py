"""The tables' rows: Arrow tables with the canonical column names, from the simulator's arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.simulator.almanac import day_of
from pipeline.simulator.arrays import Ints
from pipeline.simulator.assortment import ASSORTMENTS, COUNTRIES, WEATHERS
from pipeline.simulator.catalogue import SLOTS, vocabulary_texts
from pipeline.simulator.events import EVENT_TYPES, PURCHASE, QUERY_FORMS, RATE, Events
from pipeline.simulator.world import World


class RowMaker:
    """Turns the arrays of `world` into tables."""

    def __init__(self, world: World) -> None:
        self._world = world
        catalogue, customers = world.catalogue, world.customers
        self._users = pa.array(customers.user_ids)
        self._items = pa.array(catalogue.item_ids)
        self._nouns = pa.array(catalogue.nouns)
        self._words_before = pa.array([f"{word} " for word in vocabulary_texts()])
        self._types = pa.array(EVENT_TYPES)
        self._countries = pa.array(COUNTRIES)
        self._weathers = pa.array(WEATHERS)
        self._holidays = pa.array(world.almanac.holiday_names)

    def users(self) -> Any:
        """Returns the users table."""
        return pa.table(
            {"user_id": self._users, "country": self._countries.take(pa.array(self._world.customers.country))}
        )

    def items(self) -> Any:
        """Returns the items table, sorted by item_id."""
        catalogue = self._world.catalogue
        paths = pa.array([assortment.path for assortment in ASSORTMENTS])
        table = pa.table(
            {
                "item_id": self._items,
                "title": pa.array(catalogue.titles),
                "description": pa.array(catalogue.descriptions),
                "brand": pa.array(catalogue.brands),
                "category": paths.take(pa.array(catalogue.category)),
                "price": pa.array(catalogue.price),
                "attributes": pa.array(catalogue.attributes),
            }
        )
        return table.take(pa.array(file_order(self._world)))

    def events(self, events: Events) -> Any:
        """Returns the events as rows of the events table."""
        almanac = self._world.almanac
        day = day_of(self._world.plan, events.timestamp)
        sold = (events.stage == PURCHASE) | (events.quantity > 0)
        price = np.where(sold, self._world.catalogue.price[events.item], np.nan)
        value = np.where(events.stage == PURCHASE, np.round(price * events.quantity, 2), np.nan)
        value = np.where(events.stage == RATE, events.stars, value)
        bought = np.where(events.stage == PURCHASE, events.session, -1)
        return pa.table(
            {
                "user_id": _take(self._users, events.user),
                "item_id": _take(self._items, events.item),
                "timestamp": pa.array(events.timestamp, pa.timestamp("s", tz="UTC")),
                "event_type": self._types.take(pa.array(events.stage)),
                "value": pa.array(value, mask=np.isnan(value)),
                "quantity": pa.array(events.quantity, mask=events.quantity == 0),
                "price": pa.array(price, mask=np.isnan(price)),
                "query": self._queries(events),
                "order_id": _numbered("O", bought),
                "session_id": _numbered("S", events.session),
                "country": self._countries.take(pa.array(events.country)),
                "holiday": self._holidays.take(pa.array(almanac.holiday[events.country, day])),
                "weather": self._weathers.take(pa.array(almanac.weather[events.country, day])),
            }
        )

    def _queries(self, events: Events) -> Any:
        words = self._world.catalogue.words[events.query_item]
        parts = []
        for column, slot in reversed(list(enumerate(SLOTS))):
            asked = np.array([slot in form for form in QUERY_FORMS])[events.query_form]
            parts.append(_take(self._words_before, np.where(asked, words[:, column], -1)))
        return pc.binary_join_element_wise(*parts, _take(self._nouns, events.query_item), "")


def file_order(world: World) -> Ints:
    """Returns the rows of the catalogue in the order of the items file, `[items]`."""
    return np.argsort(np.array(world.catalogue.item_ids), kind="stable")


def _take(texts: Any, rows: Ints) -> Any:
    return pc.fill_null(texts.take(pa.array(rows, mask=rows < 0)), "")


def _numbered(prefix: str, numbers: Ints) -> Any:
    digits = pc.utf8_lpad(pc.cast(pa.array(numbers + 1, mask=numbers < 0), pa.string()), 9, "0")
    return pc.fill_null(pc.binary_join_element_wise(prefix, digits, ""), "")
