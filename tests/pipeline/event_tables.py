"""Random tables of clean events, and what their examples and cases must be, said the slow way."""

import datetime
import math
from collections import Counter
from typing import Any

import holidays
import numpy as np
import pyarrow as pa

from pipeline.config import Config, parse_config
from pipeline.windows import Windows, plan_windows

DAY = 86_400
START = int(datetime.datetime(2023, 11, 20, tzinfo=datetime.UTC).timestamp())
DAYS = 60
TEST_START = datetime.date(2024, 1, 9)  # day 50; validation begins on day 40, 2023-12-30
ITEM_IDS = pa.array([f"i{number}" for number in range(12)])  # events also name i12, i13 and i14
TYPES = ("view", "click", "cart", "purchase", "rate", "search")
USERS = pa.table({"user_id": [f"u{number}" for number in range(0, 30, 2)], "country": ["DE", "FR", ""] * 5})

Row = dict[str, Any]


def make_config(**sections: Any) -> Config:
    """A configuration with every context column that is filled in some way, and one that never is."""
    tree: dict[str, Any] = {
        "name": "shop",
        "tables": {"events": {"path": "events.csv"}, "items": {"path": "items.csv"}},
        "split": {
            "test_start": TEST_START,
            "test_days": 7,
            "validation_days": 10,
            "truth_events": ["purchase", "rate"],
        },
        "features": {
            "history": {"length": 3},
            "context": ["country", "holiday", "weather", "place"],
            "holiday_country": "GB",
            "user_buckets": 50,
        },
        "training": {"event_weights": {"purchase": 1.0, "cart": 0.25, "rate": 0.5}},
    }
    return parse_config({**tree, **sections})


def random_events(seed: int, count: int = 800) -> list[Row]:
    """Rows of users, sessions and strangers; many share their moment with others of the same visitor."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        kind = TYPES[random.integers(len(TYPES))]
        who = int(random.integers(30))
        anonymous = random.random() < 0.3
        session = "" if random.random() < 0.4 else f"s{who}-{random.integers(3)}"
        # Six moments a day, so that equal timestamps are common.
        timestamp = START + int(random.integers(DAYS)) * DAY + int(random.integers(6)) * 14_400
        rows.append(
            {
                "user_id": "" if anonymous else f"u{who}",
                "item_id": "" if kind == "search" else f"i{random.integers(15)}",
                "timestamp": timestamp,
                "event_type": kind,
                "value": float(random.integers(1, 6)) if kind == "rate" else float("nan"),
                "quantity": float(timestamp // 14_400 % 4) or float("nan"),
                "query": f"query {random.integers(4)}" if random.random() < 0.4 else "",
                "session_id": session,
                "country": "GB" if random.random() < 0.2 else "",
                "holiday": "Sale" if random.random() < 0.1 else "",
                "weather": ("rain", "sun", "")[random.integers(3)],
            }
        )
    return rows


def events_table(rows: list[Row]) -> pa.Table:
    """The table that `pipeline.tables` makes of the rows: with `visitor`, sorted by (visitor, timestamp), stable."""
    named = [{**row, "visitor": visitor_of(row)} for row in rows]
    named.sort(key=lambda row: (row["visitor"], row["timestamp"]))
    return pa.Table.from_pylist(named)


def visitor_of(row: Row) -> str:
    """The visitor column's value."""
    return row["user_id"] or (f"session:{row['session_id']}" if row["session_id"] else "")


def make_windows(config: Config, rows: list[Row]) -> Windows:
    """The windows over the rows."""
    times = [row["timestamp"] for row in rows]
    return plan_windows(config.split, min(times), max(times))


def expected_history(rows: list[Row], visitor: str, moment: int, length: int) -> list[Row]:
    """The newest item events of a visitor strictly before a moment, newest first; strangers have none."""
    if not visitor:
        return []
    past = [row for row in rows if visitor_of(row) == visitor and row["timestamp"] < moment and row["item_id"]]
    past.sort(key=lambda row: row["timestamp"])
    return past[::-1][:length]


def expected_quantity(row: Row) -> float:
    """How many pieces, 0 where the table says none."""
    return 0.0 if math.isnan(row["quantity"]) else float(row["quantity"])


def expected_context(row: Row) -> Row:
    """The context columns of an event."""
    day = datetime.datetime.fromtimestamp(row["timestamp"], datetime.UTC).date()
    return {
        "country": row["country"] or country_of(row["user_id"]),
        "holiday": row["holiday"] or holidays.country_holidays("GB").get(day, ""),
        "weather": row["weather"],
        "place": "",
    }


def country_of(user_id: str) -> str:
    """The country in the users table."""
    return dict(zip(USERS["user_id"].to_pylist(), USERS["country"].to_pylist(), strict=True)).get(user_id, "")


def is_truth(config: Config, row: Row) -> bool:
    """Whether the event is a hit."""
    return row["event_type"] in config.split.truth_events and row["item_id"] in ITEM_IDS.to_pylist()


def seen_before(config: Config, rows: list[Row], visitor: str, moment: int) -> Counter[str]:
    """How often a visitor had truth events with each item before a moment."""
    return Counter(
        row["item_id"]
        for row in rows
        if visitor and visitor_of(row) == visitor and row["timestamp"] < moment and is_truth(config, row)
    )
