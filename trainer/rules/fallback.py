"""What stands in where a request says nothing: what sells in its country these weeks, in that season, ever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tensorflow as tf

from trainer.days import DAY

Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]

RECENT_DAYS = 28
MAX_COUNTRIES = 32
# So many events weigh as much as what is behind them in the chain.
PRIOR_EVENTS = 100.0
COUNTRY = "country"
_YEAR_DAYS = 365
_LEAST = 0.5  # what each item has from the start, so that none has the probability 0


@dataclass(frozen=True)
class Popularity:
    """How probably the next purchase is of an item, by country.

    Args:
      countries: the countries of lines 1, 2 ... of `log_probabilities`; line 0 is for all others.
      log_probabilities: [1 + countries, items].
    """

    countries: tuple[str, ...]
    log_probabilities: Floats


class Fallback(tf.Module):
    """Popularity in the graph.

    Args:
      popularity: of the items.
    """

    def __init__(self, popularity: Popularity) -> None:
        super().__init__(name="fallback")
        keys = list(popularity.countries) or [""]
        lines = tf.range(1, len(keys) + 1, dtype=tf.int64) if popularity.countries else tf.zeros([1], tf.int64)
        table = tf.lookup.KeyValueTensorInitializer(tf.constant(keys), lines)
        self._lines = tf.lookup.StaticHashTable(table, default_value=0)
        self._scores = tf.Variable(popularity.log_probabilities, trainable=False, name="popularity")

    def scores(self, countries: tf.Tensor) -> tf.Tensor:
        """Scores all items by country, [batch] string to [batch, items]; "" and unknown ones are the whole shop."""
        return tf.gather(self._scores, self._lines.lookup(countries))


def read_popularity(
    tables_dir: str, item_ids: Sequence[str] | npt.NDArray[np.object_], *, end: int, event_types: Sequence[str]
) -> Popularity:
    """Counts what sold before a moment.

    The last four weeks of a country lean on those of the whole shop, these on the four weeks that follow `end` but one
    year earlier, and these on all time, by Dirichlet priors: MacKay and Peto, A hierarchical Dirichlet language model,
    1995. So a country with few events is much like the shop, and a shop younger than a year has no season.

    Args:
      tables_dir: the table folder.
      item_ids: str [items], the catalogue.
      end: seconds since 1970 UTC; events at or after it do not count.
      event_types: the event types that count.

    Returns:
      The popularity of the items, for the `MAX_COUNTRIES` countries with most recent events.
    """
    ever = season = np.zeros(len(item_ids), np.int64)
    recent: dict[str, Counts] = {}
    catalogue, types = pa.array(list(item_ids), pa.string()), pa.array(list(event_types), pa.string())
    last_year = end - _YEAR_DAYS * DAY
    for path in sorted(Path(tables_dir, "events").glob("bucket-*.parquet")):
        for places, times, where in _sold(path, catalogue, types, end):
            ever = ever + np.bincount(places, minlength=len(ever))
            coming = (times >= last_year) & (times < last_year + RECENT_DAYS * DAY)
            season = season + np.bincount(places[coming], minlength=len(ever))
            late = times >= end - RECENT_DAYS * DAY
            for country in np.unique(where[late]):
                counts = np.bincount(places[late & (where == country)], minlength=len(ever))
                recent[str(country)] = recent.get(str(country), 0) + counts
    return _chain(ever, season, recent)


def _sold(
    path: Path, catalogue: pa.Array, types: pa.Array, end: int
) -> Iterator[tuple[Counts, Counts, npt.NDArray[np.object_]]]:
    """Yields rows, times and countries of the events that count, in bounded batches."""
    file = pq.ParquetFile(path)
    named = [name for name in (COUNTRY,) if name in file.schema_arrow.names]
    for batch in file.iter_batches(columns=["item_id", "timestamp", "event_type", *named]):
        events = pa.Table.from_batches([batch])
        rows = pc.index_in(events["item_id"], value_set=catalogue)
        kept = pc.and_(pc.is_in(events["event_type"], value_set=types), pc.less(events["timestamp"], end))
        events = events.append_column("row", rows).filter(pc.and_(kept, pc.is_valid(rows)))
        where = pc.fill_null(events[COUNTRY], "").to_numpy() if named else np.full(len(events), "", object)
        yield events["row"].to_numpy().astype(np.int64), events["timestamp"].to_numpy(), where


def _chain(ever: Counts, season: Counts, recent: dict[str, Counts]) -> Popularity:
    always = (ever + _LEAST) / (ever.sum() + _LEAST * len(ever))
    lately = _leaning(np.sum(list(recent.values()), axis=0, initial=0) + np.zeros_like(ever), _leaning(season, always))
    named = sorted((country for country in recent if country), key=lambda country: (-recent[country].sum(), country))
    countries = tuple(sorted(named[:MAX_COUNTRIES]))
    lines = [lately, *(_leaning(recent[country], lately) for country in countries)]
    return Popularity(countries, np.log(np.stack(lines)).astype(np.float32))


def _leaning(counts: Counts, prior: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mixes shares with a prior that counts as much as `PRIOR_EVENTS` events, [items]."""
    leaned: npt.NDArray[np.float64] = (counts + PRIOR_EVENTS * prior) / (counts.sum() + PRIOR_EVENTS)
    return leaned
