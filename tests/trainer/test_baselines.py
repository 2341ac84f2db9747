"""The simplest rivals by hand, how cases are read, and the real numbers of Online Retail."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shop_tables import DAY, case, write_cases, write_events

from trainer import metrics
from trainer.baselines import PAD, QUICK, RANKERS, create_rankers
from trainer.baselines.ranker import first_allowed
from trainer.cases import Cases, read_cases
from trainer.event_log import EventLog

ITEMS = np.array(["a", "b", "c", "d", "e"])
END = 1_000 * DAY
RETAIL = Path(__file__).parents[2] / "../shared/data/online-retail/transactions.parquet"


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    old, new = END - 60 * DAY, END - 2 * DAY
    events = [
        *[("u1", "a", old, "purchase")] * 4,  # popular of all time
        *[("u2", "b", new, "purchase")] * 2,  # popular these days
        ("u3", "c", new, "purchase"),
        ("u1", "d", new, "purchase"),
        ("u1", "d", old, "purchase"),
        *[("u2", "e", new, "view")] * 9,  # no truth event
        *[("u3", "c", END, "purchase")] * 9,  # in the window: must not be seen
        *[("", "zz", new, "purchase")] * 9,  # not in the catalogue
    ]
    write_events(tmp_path, events)
    return EventLog(str(tmp_path), ITEMS, end=END, event_types=("purchase",))


def _cases(tmp_path: Path, *rows: dict) -> Cases:
    write_cases(tmp_path, test=rows)
    return read_cases(str(tmp_path), ITEMS)[1]


def _nothing(cases: Cases) -> list[np.ndarray]:
    return [np.zeros(0, np.int64)] * len(cases)


def _names(ranked: np.ndarray) -> list[str]:
    return ["".join(ITEMS[row] for row in each if row != PAD) for each in ranked]


def test_the_log_counts_only_truth_events_before_the_window(log: EventLog) -> None:
    assert log.item_counts().tolist() == [4, 2, 1, 2, 0]
    assert log.item_counts(30).tolist() == [0, 2, 1, 1, 0]


def test_each_rival_by_hand(log: EventLog, tmp_path: Path) -> None:
    cases = _cases(
        tmp_path,
        case(user_id="u1", warm=True, truth=["a"], seen_item_ids=["d", "c", "e"], seen_counts=[2, 1, 1]),
        case(user_id="new", truth=["c"]),
    )
    expected = {
        "popular": ["abdce", "abdce"],
        "recent_popular": ["bdcae", "bdcae"],
        "own_frequency": ["dceba", "bdcae"],  # d twice; c and e once each, c sold more recently
    }
    assert tuple(expected) == QUICK
    for ranker in create_rankers(tuple(expected)):
        ranker.fit(log)
        assert _names(ranker.rank(cases, 5, _nothing(cases))) == expected[ranker.name], ranker.name


@settings(max_examples=100, deadline=None)
@given(st.permutations(list(range(12))), st.lists(st.integers(0, 11)), st.integers(1, 15))
def test_first_allowed_is_the_order_without_the_excluded(order: list[int], excluded: list[int], k: int) -> None:
    expected = ([row for row in order if row not in excluded] + [PAD] * 20)[:k]
    assert first_allowed(np.array(order), np.array(excluded, np.int64), k).tolist() == expected


def test_an_unknown_rival_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match=f"no ranker 'best'; allowed are {', '.join(RANKERS)}"):
        create_rankers(("popular", "best"))
    assert [each.name for each in create_rankers(("own_frequency", "popular", "popular"))] == [
        "own_frequency",
        "popular",
    ]


def test_cases_are_read_as_catalogue_rows(tmp_path: Path) -> None:
    rows = [
        case(
            user_id="u1", warm=True, truth=["c", "a", "gone"], seen_item_ids=["a", "gone", "b"], seen_counts=[5, 9, 1]
        ),
        case(user_id="u2", truth=["gone"]),
        case(task="search", query="red", truth=["e"]),
    ]
    write_cases(tmp_path, validation=rows)
    window, cases = read_cases(str(tmp_path), ITEMS)
    assert (window, len(cases)) == ("validation", 2)
    assert [each.tolist() for each in cases.truth] == [[0, 2], [4]]
    assert [each.tolist() for each in cases.seen] == [[0, 1], []]
    assert [each.tolist() for each in cases.seen_counts] == [[5, 1], []]
    assert cases.warm().tolist() == [True, False]
    assert cases.of_task("search").table["query"].to_pylist() == ["red"]
    assert [each.tolist() for each in cases.unseen().truth] == [[2], [4]]
    write_cases(tmp_path, validation=rows, test=rows[:1])
    assert read_cases(str(tmp_path), ITEMS)[0] == "test"
    write_cases(tmp_path)
    assert len(read_cases(str(tmp_path), ITEMS)[1]) == 0


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"test\.parquet"):
        read_cases(str(tmp_path), ITEMS)
    with pytest.raises(FileNotFoundError, match="bucket-"):
        EventLog(str(tmp_path), ITEMS, end=0, event_types=("purchase",))


def test_rivals_on_online_retail(tmp_path: Path) -> None:
    if not RETAIL.is_file():
        pytest.skip(f"{RETAIL} is not there: a clone of the project does not bring the real tables")
    log, cases = _online_retail(tmp_path)
    scores = {}
    for ranker in create_rankers((*QUICK, "ease_frequency")):
        ranker.fit(log)
        ranked = ranker.rank(cases, 20, [np.zeros(0, np.int64)] * len(cases))
        scores[ranker.name] = float(metrics.measure(ranked, cases.truth, ["ndcg@20"])["ndcg@20"].mean())
    assert len(cases) == 1_074
    # Measured apart from this code, with pandas.
    assert scores["popular"] == pytest.approx(0.0874, abs=1e-3)
    assert scores["recent_popular"] == pytest.approx(0.1074, abs=1e-3)
    assert scores["own_frequency"] == pytest.approx(0.3175, abs=1e-3)
    assert scores["ease_frequency"] == pytest.approx(0.2890, abs=1e-3)


def _online_retail(tmp_path: Path) -> tuple[EventLog, Cases]:
    frame = pq.read_table(RETAIL).to_pandas()
    sold = (frame.Quantity > 0) & (frame.UnitPrice > 0) & ~frame.InvoiceNo.astype(str).str.startswith("C")
    frame = frame[sold & frame.CustomerID.notna()].sort_values("InvoiceDate", kind="stable")
    frame = frame.assign(
        user_id=frame.CustomerID.astype(int).astype(str), timestamp=frame.InvoiceDate.astype("int64") // 10**9
    )
    end = 1_318_550_400  # 2011-10-14
    before = frame[frame.timestamp < end]
    window = frame[(frame.timestamp >= end) & (frame.timestamp < end + 28 * DAY)]
    items = np.array(sorted(before.StockCode.unique()))
    write_events(tmp_path, [], buckets=0)
    events = {"user_id": before.user_id, "item_id": before.StockCode, "timestamp": before.timestamp}
    table = pa.table(
        {**{k: pa.array(v.to_numpy()) for k, v in events.items()}, "event_type": ["purchase"] * len(before)}
    )
    pq.write_table(table, tmp_path / "events" / "bucket-00000.parquet")
    seen = before.groupby("user_id").StockCode.agg(Counter).to_dict()
    truth = window.groupby("user_id").StockCode.agg(lambda codes: sorted(set(codes))).to_dict()
    rows = [
        case(user_id=u, warm=True, truth=t, seen_item_ids=list(seen[u]), seen_counts=list(seen[u].values()))
        for u, t in truth.items()
        if u in seen
    ]
    write_cases(tmp_path, test=rows)
    log = EventLog(str(tmp_path), items, end=end, event_types=("purchase",))
    return log, read_cases(str(tmp_path), items)[1]
