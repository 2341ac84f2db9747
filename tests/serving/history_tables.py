"""A histories.parquet as a run writes it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

AS_OF = 1_700_000_000
DAY = 86_400
HISTORY = ("history_item_ids", "history_event_types", "history_timestamps", "history_quantities")
NAMES = ("user_id", *HISTORY, "seen_item_ids", "country")


def write_histories(path: Path) -> None:
    """Two users: anna in France with three events, bert in Germany with one that is older than a week."""
    anna = (
        "anna",
        ["bread", "dates", "bread"],
        ["view", "purchase", "view"],
        [AS_OF - DAY, AS_OF - 2 * DAY, AS_OF - 30 * DAY],
        [0.0, 6.0, 0.0],
        ["dates"],
        "FR",
    )
    bert = ("bert", ["eggs"], ["purchase"], [AS_OF - 20 * DAY], [12.0], ["eggs"], "DE")
    table = pa.table([list(column) for column in zip(anna, bert, strict=True)], names=list(NAMES))
    pq.write_table(table.replace_schema_metadata({b"as_of": str(AS_OF).encode()}), path)
