"""Raw examples against a slow oracle; nothing after an event's moment changes them."""

from collections import Counter
from typing import Any

import event_tables as tables
import numpy as np
import pyarrow as pa
import pytest
from tensorflow.core.example.example_pb2 import Example
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from pipeline.examples import SPLITS, BucketExamples, Split, build_bucket, item_batches
from pipeline.raw_features import event_features, item_features

SEEDS = (0, 1, 2)


def build(rows: list[tables.Row], **sections: Any) -> BucketExamples:
    config = tables.make_config(**sections)
    windows = tables.make_windows(tables.make_config(), tables.random_events(0))
    return build_bucket(tables.events_table(rows), config, windows, tables.ITEM_IDS, tables.USERS)


def values(built: BucketExamples, split: Split) -> list[dict[str, list[Any]]]:
    rows = [row for batch in built.batches(split, batch_rows=37) for row in batch.to_pylist()]
    return [
        {name: [v.decode() if isinstance(v, bytes) else v for v in cell] for name, cell in row.items()} for row in rows
    ]


def expected(rows: list[tables.Row], built: BucketExamples, split: Split) -> list[dict[str, list[Any]]]:
    config, windows = built.bucket.config, built.bucket.windows
    bounds = {"train": (0, windows.validation_start), "validation": (windows.validation_start, windows.test_start)}
    start, end = bounds[split]
    length = config.features.history.length
    found = []
    for row in rows:
        weight = config.training.event_weights.get(row["event_type"])
        if weight is None or row["item_id"] not in tables.ITEM_IDS.to_pylist() or not start <= row["timestamp"] < end:
            continue
        history = tables.expected_history(rows, tables.visitor_of(row), row["timestamp"], length)
        pads = length - len(history)
        ages = [float(np.float32((row["timestamp"] - past["timestamp"]) / tables.DAY)) for past in history]
        found.append(
            {
                "user_id": [row["user_id"]],
                "timestamp": [row["timestamp"]],
                "history_item_ids": [past["item_id"] for past in history] + [""] * pads,
                "history_event_types": [past["event_type"] for past in history] + [""] * pads,
                "history_ages_days": [*ages, *[0.0] * pads],
                "query": [row["query"]],
                "item_id": [row["item_id"]],
                "event_type": [row["event_type"]],
                "value": [row["value"] if row["event_type"] == "rate" else 0.0],
                "weight": [weight],
                **{name: [value] for name, value in tables.expected_context(row).items()},
            }
        )
    return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("split", SPLITS)
def test_examples_equal_the_oracle(seed: int, split: Split) -> None:
    rows = tables.random_events(seed)
    built = build(rows)
    got, want = values(built, split), expected(rows, built, split)
    assert len(want) > 40
    assert sorted(map(str, got)) == sorted(map(str, want))
    assert built.count(split) == len(want)


def serialized_before(built: BucketExamples, cut: int) -> Counter[bytes]:
    """The examples before the cut, as bytes; the encoder leaves the order of features open, so it is fixed here."""
    encoder = RecordBatchToExamplesEncoder()
    found: Counter[bytes] = Counter()
    for split in SPLITS:
        for batch in built.batches(split):
            moments = batch.column(batch.schema.get_field_index("timestamp")).flatten().to_numpy()
            encoded = np.array(encoder.encode(batch), object)[moments < cut]
            found.update(Example.FromString(example).SerializeToString(deterministic=True) for example in encoded)
    return found


def altered_after(rows: list[tables.Row], cut: int, seed: int) -> list[tables.Row]:
    """Shuffles who did what at or after the cut, changes the rest of it, drops some and adds others."""
    random = np.random.default_rng(seed)
    late = [row for row in rows if row["timestamp"] >= cut]
    changed = []
    for row, other, third in zip(late, random.permutation(late), random.permutation(late), strict=True):
        moved = min(max(row["timestamp"] + int(random.integers(-9, 9)) * 3_600, cut), int(third["timestamp"]))
        changed.append({**other, "item_id": third["item_id"], "timestamp": moved, "country": "IT", "weather": "hail"})
    return [row for row in rows if row["timestamp"] < cut] + changed[: len(changed) // 2] + changed[::3]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("day", [15, 40, 46])
def test_nothing_after_a_moment_changes_the_examples_before_it(seed: int, day: int) -> None:
    rows = tables.random_events(seed)
    cut = tables.START + day * tables.DAY + 14_400
    before = serialized_before(build(rows), cut)
    assert sum(before.values()) > 50
    changed = altered_after(rows, cut, seed)
    assert tables.events_table(changed) != tables.events_table(rows)
    assert serialized_before(build(changed), cut) == before


def test_rows_of_one_basket_are_not_each_others_history() -> None:
    basket = {**tables.random_events(0)[0], "user_id": "u1", "event_type": "purchase", "timestamp": tables.START}
    later = {**basket, "item_id": "i5", "timestamp": tables.START + 1}
    built = build([{**basket, "item_id": "i3"}, {**basket, "item_id": "i4"}, later])
    histories = [row["history_item_ids"] for row in values(built, "train")]
    assert histories == [["", "", ""], ["", "", ""], ["i4", "i3", ""]]


def test_an_anonymous_history_stays_within_its_session_and_a_stranger_has_none() -> None:
    one = {**tables.random_events(0)[0], "user_id": "", "event_type": "purchase", "item_id": "i3"}
    rows = [{**one, "session_id": name, "timestamp": tables.START + at} for name in ("a", "b", "") for at in (0, 9)]
    got = {(row["timestamp"][0], tuple(row["history_item_ids"])) for row in values(build(rows), "train")}
    assert got == {(tables.START, ("", "", "")), (tables.START + 9, ("i3", "", "")), (tables.START + 9, ("", "", ""))}
    assert all(row["user_id"] == [""] for row in values(build(rows), "train"))


def test_features_have_the_kind_and_length_that_raw_features_says() -> None:
    built = build(tables.random_events(0))
    batch = next(built.batches("train"))
    features = event_features(built.bucket.config)
    assert batch.schema.names == [feature.name for feature in features]
    kinds = {"string": pa.large_binary(), "int": pa.int64(), "float": pa.float32()}
    for feature, column in zip(features, batch.columns, strict=True):
        assert column.type == pa.large_list(kinds[feature.kind])
        assert set(column.value_lengths().to_pylist()) == {feature.length}


def test_an_empty_bucket_gives_nothing() -> None:
    built = build(tables.random_events(0))
    built = build_bucket(built.bucket.events.slice(0, 0), built.bucket.config, built.bucket.windows, tables.ITEM_IDS)
    assert list(built.batches("train")) == []
    assert len(built.validation_cases) == len(built.test_cases) == len(built.histories) == 0


@pytest.mark.parametrize("order", [("visitor", "descending"), ("timestamp", "ascending")])
def test_an_unsorted_bucket_is_an_error(order: tuple[str, str]) -> None:
    built = build(tables.random_events(0))
    events = built.bucket.events.sort_by([order])
    if order[0] == "visitor":
        events = pa.concat_tables([events.slice(5), events.slice(0, 5)])
    with pytest.raises(ValueError, match="sorted by"):
        build_bucket(events, built.bucket.config, built.bucket.windows, tables.ITEM_IDS)


def test_an_unknown_country_of_holidays_names_the_key() -> None:
    features = {"context": ["holiday"], "holiday_country": "Atlantis"}
    with pytest.raises(ValueError, match=r"features\.holiday_country: no calendar for 'Atlantis'; allowed are .*GB"):
        build(tables.random_events(0), features=features)


def test_items_become_examples_in_their_order() -> None:
    items = pa.table(
        {
            "item_id": ["a", "b", "c"],
            "title": ["A", "B", ""],
            "description": ["", "long", ""],
            "brand": ["x", "", ""],
            "category": ["p > q", "", ""],
            "price": pa.array([1.5, 0.0, float("nan")], pa.float64()),
            "first_seen": pa.array([1, 2, 3]),
        }
    )
    rows = [row for batch in item_batches(items, batch_rows=2) for row in batch.to_pylist()]
    assert list(rows[0]) == [feature.name for feature in item_features()]
    assert [row["item_id"] for row in rows] == [[b"a"], [b"b"], [b"c"]]
    assert rows[0]["category"] == [b"p > q"]
    assert [row["price"] for row in rows] == [[1.5], [0.0], [0.0]]
