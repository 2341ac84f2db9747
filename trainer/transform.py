"""The transform graphs that the pipeline made, as the trainer uses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_text  # noqa: F401  # registers the ops of tokenisers, without which the graph does not load
import tensorflow_transform as tft
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

from pipeline import schema
from pipeline.config import Config
from trainer.inputs import TIME_SIZES

PRICE_BUCKETS = 10
_TEXTS = 1_000  # tokenised at once


class TransformGraph(tf.Module):
    """The graph of a Transform step, with what it looks values up in.

    It is what tft's Keras layer calls. The layer itself would be written as a Keras model into each SavedModel that
    holds it, which takes seconds of every export.

    Args:
      folder: output of the Transform step.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(name="transform")
        loader = SavedModelLoader(tft.TFTransformOutput(folder).transform_savedmodel_dir)
        self._apply = loader.apply_transform_model
        self._loaded = vars(loader)
        features = self._loaded["_structured_inputs"].items()
        raw = {name: tf.TensorSpec([None, *each.shape[1:]], each.dtype) for name, each in features}
        # Whoever loads a model that holds this can ask it alone; the signatures have its ops among their own.
        self.transform = tf.function(self.__call__, input_signature=[raw], autograph=False)

    def __call__(self, raw: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        """Transforms raw features by name, as far as all that a feature is made of is there."""
        found: Mapping[str, tf.Tensor] = self._apply(dict(raw))
        return found


class EventTransform:
    """Turns raw requests into transformed features with the graph of the event examples.

    Args:
      folder: output of the Transform step for events.
    """

    def __init__(self, folder: str) -> None:
        self._function = tf.function(TransformGraph(folder), autograph=False, reduce_retracing=True)

    def __call__(self, raw: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        """Transforms a batch of raw features, [batch, 1] or [batch, H] each."""
        return self._function(dict(raw))


class QueryTokens:
    """Turns any texts into the encoder's token ids, as the event graph does with what a visitor types.

    Args:
      folder: output of the Transform step for events.
      config: of the shop, which has `features.query` on and a keras_nlp encoder.
    """

    def __init__(self, folder: str, config: Config) -> None:
        self._transform, self._config = EventTransform(folder), config

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """Tokenises texts to [n, tokens], 0 pads."""
        found = [self._part(texts[start : start + _TEXTS]) for start in range(0, len(texts), _TEXTS)]
        return np.concatenate(found) if found else np.zeros((0, self._config.encoder.sequence_length), np.int32)

    def _part(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        empty = tf.fill([len(texts), 1], "")
        raw = dict.fromkeys((schema.RAW_USER_ID, *self._config.features.context), empty)
        raw[schema.RAW_TIMESTAMP] = tf.zeros([len(texts), 1], tf.int64)
        raw[schema.RAW_QUERY] = tf.constant(list(texts))[:, tf.newaxis]
        for name, pad in schema.HISTORY_PADS.items():
            if name != schema.RAW_HISTORY_QUANTITIES:
                raw[name] = tf.fill([len(texts), self._config.features.history.length], pad)
        tokens: npt.NDArray[np.int64] = self._transform(raw)[schema.FEATURE_QUERY_TOKENS].numpy()
        return tokens.astype(np.int32)


def feature_sizes(event_folder: str, item_folder: str, config: Config) -> dict[str, int]:
    """Says how many values each feature has that is an index.

    Args:
      event_folder: output of the Transform step for events.
      item_folder: output of the Transform step for items.
      config: names the context columns.

    Returns:
      The sizes by feature, 0 for missing and unknown included.
    """
    events, items = tft.TFTransformOutput(event_folder), tft.TFTransformOutput(item_folder)
    sizes = {**TIME_SIZES, schema.FEATURE_PRICE_BUCKET: 1 + PRICE_BUCKETS}
    for column in config.features.context:
        name = schema.FEATURE_CONTEXT_PREFIX + column
        sizes[name] = 1 + events.vocabulary_size_by_name(name)
    vocabularies = {
        schema.FEATURE_BRAND: (config.features.item.brand, schema.VOCABULARY_BRAND),
        schema.FEATURE_CATEGORY: (config.features.item.category, schema.VOCABULARY_CATEGORY),
        schema.FEATURE_CATEGORY_TOP: (config.features.item.category, schema.VOCABULARY_CATEGORY_TOP),
    }
    for name, (wanted, vocabulary) in vocabularies.items():
        if wanted:
            sizes[name] = 1 + items.vocabulary_size_by_name(vocabulary)
    return sizes
