"""What the served signatures take and answer, said once: the graph, its defaults and contract.json are made of it."""

from __future__ import annotations

import datetime
import importlib.metadata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import schema
from pipeline.config import Config
from trainer.days import DAY, midnight

FORMAT = 1
CONTRACT_FILE = "assets.extra/contract.json"
RECOMMEND, SEARCH, SIMILAR_ITEMS, EMBED_ITEMS, RANK = "recommend", "search", "similar_items", "embed_items", "rank"
SERVING_DEFAULT = "serving_default"
EXCLUDE, INCLUDE, K, CANDIDATES = "exclude_item_ids", "include_item_ids", "k", "candidate_item_ids"
CATEGORIES, EXCLUDE_CATEGORIES, BRANDS = "categories", "exclude_categories", "brands"
MIN_PRICE, MAX_PRICE, IN_STOCK, MIN_RATING = "min_price", "max_price", "in_stock_only", "min_rating"
FACETS, FACET_SIZE, TOTAL = "facets", "facet_size", "total"
BOOST_ITEMS, BOOSTS = "boost_item_ids", "boosts"
PURCHASE, RATING, PRICE = "purchase", "rating", "price"
PRICES, SIMILARITIES, MATCHED_WORDS, NAMED = "prices", "similarities", "matched_words", "named"
DIVERSITY, MAX_PER_CATEGORY = "diversity", "max_per_category"
_MAX_INT32, _FACETS_SHOWN = 2**31 - 1, 20


@dataclass(frozen=True)
class Port:
    """One input or output of a signature.

    Args:
      name: its name on the wire.
      dtype: string, int64, int32 or float32.
      rank: 1 for [batch], 2 for [batch, n].
      meaning: one line for people.
      default: what a missing input means; None where it is required, and for outputs.
    """

    name: str
    dtype: str
    rank: int
    meaning: str
    default: str | int | float | None = None

    @property
    def required(self) -> bool:
        """Whether a request must bring it."""
        return self.default is None

    def describe(self) -> dict[str, Any]:
        """Returns the entry of contract.json without what only inputs have."""
        return {"dtype": self.dtype, "shape": [-1] * self.rank, "meaning": self.meaning}


@dataclass(frozen=True)
class SignatureContract:
    """One signature: its inputs, the required ones first, and its outputs."""

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def describe(self) -> dict[str, Any]:
        """Returns the entry of contract.json."""
        inputs = {
            port.name: {**port.describe(), "required": port.required, "default": port.default} for port in self.inputs
        }
        return {"inputs": inputs, "outputs": {port.name: port.describe() for port in self.outputs}}


def signature_contracts(
    config: Config, columns: Collection[str] = (), heads: Collection[str] = ()
) -> dict[str, SignatureContract]:
    """Lists the signatures of a shop's model by name, `serving_default` being `recommend`.

    Args:
      config: the shop; without `features.query` there is no `search`, and no input `query`.
      columns: of price, brand, category and stock those that the shop's items have: requests filter by them.
      heads: of rating and price those that the model has: `rank` answers them.
    """
    user = Port(schema.RAW_USER_ID, "string", 1, 'who asks; "" for an anonymous visitor')
    optional_user = Port(user.name, user.dtype, 1, user.meaning, "")
    moment, filters = _moment_ports(config), _filter_ports(columns)
    answer = (*_answer_ports(config, columns), *filters)
    query = Port(schema.RAW_QUERY, "string", 1, "what the visitor typed: words, item id, model number, brand")
    optional_query = (
        (Port(query.name, "string", 1, "the words that the visitor typed", ""),) if config.features.query else ()
    )
    ranked = _ranked_ports(columns)
    item = Port(schema.RAW_ITEM_ID, "string", 1, "the item that others shall resemble")
    candidates = Port(CANDIDATES, "string", 2, 'the items to score; "" pads')
    scores = Port("scores", "float32", 2, "the fit of each candidate, minus infinity for an unknown or filtered item")
    vectors = Port("embedding", "float32", 2, "the vector of each item, of length 1")
    contracts = [
        SignatureContract(RECOMMEND, (user, *moment, *optional_query, *answer), ranked),
        SignatureContract(SIMILAR_ITEMS, (item, *answer), ranked),
        SignatureContract(EMBED_ITEMS, _item_ports(), (vectors,)),
        SignatureContract(RANK, (user, candidates, *moment, *optional_query, *filters), (scores, *_head_ports(heads))),
    ]
    if config.features.query:
        contracts.append(
            SignatureContract(SEARCH, (query, optional_user, *moment, *answer), (*ranked, *_reason_ports()))
        )
        size = Port(FACET_SIZE, "int32", 1, "how many categories and brands to count, at least 1", _FACETS_SHOWN)
        if columns:
            contracts.append(SignatureContract(FACETS, (query, size, *filters), _facet_ports(columns)))
    named = {contract.name: contract for contract in contracts}
    return {**named, SERVING_DEFAULT: named[RECOMMEND]}


def describe_model(
    config: Config,
    contracts: Mapping[str, SignatureContract],
    *,
    items: int,
    dimension: int,
    heads: Sequence[str],
    period: tuple[int, int],
    now: datetime.datetime,
) -> dict[str, Any]:
    """Makes the content of contract.json.

    Args:
      config: the shop.
      contracts: what `signature_contracts` lists.
      items: size of the catalogue.
      dimension: width of the vectors.
      heads: what is predicted of customer and item; without a ranking stage not even the purchase.
      period: first and last event that the pipeline saw, seconds since 1970 UTC.
      now: the moment of the export.
    """
    encoder = config.encoder
    return {
        "format": FORMAT,
        "name": config.serving.name,
        "shop": config.name,
        "aisle_version": importlib.metadata.version("aisle"),
        "created": now.isoformat(timespec="seconds"),
        "default_k": config.serving.default_k,
        "history_length": config.history_length,
        "dimension": dimension,
        "items": items,
        "event_types": list(schema.EVENT_TYPES),
        "heads": list(heads),
        "context": list(config.features.context),
        "holiday_country": config.features.holiday_country,
        "encoder": {"kind": encoder.kind, "preset": encoder.preset, "mode": encoder.mode},
        "data": {"first_event": period[0], "last_event": period[1], **learned_until(config, period[1])},
        "signatures": {name: contract.describe() for name, contract in contracts.items()},
    }


def learned_until(config: Config, last_event: int) -> dict[str, int]:
    """Says which events a model has not learned from, so that it can be judged fairly by later ones.

    Args:
      config: the shop.
      last_event: the last that the pipeline saw, seconds since 1970 UTC.

    Returns:
      The moments before which the model that the validation window stopped, and the one that is pushed, have learned.
    """
    end = midnight(config.split.test_start)
    stopped = end - config.split.validation_days * DAY
    return {
        "stopped_before": stopped,  # the model that the validation window stopped
        "learned_before": min(end, last_event + 1) if config.training.refit else stopped,
    }


def _moment_ports(config: Config) -> tuple[Port, ...]:
    """The time, the history and the context of a request; all of it may be missing."""
    length = config.history_length
    usual = config.split.truth_events[0]
    return (
        Port(schema.RAW_TIMESTAMP, "int64", 1, "when, seconds since 1970 UTC; 0 means now", 0),
        Port(
            schema.RAW_HISTORY_ITEM_IDS,
            "string",
            2,
            f'items that the visitor met before, newest first; "" pads, the first {length} count',
            "",
        ),
        Port(schema.RAW_HISTORY_EVENT_TYPES, "string", 2, f'what happened with them; "" means {usual}', ""),
        Port(schema.RAW_HISTORY_AGES_DAYS, "float32", 2, "how many days ago that was", 0.0),
        Port(schema.RAW_HISTORY_QUANTITIES, "float32", 2, "how many pieces; 0 for unknown, which counts as 1", 0.0),
        *(
            Port(name, "string", 1, f'context: {_context_meaning(name)}; "" for unknown', "")
            for name in config.features.context
        ),
    )


def _context_meaning(name: str) -> str:
    column = schema.columns_by_name("events").get(name)
    return name if column is None else column.meaning.removeprefix("context: ")


def _answer_ports(config: Config, columns: Collection[str]) -> tuple[Port, ...]:
    """How many items, and which mixture of them."""
    cap = Port(MAX_PER_CATEGORY, "int32", 1, "how many items of one whole category path at most; 0 sets no limit", 0)
    return (
        Port(K, "int32", 1, "how many items to answer, at least 1", min(config.serving.default_k, _MAX_INT32)),
        Port(BOOST_ITEMS, "string", 2, 'items to lift or to lower; "" is ignored', ""),
        Port(
            BOOSTS, "float32", 2, "by how many standard deviations of the scores, -100 to 100; one number for all", 0.0
        ),
        Port(DIVERSITY, "float32", 1, "0 ranks by fit alone, 1 by distance to the items before; k up to 1000", 0.0),
        *((cap,) if schema.ITEM_CATEGORY in columns else ()),
    )


def _filter_ports(columns: Collection[str]) -> tuple[Port, ...]:
    """Which items may be answered at all."""
    path = 'a whole path or its first parts, as in "Home > Kitchen"'
    filters = {
        schema.ITEM_CATEGORY: (
            Port(CATEGORIES, "string", 2, f'only items of these categories, each {path}; "" is ignored', ""),
            Port(EXCLUDE_CATEGORIES, "string", 2, f'no items of these categories, each {path}; "" is ignored', ""),
        ),
        schema.ITEM_BRAND: (Port(BRANDS, "string", 2, 'only items of these brands; "" is ignored', ""),),
        schema.RAW_PRICE: (
            Port(MIN_PRICE, "float32", 1, "only items that cost at least so much; 0 sets no limit", 0.0),
            Port(MAX_PRICE, "float32", 1, "only items that cost at most so much; 0 sets no limit", 0.0),
        ),
        schema.ITEM_RATING: (
            Port(MIN_RATING, "float32", 1, "only items with at least so many stars on average; 0 sets no limit", 0.0),
        ),
        schema.ITEM_STOCK: (Port(IN_STOCK, "int32", 1, "1: no items that were out of stock; 0: all", 0),),
    }
    return (
        Port(EXCLUDE, "string", 2, 'items that must not be answered; "" is ignored', ""),
        Port(INCLUDE, "string", 2, 'only these items may be answered; "" is ignored, none at all means all', ""),
        *(port for column, ports in filters.items() if column in columns for port in ports),
    )


def _ranked_ports(columns: Collection[str]) -> tuple[Port, ...]:
    prices = Port(PRICES, "float32", 2, "what they cost; 0 where unknown and where padded")
    return (
        Port("item_ids", "string", 2, 'the best items, best first; "" pads'),
        Port("scores", "float32", 2, "their scores, descending where diversity is 0; minus infinity where padded"),
        Port("titles", "string", 2, 'their titles; "" pads'),
        *((prices,) if schema.RAW_PRICE in columns else ()),
    )


def _reason_ports() -> tuple[Port, ...]:
    """Why a search answers an item."""
    return (
        Port(SIMILARITIES, "float32", 2, "how near its meaning is to that of the request, -1 to 1; 0 where padded"),
        Port(MATCHED_WORDS, "string", 2, "the words of the query, as they were read, that its texts have"),
        Port(NAMED, "int32", 2, "1 where the query names it (item id, model number, brand) or quotes its title"),
    )


def _facet_ports(columns: Collection[str]) -> tuple[Port, ...]:
    """How many items of a result set there are of each kind."""
    counts = {
        schema.ITEM_CATEGORY: (
            Port("category_values", "string", 2, 'categories and those that they lie in, most items first; "" pads'),
            Port("category_counts", "int32", 2, "items of each; 0 pads"),
        ),
        schema.ITEM_BRAND: (
            Port("brand_values", "string", 2, 'brands, most items first; "" pads'),
            Port("brand_counts", "int32", 2, "items of each; 0 pads"),
        ),
        schema.RAW_PRICE: (
            Port("price_from", "float32", 2, "where ranges of prices start; each ends where the next one starts"),
            Port("price_counts", "int32", 2, "items with a known price in each range"),
        ),
        schema.ITEM_RATING: (
            Port("rating_from", "float32", 2, "stars"),
            Port("rating_counts", "int32", 2, "items with at least so many"),
        ),
        schema.ITEM_STOCK: (Port("in_stock_count", "int32", 1, "items that were not out of stock"),),
    }
    total = Port(TOTAL, "int32", 1, "items that the filters allow and that are relevant to the query; all, without one")
    return (total, *(port for column, ports in counts.items() if column in columns for port in ports))


def _head_ports(heads: Collection[str]) -> tuple[Port, ...]:
    """What else is predicted of each candidate."""
    meanings = {
        RATING: "the stars, 1 to 5, that the customer would give each candidate; 0 for an unknown or filtered item",
        PRICE: "what the customer would pay for each candidate, by what it is and not by what it costs; 0 as before",
    }
    return tuple(Port(name, "float32", 2, meaning) for name, meaning in meanings.items() if name in heads)


def _item_ports() -> tuple[Port, ...]:
    title = Port("title", "string", 1, "the product's name")
    meanings = {column.name: column.meaning for column in schema.ITEM_COLUMNS}
    others = tuple(Port(name, "string", 1, meanings[name], "") for name in schema.RAW_ITEM_TEXTS if name != title.name)
    item = Port(schema.RAW_ITEM_ID, "string", 1, 'the item; "" or an unknown one for a product that is new', "")
    price = Port(schema.RAW_PRICE, "float32", 1, f"{meanings[schema.RAW_PRICE]}; 0 for unknown", 0.0)
    return (title, item, *others, price)
