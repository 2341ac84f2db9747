"""The tables of the examples, read as their protocols say."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from table_files import (
    SHARED_DATA,
    dropped,
    import_report,
    read_events,
    read_table,
)

from pipeline.config import load_config

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(name="online_retail")
def _online_retail(monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    path = SHARED_DATA / "online-retail" / "transactions.parquet"
    if not path.exists():
        pytest.skip(f"needs the Online Retail table, {path}")
    monkeypatch.setenv("AISLE_DATA", str(SHARED_DATA))
    raw = pd.read_parquet(path)
    return raw[
        raw["CustomerID"].notna()
        & ~raw["InvoiceNo"].str.startswith("C")
        & (raw["Quantity"] > 0)
        & (raw["UnitPrice"] > 0)
    ]


def test_online_retail_is_cleaned_as_the_protocol_says(tmp_path: Path, online_retail: pd.DataFrame) -> None:
    report = import_report(load_config(EXAMPLES / "online_retail.yaml"), tmp_path)
    assert report["events"]["read"] == 457_118
    assert report["events"]["kept"] == len(online_retail) == 336_740
    events = read_events(tmp_path)
    keys = ["user_id", "item_id", "timestamp", "order_id", "quantity", "price"]
    expected = pd.DataFrame(
        {
            "user_id": online_retail["CustomerID"].astype(int).astype(str),
            "item_id": online_retail["StockCode"],
            "timestamp": online_retail["InvoiceDate"].astype("int64") // 10**9,
            "order_id": online_retail["InvoiceNo"],
            "quantity": online_retail["Quantity"].astype(float),
            "price": online_retail["UnitPrice"],
        }
    )
    hashes = [np.sort(pd.util.hash_pandas_object(frame[keys], index=False)) for frame in (events, expected)]
    np.testing.assert_array_equal(*hashes)
    assert set(events["event_type"]) == {"purchase"}
    np.testing.assert_allclose(events["value"], events["quantity"] * events["price"])

    cut = pd.Timestamp("2011-10-14")
    before = online_retail[online_retail["InvoiceDate"] < cut]
    items = read_table(tmp_path / "items.parquet").set_index("item_id")
    assert set(items.index) == set(before["StockCode"])
    assert len(items) == 3_555
    for code in ("85123A", "22423", "POST"):
        titles = before[before["StockCode"] == code]["Description"].str.strip().value_counts()
        assert items.loc[code, "title"] == titles.index[0]
        assert items.loc[code, "price"] == before[before["StockCode"] == code]["UnitPrice"].median()


def test_esci_products_and_behaviour_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (SHARED_DATA / "esci").exists():
        pytest.skip(f"needs the ESCI sample, {SHARED_DATA / 'esci'}")
    monkeypatch.setenv("AISLE_DATA", str(SHARED_DATA))
    report = import_report(load_config(EXAMPLES / "esci.yaml"), tmp_path)
    assert (report["items"]["read"], report["items"]["kept"]) == (6_764, 6_764)
    assert report["events"]["read"] == 460 + 995
    assert dropped(report) == {
        "duplicate: query_id, user_query": 182,
        "event_type: ignored": 935,
        "unknown_reference: item_id": 47,
    }
    events = read_events(tmp_path)
    clicks: Any = events[events["event_type"] == "click"]
    assert len(clicks) == 13
    assert (clicks["query"] != "").all()
    assert (clicks["user_id"] != "").all()
    items = read_table(tmp_path / "items.parquet")
    assert (items["price"] > 0).sum() == 1_987  # three cost nothing, which is as good as unknown
    assert items["category"].str.contains(" > ").sum() > 5_000
