"""The catalogue that a model knows: item ids and their rows, texts and features."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline import schema
from pipeline.config import Config
from trainer.encoders.text import Texts

ITEM_FEATURES: dict[str, str] = {
    schema.FEATURE_BRAND: "brand",
    schema.FEATURE_CATEGORY: "category",
    schema.FEATURE_CATEGORY_TOP: "category",
    schema.FEATURE_PRICE_BUCKET: "price",
    schema.FEATURE_PRICE: "price",
}
_PARSE_BATCH = 4096


@dataclass(frozen=True)
class Catalogue:
    """All items of the shop, sorted by id; an item's row is its place here.

    Args:
      ids: str [items], sorted, distinct.
      titles: str [items].
      texts: str [items] or int32 [items, tokens]: what the text encoder reads; None where the towers read no text.
      features: transformed item features by name, each [items].
    """

    ids: npt.NDArray[np.object_]
    titles: npt.NDArray[np.object_]
    texts: Texts | None
    features: dict[str, npt.NDArray[np.generic]]

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, item_ids: Sequence[str] | npt.NDArray[np.object_]) -> npt.NDArray[np.int64]:
        """Looks up rows, [n]; -1 for an id that is not in the catalogue."""
        wanted = np.asarray(item_ids, object)
        if not len(self.ids) or not len(wanted):
            return np.full(len(wanted), -1, np.int64)
        found = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        return np.where(self.ids[found] == wanted, found, -1).astype(np.int64)

    def digest(self) -> bytes:
        """Says the catalogue's content: equal catalogues have equal digests."""
        content = hashlib.sha256("\0".join([*self.ids, *self.titles]).encode())
        for name in sorted(self.features):
            content.update(name.encode() + np.ascontiguousarray(self.features[name]).tobytes())
        if self.texts is not None:
            plain = self.texts.ndim == 2
            content.update(np.ascontiguousarray(self.texts).tobytes() if plain else "\0".join(self.texts).encode())
        return content.digest()


def item_feature_names(config: Config) -> tuple[str, ...]:
    """The transformed item features, texts apart, that the item tower reads by this configuration."""
    wanted = config.features.item
    return tuple(name for name, setting in ITEM_FEATURES.items() if getattr(wanted, setting))


def read_catalogue(files: Sequence[str | Path], config: Config) -> Catalogue:
    """Reads the transformed item examples.

    Args:
      files: gzipped TFRecords.
      config: says which features the item tower reads.

    Returns:
      The catalogue. Its order does not depend on the order of the examples.

    Raises:
      ValueError: if there is no item, or one id is there twice.
    """
    spec = item_spec(config)
    parts: dict[str, list[npt.NDArray[np.generic]]] = {name: [] for name in spec}
    records = tf.data.TFRecordDataset([str(file) for file in files], compression_type="GZIP")
    for batch in records.batch(_PARSE_BATCH).map(lambda serialised: tf.io.parse_example(serialised, spec)):
        for name, values in batch.items():
            parts[name].append(values.numpy())
    if not parts[schema.RAW_ITEM_ID]:
        raise ValueError(f"the item examples hold no item; files: {', '.join(map(str, files)) or 'none'}")
    return catalogue_of({name: np.concatenate(chunks) for name, chunks in parts.items()})


def catalogue_of(columns: dict[str, npt.NDArray[np.generic]]) -> Catalogue:
    """Makes the catalogue of transformed features by name, as `item_spec` names them, in any order of items.

    Raises:
      ValueError: if one id is there twice.
    """
    columns = dict(columns)
    ids = _strings(columns.pop(schema.RAW_ITEM_ID))
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    repeated = ids[1:][ids[1:] == ids[:-1]]
    if len(repeated):
        raise ValueError(f"item '{repeated[0]}' has several item examples; expected one for each id")
    titles = _strings(columns.pop("title"))[order]
    tokens = columns.pop(schema.FEATURE_TEXT_TOKENS, None)
    strings = columns.pop(schema.FEATURE_TEXT, None)
    texts: Texts | None = _strings(strings)[order] if strings is not None else None
    if tokens is not None:
        texts = tokens.astype(np.int32)[order]
    return Catalogue(ids, titles, texts, {name: values.reshape(-1)[order] for name, values in columns.items()})


def item_spec(config: Config) -> dict[str, tf.io.FixedLenFeature]:
    """Says which transformed features of an item the catalogue holds, and what they look like."""
    spec = {name: tf.io.FixedLenFeature([1], tf.string) for name in (schema.RAW_ITEM_ID, "title")}
    for name in item_feature_names(config):
        kind = tf.float32 if name == schema.FEATURE_PRICE else tf.int64
        spec[name] = tf.io.FixedLenFeature([1], kind)
    if config.features.item.text and config.encoder.kind == "keras_nlp":
        spec[schema.FEATURE_TEXT_TOKENS] = tf.io.FixedLenFeature([config.encoder.sequence_length], tf.int64)
    elif config.features.item.text:
        spec[schema.FEATURE_TEXT] = tf.io.FixedLenFeature([1], tf.string)
    return spec


def _strings(values: npt.NDArray[np.generic]) -> npt.NDArray[np.object_]:
    return np.array([value.decode() for value in values.reshape(-1)], object)
