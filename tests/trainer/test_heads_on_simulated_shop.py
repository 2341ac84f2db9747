"""On a simulated shop the heads beat their trivial rivals in the weeks that they have not seen."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from headed_shop import headed_config
from shop_tables import DAY

from trainer.contract import PRICE, RATING
from trainer.event_log import EventLog
from trainer.heads.diary import ITEM_EVENTS, Diary
from trainer.heads.goods import describe_goods
from trainer.heads.head import LearnedHead
from trainer.heads.regression import rmse
from trainer.heads.training import HeadTraining, targets_of
from trainer.rules.attributes import read_attributes

WEEKS_JUDGED = 8
_SIZE = ("--users", "300", "--items", "150", "--events", "60000", "--days", "390", "--seed", "11")
CONFIG = headed_config(head_windows=12)


def _words(titles: list[str]) -> np.ndarray:
    """Which words titles hold, [items, words]: the encoder's place is taken by what it would have to tell."""
    vocabulary = sorted({word for title in titles for word in title.lower().split()})
    return np.array([[word in title.lower().split() for word in vocabulary] for title in titles], np.float32)


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> HeadTraining:
    folder: Path = tmp_path_factory.mktemp("shop")
    subprocess.run([sys.executable, "-m", "pipeline.cli", "simulate", *_SIZE, "--output", str(folder)], check=True)
    numbers = pa.csv.ConvertOptions(column_types=dict.fromkeys(("quantity", "price", "value"), pa.float64()))
    items, events = (pa.csv.read_csv(folder / f"{n}.csv", convert_options=numbers) for n in ("items", "events"))
    items = items.sort_by("item_id")
    (folder / "events").mkdir()
    seconds = pc.cast(pc.cast(events["timestamp"], pa.timestamp("s")), pa.int64())
    events = events.set_column(events.schema.get_field_index("timestamp"), "timestamp", seconds)
    pq.write_table(events.drop(["query"]), folder / "events" / "bucket-00000.parquet")
    pq.write_table(items, folder / "items.parquet")
    ids = items["item_id"].to_pylist()
    log = EventLog(str(folder), ids, end=int(pc.max(seconds).as_py()) + 1, event_types=ITEM_EVENTS)
    goods = describe_goods(read_attributes(str(folder), ids), _words(items["title"].to_pylist()))
    return HeadTraining(CONFIG, goods, log.interactions)


@pytest.fixture(scope="module")
def cut(training: HeadTraining) -> int:
    return training.events.end - WEEKS_JUDGED * 7 * DAY


@pytest.fixture(scope="module")
def heads(training: HeadTraining, cut: int) -> dict[str, LearnedHead]:
    return training.learn(cut)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "share"), [(RATING, 0.99), (PRICE, 0.5)])
def test_heads_beat_their_trivial_rivals(
    name: str, share: float, training: HeadTraining, cut: int, heads: dict[str, LearnedHead]
) -> None:
    happened = targets_of(name, training.events.since(cut), training.goods, CONFIG)
    assert len(happened.rows) > 100
    users = np.unique(happened.users)
    request = Diary(training.events).request(users, cut, CONFIG.ranking.history_length)
    rows, values = happened.of(users)
    there = rows >= 0
    said = heads[name](request, tf.constant(rows)).numpy()[there]
    rival = heads[name].head.rival(request, tf.constant(np.maximum(rows, 0))).numpy()[there]
    said = np.log(said) if name == PRICE else said
    assert rmse(said, values[there]) < share * rmse(rival, values[there])
