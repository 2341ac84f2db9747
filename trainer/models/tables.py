"""What a training step looks up about the catalogue, kept on the device and out of the exported model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.catalogue import Catalogue
from trainer.encoders.text import Texts
from trainer.tasks.retrieval import sampling_probabilities


class TrainingTables:
    """Tables with one line for padding, then one for each item of the catalogue, or for each query text.

    A plain object on purpose: a model that refers to it does not save it.

    Args:
      catalogue: the items.
      counts: [items] training examples of each item.
      item_text: [items, width] text vectors, or None where the towers read no item text.
      query_text: [queries, width] vectors of the distinct query texts, or None where the shop has no search.
      encodes: whether the encoder runs in the step, and so needs tokens.
      query_tokens: [queries, tokens] what the encoder reads of the queries.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        counts: npt.NDArray[np.int64],
        *,
        item_text: npt.NDArray[np.float32] | None,
        query_text: npt.NDArray[np.float32] | None,
        encodes: bool = False,
        query_tokens: Texts | None = None,
    ) -> None:
        self.features: Mapping[str, tf.Variable] = {
            name: _table(values.astype(np.float32 if values.dtype.kind == "f" else np.int32))
            for name, values in catalogue.features.items()
        }
        self.item_text = None if item_text is None else _table(item_text)
        self.query_text = None if query_text is None else _table(query_text)
        tokens = (catalogue.texts, query_tokens) if encodes else (None, None)
        self.item_tokens, self.query_tokens = (
            None if some is None else _table(some.astype(np.int32)) for some in tokens
        )
        self.probabilities = _table(sampling_probabilities(counts))


def _table(values: npt.NDArray[np.generic]) -> tf.Variable:
    padded = np.concatenate([np.zeros((1, *values.shape[1:]), values.dtype), values])
    return tf.Variable(padded, trainable=False)
