"""The one column table: every column and feature name that aisle knows, said once.

Three layers carry names through the system, in the order in which data meets them:

1. the shop's tables, mapped to canonical columns (`USER_COLUMNS`, `ITEM_COLUMNS`, `EVENT_COLUMNS`);
2. the raw `tf.Example`s (`RAW_*`), one per positive event and one per item, which are also the
   inputs of the served signatures;
3. the transformed features (`FEATURE_*`) that the towers read.

No TensorFlow here: the command line, the tables and the client import this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["string", "int", "float", "timestamp"]


@dataclass(frozen=True)
class Column:
    """One canonical column of a table.

    Args:
      name: the canonical name, used everywhere after the tables are read.
      kind: the type that a value must have; a `timestamp` is kept as int64 seconds since 1970 UTC.
      required: whether a row without it is dropped (and counted).
      meaning: one line for people; the README and the error messages print it.
    """

    name: str
    kind: Kind
    required: bool
    meaning: str


USER_COLUMNS: tuple[Column, ...] = (
    Column("user_id", "string", True, "who: any string that stays the same for one customer"),
    Column("country", "string", False, "where the customer lives"),
)

ITEM_COLUMNS: tuple[Column, ...] = (
    Column("item_id", "string", True, "what: any string that stays the same for one product"),
    Column("title", "string", False, "the product's name as customers see it"),
    Column("description", "string", False, "a longer text"),
    Column("brand", "string", False, "who makes it"),
    Column("category", "string", False, "a path, parts joined by ' > '"),
    Column("price", "float", False, "in the shop's currency; more than zero"),
    Column("stock", "float", False, "how many are there, 0 for none; empty counts as there"),
    Column("rating", "float", False, "the mean of its customers' stars, 1 to 5; 0 or empty for none"),
)

EVENT_COLUMNS: tuple[Column, ...] = (
    Column("user_id", "string", False, "who; empty for an anonymous visitor"),
    Column("item_id", "string", False, "what; empty for a search that led to no item"),
    Column("timestamp", "timestamp", True, "when, UTC"),
    Column("event_type", "string", True, "one of EVENT_TYPES"),
    Column("value", "float", False, "what the event says in a number: the stars of a rating, the sum of a purchase"),
    Column("quantity", "float", False, "how many"),
    Column("price", "float", False, "price of one piece at that moment"),
    Column("query", "string", False, "the search text that led here"),
    Column("position", "float", False, "the place in the list where the item was chosen, 0 at the top"),
    Column("order_id", "string", False, "the order or invoice"),
    Column("session_id", "string", False, "the visit"),
    Column("title", "string", False, "the item's name in this row, where items are derived from events"),
    Column("country", "string", False, "context: the country of this event"),
    Column("holiday", "string", False, "context: the holiday's name, empty on other days"),
    Column("weather", "string", False, "context: the weather at the customer's place"),
    Column("place", "string", False, "context: the shop, page or device where it happened"),
)

TABLES: dict[str, tuple[Column, ...]] = {"users": USER_COLUMNS, "items": ITEM_COLUMNS, "events": EVENT_COLUMNS}

EVENT_TYPES: tuple[str, ...] = ("view", "click", "cart", "purchase", "rate", "search")

# Context columns of EVENT_COLUMNS. Others that a shop maps under `columns` join them by configuration.
CONTEXT_COLUMNS: tuple[str, ...] = ("country", "holiday", "weather", "place")

CATEGORY_SEPARATOR = " > "

# Item columns by which requests may filter, beside RAW_PRICE; they are not features.
ITEM_BRAND, ITEM_CATEGORY, ITEM_STOCK, ITEM_RATING = "brand", "category", "stock", "rating"

# --- raw examples: one per positive event -------------------------------------------------------
# H = features.history.length. Histories are newest first and padded at the end.
RAW_USER_ID = "user_id"  # string [1], "" for an anonymous visitor
RAW_TIMESTAMP = "timestamp"  # int64 [1], seconds since 1970 UTC: the moment of the request
RAW_HISTORY_ITEM_IDS = "history_item_ids"  # string [H], "" pads
RAW_HISTORY_EVENT_TYPES = "history_event_types"  # string [H], "" pads
RAW_HISTORY_AGES_DAYS = "history_ages_days"  # float [H], days before the request, 0 pads
RAW_QUERY = "query"  # string [1], "" where nobody typed
RAW_ITEM_ID = "item_id"  # string [1], the label; in item examples the item
RAW_EVENT_TYPE = "event_type"  # string [1], the label's event type
RAW_VALUE = "value"  # float [1], 0 where the event says none
RAW_WEIGHT = "weight"  # float [1], training.event_weights of the event type
# ... and one string [1] for each context column, under the column's own name.

# --- inputs of requests that are in no example: only the ranking stage reads them --------------
RAW_HISTORY_QUANTITIES = "history_quantities"  # float [n], pieces, 0 where nobody says and for pads

# The parts of a request's history, [n] each, and what pads them.
HISTORY_PADS: dict[str, str | float] = {
    RAW_HISTORY_ITEM_IDS: "",
    RAW_HISTORY_EVENT_TYPES: "",
    RAW_HISTORY_AGES_DAYS: 0.0,
    RAW_HISTORY_QUANTITIES: 0.0,
}

# --- raw examples: one per item -----------------------------------------------------------------
RAW_ITEM_TEXTS: tuple[str, ...] = ("title", "description", "brand", "category")  # string [1] each, "" where unknown
RAW_PRICE = "price"  # float [1], 0 where unknown

# --- transformed features of events -------------------------------------------------------------
# Ids stay strings through Transform (RAW_USER_ID, RAW_HISTORY_ITEM_IDS, RAW_ITEM_ID): the catalogue
# of the trained model maps them to rows, so that an item nobody bought yet has one too.
FEATURE_USER_BUCKET = "user_bucket"  # int64 [1], hash bucket of the user id, 0 for an anonymous visitor
FEATURE_HISTORY_TYPES = "history_types"  # int64 [H], 0 pads, 1 + index in EVENT_TYPES
FEATURE_HISTORY_AGES = "history_ages"  # int64 [H], 0 pads, 1.. logarithmic bucket of the age
FEATURE_HOUR = "hour"  # int64 [1], 0..23
FEATURE_WEEKDAY = "weekday"  # int64 [1], 0 = Monday
FEATURE_MONTH = "month"  # int64 [1], 0..11
FEATURE_QUERY_TOKENS = "query_tokens"  # int64 [T], the encoder's token ids, 0 pads
FEATURE_CONTEXT_PREFIX = "context_"  # int64 [1] each, vocabulary index of a context column, 0 = missing or unknown

AGE_BUCKETS = 32  # number of ids FEATURE_HISTORY_AGES can take, padding included

# --- transformed features of items --------------------------------------------------------------
FEATURE_TEXT = "text"  # string [1], the item's texts joined, as the encoder reads them
FEATURE_TEXT_TOKENS = "text_tokens"  # int64 [T]
FEATURE_BRAND = "brand_index"  # int64 [1], 0 = missing or unknown
FEATURE_CATEGORY = "category_index"  # int64 [1], the whole path, 0 = missing or unknown
FEATURE_CATEGORY_TOP = "category_top_index"  # int64 [1], first part of the path, 0 = missing or unknown
FEATURE_PRICE = "price_scaled"  # float [1], z-score of log(1 + price), 0 where unknown
FEATURE_PRICE_BUCKET = "price_bucket"  # int64 [1], 0 where unknown, 1..10 by deciles

# --- vocabularies that Transform writes, by name ------------------------------------------------
VOCABULARY_BRAND = "brand"
VOCABULARY_CATEGORY = "category"
VOCABULARY_CATEGORY_TOP = "category_top"
# ... and one per context column, named FEATURE_CONTEXT_PREFIX + column.


def columns_by_name(table: str) -> dict[str, Column]:
    """Returns the canonical columns of `table` (`users`, `items` or `events`) by name.

    Raises:
      KeyError: if there is no such table.
    """
    return {column.name: column for column in TABLES[table]}
