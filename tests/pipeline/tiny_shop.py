"""A shop small enough to be imported in a moment, and its configuration."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import Config, parse_config

DAY = 86_400
START = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
DAYS = 100
USERS, ITEMS, EVENTS = 24, 30, 1200
EVENT_TYPES = ("view", "cart", "purchase")


def write_shop(folder: Path, *, events: int = EVENTS, seed: int = 1) -> None:
    """Writes events.csv and items.csv; one event names an item that does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    seconds = np.sort(random.integers(0, DAYS * DAY, events)) + int(START.timestamp())
    users, items = random.integers(0, USERS, events), random.integers(0, ITEMS, events)
    types, searched = random.integers(0, len(EVENT_TYPES), events), random.random(events) < 0.2
    lines = ["user_id,item_id,timestamp,event_type,query,country"]
    for row in range(events):
        query = f"thing {items[row]}" if searched[row] else ""
        country = ("GB", "DE")[users[row] % 2]
        lines.append(f"u{users[row]},i{items[row]},{seconds[row]},{EVENT_TYPES[types[row]]},{query},{country}")
    lines.append(f"u0,nothing,{seconds[0]},view,,GB")
    (folder / "events.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    catalogue = [f"i{item},thing {item},brand {item % 4},top > leaf {item % 5},{item + 0.5}" for item in range(ITEMS)]
    text = "\n".join(["item_id,title,brand,category,price", *catalogue])
    (folder / "items.csv").write_text(text + "\n", encoding="utf-8")


def shop_config(folder: Path, **sections: Any) -> Config:
    """The configuration of the shop in `folder`; sections replace those given here."""
    tree: dict[str, Any] = {
        "name": "tiny",
        "tables": {
            "events": {
                "path": str(folder / "events.csv"),
                "cleaning": [{"rule": "unknown_reference", "column": "item_id"}],
            },
            "items": {"path": str(folder / "items.csv")},
        },
        "split": {"test_start": "2024-03-27", "test_days": 14, "validation_days": 14},
        "features": {"history": {"length": 4}, "context": ["country"]},
        "runner": {"event_buckets": 3},
    }
    return parse_config({**tree, **sections})
