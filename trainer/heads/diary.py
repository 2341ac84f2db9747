"""Who did what with which item, as requests of any past moment."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline import schema
from trainer.days import DAY
from trainer.interactions import Interactions
from trainer.ranking_stage import Request

Rows = npt.NDArray[np.int64]

ITEM_EVENTS = tuple(name for name in schema.EVENT_TYPES if name != "search")
_NAMES = np.array([*schema.EVENT_TYPES, ""], object)


class Diary:
    """The events of named users, each user's in the order of time.

    Args:
      events: of any type.
    """

    def __init__(self, events: Interactions) -> None:
        self.events = events
        order = np.lexsort((events.timestamps, events.users))
        self._rows, self._types = events.item_rows[order], events.types[order]
        self._times = events.timestamps[order]
        self._first = int(self._times.min()) if len(order) else 0
        self._span = 1 + (int(self._times.max()) - self._first if len(order) else 0)
        self._keys = events.users[order] * self._span + self._times - self._first

    def request(self, users: Rows, moment: int, length: int, dimension: int = 0) -> Request:
        """Makes the requests of users as they would have been at a moment.

        Args:
          users: int64 [batch], places in the events' `user_ids`; -1 for a stranger.
          moment: seconds since 1970 UTC; events at or after it are left out.
          length: newest events of a history.
          dimension: width of the query vectors, which are zeros: nothing here reads them.

        Returns:
          The requests, with inputs `user_id` and without features.
        """
        rows, types, ages = self.histories(users, moment, length)
        names = np.array([*self.events.user_ids.to_pylist(), ""], object)[users]
        return Request(
            queries=tf.zeros([len(users), dimension]),
            features={},
            inputs={schema.RAW_USER_ID: tf.constant(names, tf.string)},
            timestamps=tf.fill([len(users)], tf.constant(moment, tf.int64)),
            history_rows=tf.constant(rows, tf.int64),
            history_types=tf.constant(_NAMES[types], tf.string),
            history_ages_days=tf.constant(ages, tf.float32),
            history_quantities=tf.ones(rows.shape),
        )

    def histories(self, users: Rows, moment: int, length: int) -> tuple[Rows, Rows, npt.NDArray[np.float64]]:
        """Looks up the newest events before a moment, newest first.

        Returns:
          Catalogue rows, places in `schema.EVENT_TYPES`, and ages in days, [batch, n] each; -1, -1 and 0 pad.
        """
        starts = np.searchsorted(self._keys, users * self._span)
        until = users * self._span + np.clip(moment - self._first, 0, self._span)
        ends = np.searchsorted(self._keys, until)
        counts = np.where(users >= 0, np.minimum(ends - starts, length), 0)
        back = np.arange(max(1, int(counts.max(initial=0))))
        there = back < counts[:, np.newaxis]
        places = np.where(there, ends[:, np.newaxis] - 1 - back, 0)
        if not len(self._keys):
            return np.full(there.shape, -1), np.full(there.shape, -1), np.zeros(there.shape)
        ages = np.where(there, (moment - self._times[places]) / DAY, 0.0)
        return np.where(there, self._rows[places], -1), np.where(there, self._types[places], -1), ages
