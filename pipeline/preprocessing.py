"""The two Transform functions: raw examples to the features that the towers read.

What Transform computes here is saved as a graph, and the served model applies that very graph to a
client's raw values. So everything is a TensorFlow or TensorFlow Text op that the stock server has,
and every id is found by exact comparison or integer arithmetic, whose result does not depend on how
many rows happen to be in the batch.
"""

from __future__ import annotations

import json
import math
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from pipeline import schema
from pipeline.config import Config, parse_config
from pipeline.text import token_ids

Tensors = dict[str, tf.Tensor]

VOCABULARY_LIMIT = 50_000  # commonest values kept: what is rarer shares index 0
PRICE_BUCKETS = 10
_PASSED_EVENT_FEATURES = (
    schema.RAW_USER_ID,
    schema.RAW_TIMESTAMP,
    schema.RAW_HISTORY_ITEM_IDS,
    schema.RAW_ITEM_ID,
    schema.RAW_EVENT_TYPE,
    schema.RAW_VALUE,
    schema.RAW_WEIGHT,
    schema.RAW_QUERY,
)
# Bucket i holds log(1 + hours) in [i / 3, (i + 1) / 3): 24 minutes wide at first, beyond three years at last.
_AGE_BOUNDARIES_DAYS = tuple(math.expm1(step / 3) / 24 for step in range(1, schema.AGE_BUCKETS - 1))


def preprocess_events(inputs: Tensors, custom_config: dict[str, Any]) -> Tensors:
    """Makes the features of positive events, or of a request.

    Args:
      inputs: `raw_features.event_features`, each `[batch, length]`.
      custom_config: "config", the configuration as a JSON string.

    Returns:
      The FEATURE_* of events that the configuration switches on, and the ids, labels and texts as they came.
    """
    config = _config_of(custom_config)
    features = config.features
    outputs = {name: tf.identity(inputs[name]) for name in _PASSED_EVENT_FEATURES}
    types = inputs[schema.RAW_HISTORY_EVENT_TYPES]
    outputs[schema.FEATURE_HISTORY_TYPES] = event_type_ids(types)
    outputs[schema.FEATURE_HISTORY_AGES] = age_buckets(
        inputs[schema.RAW_HISTORY_AGES_DAYS], is_pad=tf.equal(inputs[schema.RAW_HISTORY_ITEM_IDS], "")
    )
    if features.time:
        hour, weekday, month = clock(inputs[schema.RAW_TIMESTAMP])
        outputs |= {schema.FEATURE_HOUR: hour, schema.FEATURE_WEEKDAY: weekday, schema.FEATURE_MONTH: month}
    if features.user_buckets:
        outputs[schema.FEATURE_USER_BUCKET] = _user_bucket(inputs[schema.RAW_USER_ID], features.user_buckets)
    for name in features.context:
        feature = schema.FEATURE_CONTEXT_PREFIX + name
        outputs[feature] = _vocabulary_index(inputs[name], feature)
    if features.query and config.encoder.kind == "keras_nlp":
        outputs[schema.FEATURE_QUERY_TOKENS] = token_ids(inputs[schema.RAW_QUERY], config.encoder)
    return outputs


def preprocess_items(inputs: Tensors, custom_config: dict[str, Any]) -> Tensors:
    """Makes the features of items.

    Args:
      inputs: `raw_features.item_features`, each `[batch, 1]`.
      custom_config: "config", the configuration as a JSON string.

    Returns:
      The FEATURE_* of items that the configuration switches on, and `item_id` and `title` as they came.
    """
    config = _config_of(custom_config)
    features = config.features.item
    outputs = {name: tf.identity(inputs[name]) for name in (schema.RAW_ITEM_ID, "title")}
    if features.text:
        text = outputs[schema.FEATURE_TEXT] = joined_text([inputs[name] for name in features.text])
        if config.encoder.kind == "keras_nlp":
            outputs[schema.FEATURE_TEXT_TOKENS] = token_ids(text, config.encoder)
    if features.brand:
        outputs[schema.FEATURE_BRAND] = _vocabulary_index(inputs["brand"], schema.VOCABULARY_BRAND)
    if features.category:
        category = inputs["category"]
        top = tf.strings.regex_replace(category, f"(?s){schema.CATEGORY_SEPARATOR}.*", "")
        outputs[schema.FEATURE_CATEGORY] = _vocabulary_index(category, schema.VOCABULARY_CATEGORY)
        outputs[schema.FEATURE_CATEGORY_TOP] = _vocabulary_index(top, schema.VOCABULARY_CATEGORY_TOP)
    if features.price:
        scaled, bucket = _price(inputs[schema.RAW_PRICE])
        outputs |= {schema.FEATURE_PRICE: scaled, schema.FEATURE_PRICE_BUCKET: bucket}
    return outputs


def event_type_ids(types: tf.Tensor) -> tf.Tensor:
    """Numbers event types: int64 of the same shape, 1 + index in EVENT_TYPES, 0 for "" and what is unknown."""
    known = tf.constant(schema.EVENT_TYPES)
    numbers = tf.range(1, len(schema.EVENT_TYPES) + 1, dtype=tf.int64)
    return tf.reduce_sum(tf.cast(tf.equal(types[..., tf.newaxis], known), tf.int64) * numbers, axis=-1)


def age_buckets(ages_days: tf.Tensor, is_pad: tf.Tensor) -> tf.Tensor:
    """Puts ages into logarithmic buckets.

    Args:
      ages_days: float, any shape.
      is_pad: bool of the same shape, true where there is no event.

    Returns:
      int64 of the same shape, 0 where padded, else 1 .. AGE_BUCKETS - 1.
    """
    buckets = tf.raw_ops.Bucketize(input=ages_days, boundaries=list(_AGE_BOUNDARIES_DAYS))
    return tf.where(is_pad, tf.constant(0, tf.int64), tf.cast(buckets, tf.int64) + 1)


def clock(timestamps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Reads the UTC clock and calendar by integer arithmetic.

    The month comes from counting in years that begin in March, so that the leap day is the last of
    its year (E. G. Richards, "Calendars", in Explanatory Supplement to the Astronomical Almanac, 2013).

    Args:
      timestamps: int64, seconds since 1970 UTC; may be negative.

    Returns:
      (hour 0..23, weekday 0 = Monday, month 0 = January), int64 of the same shape.
    """
    days = tf.math.floordiv(timestamps, 86_400)
    hour = tf.math.floordiv(tf.math.floormod(timestamps, 86_400), 3_600)
    weekday = tf.math.floormod(days + 3, 7)  # 1970-01-01 was a Thursday
    day_of_era = tf.math.floormod(days + 719_468, 146_097)  # eras of 400 years, from 0000-03-01
    leap_days = day_of_era // 1_460 - day_of_era // 36_524 + day_of_era // 146_096
    year_of_era = (day_of_era - leap_days) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = tf.math.floormod((5 * day_of_year + 2) // 153 + 2, 12)
    return hour, weekday, month


def joined_text(parts: list[tf.Tensor]) -> tf.Tensor:
    """Joins the texts of an item by single spaces, category paths without their separators: string `[batch, 1]`."""
    text = tf.strings.join(parts, separator=" ")
    text = tf.strings.regex_replace(text, schema.CATEGORY_SEPARATOR, " ")
    return tf.strings.strip(tf.strings.regex_replace(text, r"\s+", " "))


def _user_bucket(user_ids: tf.Tensor, buckets: int) -> tf.Tensor:
    """Hashes user ids to 1 .. buckets, 0 for "": a table of buckets + 1 rows holds them."""
    hashed = tft.hash_strings(user_ids, buckets) + 1
    return tf.where(tf.equal(user_ids, ""), tf.constant(0, tf.int64), hashed)


def _vocabulary_index(values: tf.Tensor, name: str) -> tf.Tensor:
    """Numbers values by frequency from 1; "" and what the training events lack is 0."""
    return tft.compute_and_apply_vocabulary(values, top_k=VOCABULARY_LIMIT, default_value=-1, vocab_filename=name) + 1


def _price(prices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Scales prices, and puts them into deciles, over the items whose price is known: 0 for the others."""
    known = prices > 0
    # In float64, so that the rounded result is the same whichever code path a batch size takes.
    logs = tf.math.log1p(tf.cast(tf.maximum(prices, 0.0), tf.float64))
    known_logs = tf.boolean_mask(logs, known)
    mean, variance = tft.mean(known_logs), tft.var(known_logs)
    deviation = tf.sqrt(variance)
    scaled = tf.where(known & (deviation > 0), (logs - mean) / tf.where(deviation > 0, deviation, 1.0), 0.0)
    boundaries = tft.quantiles(tf.boolean_mask(prices, known), num_buckets=PRICE_BUCKETS, epsilon=0.001)
    bucket = tft.apply_buckets(prices, boundaries) + 1
    return tf.cast(scaled, tf.float32), tf.where(known, bucket, tf.constant(0, tf.int64))


def _config_of(custom_config: dict[str, Any]) -> Config:
    return parse_config(json.loads(custom_config["config"]), source="custom_config")
