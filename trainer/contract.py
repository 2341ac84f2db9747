"""What the served signatures take and answer, said once: the graph, its defaults and contract.json are made of it."""

from __future__ import annotations

import datetime
import importlib.metadata
from dataclasses import dataclass
from typing import Any

from pipeline import schema
from pipeline.config import Config

FORMAT = 1
CONTRACT_FILE = "assets.extra/contract.json"
RECOMMEND, SEARCH, SIMILAR_ITEMS, EMBED_ITEMS, RANK = "recommend", "search", "similar_items", "embed_items", "rank"
SERVING_DEFAULT = "serving_default"
EXCLUDE, K, CANDIDATES = "exclude_item_ids", "k", "candidate_item_ids"
_MAX_INT32 = 2**31 - 1


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


def signature_contracts(config: Config) -> dict[str, SignatureContract]:
    """Lists the signatures of a shop's model by name, `serving_default` being `recommend`.

    Args:
      config: the shop; without `features.query` there is no `search`, and no input `query`.
    """
    user = Port(schema.RAW_USER_ID, "string", 1, 'who asks; "" for an anonymous visitor')
    optional_user = Port(user.name, user.dtype, 1, user.meaning, "")
    moment, answer = _moment_ports(config), _answer_ports(config)
    query = Port(schema.RAW_QUERY, "string", 1, "the words that the visitor typed")
    optional_query = (Port(query.name, "string", 1, query.meaning, ""),) if config.features.query else ()
    ranked = _ranked_ports()
    item = Port(schema.RAW_ITEM_ID, "string", 1, "the item that others shall resemble")
    candidates = Port(CANDIDATES, "string", 2, 'the items to score; "" pads')
    scores = Port("scores", "float32", 2, "the fit of each candidate, minus infinity for an unknown item")
    vectors = Port("embedding", "float32", 2, "the vector of each item, of length 1")
    contracts = [
        SignatureContract(RECOMMEND, (user, *moment, *optional_query, *answer), ranked),
        SignatureContract(SIMILAR_ITEMS, (item, *answer), ranked),
        SignatureContract(EMBED_ITEMS, _item_ports(), (vectors,)),
        SignatureContract(RANK, (user, candidates, *moment, *optional_query), (scores,)),
    ]
    if config.features.query:
        contracts.append(SignatureContract(SEARCH, (query, optional_user, *moment, *answer), ranked))
    named = {contract.name: contract for contract in contracts}
    return {**named, SERVING_DEFAULT: named[RECOMMEND]}


def describe_model(
    config: Config, *, items: int, dimension: int, period: tuple[int, int], now: datetime.datetime
) -> dict[str, Any]:
    """Makes the content of contract.json.

    Args:
      config: the shop.
      items: size of the catalogue.
      dimension: width of the vectors.
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
        "history_length": config.features.history.length,
        "dimension": dimension,
        "items": items,
        "event_types": list(schema.EVENT_TYPES),
        "context": list(config.features.context),
        "holiday_country": config.features.holiday_country,
        "encoder": {"kind": encoder.kind, "preset": encoder.preset, "mode": encoder.mode},
        "data": {"first_event": period[0], "last_event": period[1], **_learned(config, period[1])},
        "signatures": {name: contract.describe() for name, contract in signature_contracts(config).items()},
    }


def _learned(config: Config, last_event: int) -> dict[str, int]:
    """Says which events the model has not learned from, so that it can be judged fairly by later ones."""
    test = datetime.datetime.combine(config.split.test_start, datetime.time(), datetime.UTC)
    validation = test - datetime.timedelta(days=config.split.validation_days)
    stopped, end = int(validation.timestamp()), int(test.timestamp())
    return {
        "stopped_before": stopped,  # the model that the validation window stopped
        "learned_before": min(end, last_event + 1) if config.training.refit else stopped,
    }


def _moment_ports(config: Config) -> tuple[Port, ...]:
    """The time, the history and the context of a request; all of it may be missing."""
    length = config.features.history.length
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
        *(
            Port(name, "string", 1, f'context: {_context_meaning(name)}; "" for unknown', "")
            for name in config.features.context
        ),
    )


def _context_meaning(name: str) -> str:
    column = schema.columns_by_name("events").get(name)
    return name if column is None else column.meaning.removeprefix("context: ")


def _answer_ports(config: Config) -> tuple[Port, ...]:
    return (
        Port(EXCLUDE, "string", 2, 'items that must not be answered; "" is ignored', ""),
        Port(K, "int32", 1, "how many items to answer, at least 1", min(config.serving.default_k, _MAX_INT32)),
    )


def _ranked_ports() -> tuple[Port, ...]:
    return (
        Port("item_ids", "string", 2, 'the best items, best first; "" pads'),
        Port("scores", "float32", 2, "their scores, descending; minus infinity where padded"),
        Port("titles", "string", 2, 'their titles; "" pads'),
    )


def _item_ports() -> tuple[Port, ...]:
    title = Port("title", "string", 1, "the product's name")
    meanings = {column.name: column.meaning for column in schema.ITEM_COLUMNS}
    others = tuple(Port(name, "string", 1, meanings[name], "") for name in schema.RAW_ITEM_TEXTS if name != title.name)
    item = Port(schema.RAW_ITEM_ID, "string", 1, 'the item; "" or an unknown one for a product that is new', "")
    price = Port(schema.RAW_PRICE, "float32", 1, f"{meanings[schema.RAW_PRICE]}; 0 for unknown", 0.0)
    return (title, item, *others, price)
