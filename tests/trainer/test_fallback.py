"""Popularity by country and season against plain counting, and that it answers only who says nothing."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from served_shop import FIRST, ServedShop
from shop_tables import DAY

from trainer.exported_model import ExportedModel
from trainer.rules import fallback
from trainer.rules.fallback import Fallback, read_popularity

END = 1_700_000_000
ITEMS = [f"i{row}" for row in range(6)]
Event = tuple[str, int, str, str]


def _events() -> list[Event]:
    generator = np.random.default_rng(4)
    ages = np.concatenate([generator.integers(0, 40 * DAY, 300), generator.integers(320 * DAY, 400 * DAY, 200)])
    return [
        (
            ["gone", *ITEMS][int(generator.integers(7) * generator.random())],
            END + 5 * DAY - int(age),
            "purchase" if generator.random() < 0.8 else "view",
            str(generator.choice(["GB", "DE", "FR", ""], p=[0.6, 0.2, 0.1, 0.1])),
        )
        for age in ages
    ]


def _write(folder: Path, events: list[Event], *, countries: bool = True) -> str:
    (folder / "events").mkdir(parents=True)
    for bucket in range(2):
        columns = list(zip(*events[bucket::2], strict=True))
        table = pa.table(dict(zip(["item_id", "timestamp", "event_type", "country"], columns, strict=True)))
        pq.write_table(table if countries else table.drop(["country"]), folder / "events" / f"bucket-{bucket}.parquet")
    return str(folder)


def _oracle(events: list[Event], country: str) -> list[float]:
    """The chain for one item after the other."""
    sold = [event for event in events if event[2] == "purchase" and event[1] < END and event[0] in ITEMS]
    recent = [event for event in sold if event[1] >= END - 28 * DAY]
    season = [event for event in sold if END - 365 * DAY <= event[1] < END - 337 * DAY]
    own = [event for event in recent if event[3] == country] if country else []
    chances = [(sum(event[0] == item for event in sold) + 0.5) / (len(sold) + 3) for item in ITEMS]
    for level in (season, recent, own):
        counts = Counter(event[0] for event in level)
        chances = [(counts[item] + 100 * chances[place]) / (len(level) + 100) for place, item in enumerate(ITEMS)]
    return np.log(chances).tolist()


def test_it_is_the_chain_of_plain_counts(tmp_path: Path) -> None:
    events = _events()
    assert any(event[1] >= END for event in events)  # what must not count
    found = read_popularity(_write(tmp_path, events), ITEMS, end=END, event_types=["purchase"])
    assert found.countries == ("DE", "FR", "GB")
    scores = tf.function(Fallback(found).scores)(tf.constant(["", "GB", "US", "DE", "FR"])).numpy()
    for line, country in zip(scores, ["", "GB", "", "DE", "FR"], strict=True):
        np.testing.assert_allclose(line, _oracle(events, country), rtol=1e-5)
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1.0, rtol=1e-5)


def test_nothing_sold_lately_or_ever_or_no_countries(tmp_path: Path) -> None:
    events = _events()
    without = read_popularity(_write(tmp_path / "a", events, countries=False), ITEMS, end=END, event_types=["purchase"])
    assert without.countries == ()
    np.testing.assert_allclose(without.log_probabilities, [_oracle(events, "")], rtol=1e-5)
    np.testing.assert_array_equal(Fallback(without).scores(tf.constant(["GB", ""])), without.log_probabilities[[0, 0]])
    nothing = read_popularity(str(tmp_path / "a"), ITEMS, end=0, event_types=["purchase"])
    np.testing.assert_allclose(np.exp(nothing.log_probabilities), [[1 / 6] * 6], rtol=1e-5)


def test_the_largest_countries_have_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback, "MAX_COUNTRIES", 1)
    assert read_popularity(_write(tmp_path, _events()), ITEMS, end=END, event_types=["purchase"]).countries == ("GB",)


def test_only_who_says_nothing_gets_it(served_shop: ServedShop, exported: ExportedModel) -> None:
    # The shop sold the item i00001 once, before the validation window.
    silent = {"user_id": ["", ""], "timestamp": [FIRST], "country": ["", "nowhere"], "k": [48]}
    answers = exported.ask("recommend", silent)
    expected = read_popularity(
        str(served_shop.tables), served_shop.catalogue.ids, end=FIRST + 1, event_types=["purchase"]
    )
    assert answers["item_ids"][:, 0].tolist() == [b"i00001"] * 2
    np.testing.assert_allclose(answers["scores"][0], -np.sort(-expected.log_probabilities[0]), rtol=1e-5)
    ranked = exported.ask("rank", {**silent, "candidate_item_ids": [["i00001", "unknown"]] * 2})["scores"]
    np.testing.assert_allclose(ranked[:, 0], answers["scores"][:, 0], rtol=1e-5)
    speaking = [
        {"user_id": ["u1"]},
        {"country": ["GB"]},
        {"query": ["red lamp"]},
        {"history_item_ids": [["unknown", "i00002"]]},
    ]
    for said in speaking:
        scores = exported.ask("recommend", {"user_id": [""], "timestamp": [FIRST], "k": [48], **said})["scores"]
        assert scores.min() > -1.01, said  # cosines
    unknown = exported.ask("recommend", {**silent, "history_item_ids": [["unknown"]]})
    np.testing.assert_array_equal(unknown["scores"], answers["scores"])
