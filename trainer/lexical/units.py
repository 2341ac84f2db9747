"""Numbers and the units behind them, in one way of writing."""

from __future__ import annotations

import tensorflow as tf

# One name for the ways in which shops and customers write a unit behind a number.
_NAMES: dict[str, str] = {
    "inch": 'inches|inch|in|"|\u201d|\u2033',
    "ft": "feet|foot|ft",
    "mm": "millimeters?|millimetres?|mm",
    "cm": "centimeters?|centimetres?|cm",
    "ml": "milliliters?|millilitres?|ml",
    "mg": "milligrams?|mg",
    "kg": "kilograms?|kgs?",
    "oz": "ounces?|oz",
    "lb": "pounds?|lbs?",
    "gb": "gigabytes?|gb",
    "tb": "terabytes?|tb",
    "pack": "packs?|pk",
    "piece": "pieces?|pcs?",
    "watt": "watts?|w",
    "volt": "volts?|v",
    "mah": "mah",
    "qt": "quarts?|qt",
    "gallon": "gallons?|gal",
}


def apart(texts: tf.Tensor) -> tf.Tensor:
    """Sets one space between a number and its unit, and gives the unit its one name.

    Args:
      texts: string [n], of small letters.

    Returns:
      string [n].
    """
    # Most searches hold no number.
    counted = tf.reduce_any(tf.strings.regex_full_match(texts, r"(?s).*\d.*"))
    return tf.cond(counted, lambda: _set_apart(texts), lambda: texts)


def _set_apart(texts: tf.Tensor) -> tf.Tensor:
    for name, ways in _NAMES.items():
        # Behind a space only what is spelled out: "5 in a box" counts no inches.
        spelled = "|".join(way for way in ways.split("|") if len(way) > 2)
        written = rf"{ways}|[ \-](?:{spelled})" if spelled else ways
        texts = tf.strings.regex_replace(texts, rf"(\d)(?:{written})(?:$|([^\p{{L}}\p{{N}}]))", rf"\1 {name} \2")
    return texts
