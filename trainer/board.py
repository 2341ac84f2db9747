"""What TensorBoard shows of a training, and who else is told of it."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorboard.plugins import projector
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.scalar.summary_v2 import scalar_pb

from pipeline.config import Config
from trainer.catalogue import Catalogue
from trainer.tracking import Tracker, track

PROJECTOR_ITEMS = 5000
HISTOGRAM_VALUES = 50_000


class Board:
    """Writes one training's curves; until the first there is no file.

    Args:
      folder: of this training; TensorBoard names the run after it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tracker: Tracker | None = None

    @functools.cached_property
    def _writer(self) -> Any:
        return tf.summary.create_file_writer(str(self._folder))

    def write_config(self, config: Config) -> None:
        """Writes the configuration as text, one key a line, and starts to track the training if it says so.

        Raises:
          TrackingError: if that cannot be done.
        """
        self._tracker = track(self._folder, config)
        lines = json.dumps(config.model_dump(mode="json"), indent=2).splitlines()
        with self._writer.as_default(step=0):
            tf.summary.text("configuration", "\n".join(f"    {line}" for line in lines))

    def write_epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        """Writes what was measured after an epoch: names as in `validation/ndcg@20`.

        In one piece: `tf.summary.scalar` would run several ops for each.
        """
        with self._writer.as_default(step=epoch):
            whole = b"".join(scalar_pb(name, value).SerializeToString() for name, value in values.items())
            tf.summary.experimental.write_raw_pb(whole, step=epoch)
        self._writer.flush()
        if self._tracker is not None:
            self._tracker.write_epoch(epoch, values)

    def write_weights(self, epoch: int, variables: Sequence[Any]) -> None:
        """Writes a histogram of each variable, of a sample where it is large.

        Made by NumPy: `tf.summary.histogram` would run a dozen ops for each.
        """
        with self._writer.as_default(step=epoch):
            for variable in variables:
                values = np.asarray(variable.numpy(), np.float32).ravel()
                sample = values[:: 1 + len(values) // HISTOGRAM_VALUES]
                summary = histogram_pb(f"weights/{variable.path}", sample)
                tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=epoch)
        self._writer.flush()

    def write_items(
        self, vectors: npt.NDArray[np.float32], catalogue: Catalogue, counts: npt.NDArray[np.int64]
    ) -> None:
        """Writes the vectors of the commonest items with their titles for the projector.

        Args:
          vectors: [items, dim].
          catalogue: the items.
          counts: [items] training examples of each.
        """
        shown = np.argsort(-counts, kind="stable")[:PROJECTOR_ITEMS]
        rows = ("\t".join(f"{value:.5f}" for value in vectors[row]) for row in shown)
        (self._folder / "items.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        labels = (f"{_plain(catalogue.titles[row])}\t{_plain(catalogue.ids[row])}\t{counts[row]}" for row in shown)
        (self._folder / "metadata.tsv").write_text(
            "title\titem_id\texamples\n" + "\n".join(labels) + "\n", encoding="utf-8"
        )
        settings = projector.ProjectorConfig()
        settings.embeddings.add(tensor_name="items", tensor_path="items.tsv", metadata_path="metadata.tsv")
        projector.visualize_embeddings(str(self._folder), settings)

    def close(self) -> None:
        """Closes the file of events and ends the tracked run."""
        self._writer.close()
        if self._tracker is not None:
            self._tracker.close()


def _plain(text: str) -> str:
    return " ".join(text.split()) or "-"
