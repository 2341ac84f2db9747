"""A small shop whose customers each keep to one block of items, as a log and cases."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from shop_tables import DAY, case, write_cases, write_items

from trainer.cases import Cases, read_cases
from trainer.event_log import EventLog

END = 1_000 * DAY
BLOCKS, BLOCK, USERS = 3, 10, 48
ITEMS = np.array([f"item{row:02}" for row in range(BLOCKS * BLOCK)])
DAYS = 120


def block_of_user(user: int) -> int:
    return user % BLOCKS


def block_shop(folder: Path, seed: int = 0) -> tuple[EventLog, Cases]:
    """Customers order three items of their block every ten days or so, and favourites of theirs more often.

    The first customers of the cases are new, and one case names nobody.
    """
    generator = np.random.default_rng(seed)
    events, rows = [], []
    for user in range(USERS):
        chances = generator.dirichlet(np.full(BLOCK, 0.7))
        items = block_of_user(user) * BLOCK + np.arange(BLOCK)
        start = END - (DAYS if user >= BLOCKS else 0) * DAY
        bought: list[int] = []
        for order, moment in enumerate(np.arange(start, END, 10 * DAY) + generator.integers(5 * DAY)):
            for item in generator.choice(items, 3, p=chances):
                price = 1.0 + item % 7
                events.append((f"u{user}", ITEMS[item], moment, f"o{user}-{order}", generator.integers(1, 5), price))
                bought.append(int(item))
        truth = sorted({ITEMS[item] for item in generator.choice(items, 4, p=chances)})
        seen, counts = np.unique(bought, return_counts=True)
        known = {"seen_item_ids": list(ITEMS[seen]), "seen_counts": counts.tolist()} if bought else {}
        rows.append(case(user_id=f"u{user}", warm=bool(bought), truth=truth, **known))
    _write_events(folder, events)
    write_items(folder, [{"item_id": item, "title": f"thing {row}"} for row, item in enumerate(ITEMS)])
    write_cases(folder, test=[*rows, case(truth=[ITEMS[0]])])
    return EventLog(str(folder), ITEMS, end=END, event_types=("purchase",)), read_cases(str(folder), ITEMS)[1]


def _write_events(folder: Path, events: list[tuple]) -> None:
    names = ("user_id", "item_id", "timestamp", "order_id", "quantity", "price")
    kinds = {"timestamp": pa.int64(), "quantity": pa.float64(), "price": pa.float64()}
    (folder / "events").mkdir(parents=True)
    for bucket in range(2):
        kept = [event for event in events if int(event[0][1:]) % 2 == bucket]
        columns = {
            name: pa.array([event[place] for event in kept], kinds.get(name, pa.string()))
            for place, name in enumerate(names)
        }
        table = pa.table({**columns, "event_type": ["purchase"] * len(kept)})
        pq.write_table(table, folder / "events" / f"bucket-{bucket:05d}.parquet")
