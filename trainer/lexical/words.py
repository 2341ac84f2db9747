"""From any text to words, in the graph: item texts and queries go through the very same ops."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_text as tf_text

from trainer.lexical import units
from trainer.lexical.lines import Lines, split

MOST_CHARACTERS = 1_000  # of a query; nobody types more than that on purpose
_TAG = r"</?[A-Za-z!][^<>]*>"
_ENTITY = r"&#?[A-Za-z0-9]{1,12};"
_MARK = r"\p{Mn}+"
_APOSTROPHE = "['\u2019\u2018`\u00b4]"
_FRACTION_SLASH = "\u2044"
# Scripts that set no spaces between words: each character is one.
_UNSPACED = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}])"
_NOT_OF_CODES = r"[^\p{L}\p{N}]+"
_POINT, _SLASH = "_", "~"  # inside numbers; elsewhere they separate words as any other sign


def cleaned(texts: tf.Tensor) -> tf.Tensor:
    """Folds case, compatibility forms and accents, and takes HTML out.

    Args:
      texts: string [n]; bytes that are no UTF-8 count as spaces.

    Returns:
      string [n].
    """
    found = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace", replacement_char=ord(" "))
    for pattern in (_TAG, _ENTITY):
        found = tf.strings.regex_replace(found, pattern, " ")
    found = tf_text.normalize_utf8(tf_text.case_fold_utf8(found), "NFKD")
    found = tf.strings.regex_replace(found, _MARK, "")
    found = tf.strings.regex_replace(found, _APOSTROPHE, "")
    return tf.strings.regex_replace(found, _FRACTION_SLASH, "/")


def words(texts: tf.Tensor) -> Lines:
    """Splits texts into words.

    Numbers keep their point or slash ("1.75", "1/2"), lose the commas of thousands, and stand apart from their unit
    ("12in", '12"' and "12-inch" are "12 inch").

    Args:
      texts: string [n].

    Returns:
      strings, the words of each text.
    """
    found = tf.strings.regex_replace(cleaned(texts), f"[{_POINT}{_SLASH}]", " ")
    found = tf.strings.regex_replace(found, r"(\d),(\d\d\d)", r"\1\2")
    for sign, kept in ((r"\.", _POINT), ("/", _SLASH)):
        found = tf.strings.regex_replace(found, rf"(\d){sign}(\d)", rf"\1{kept}\2")
    found = tf.strings.regex_replace(found, _UNSPACED, r" \1 ")
    found = units.apart(found)
    found = tf.strings.regex_replace(found, rf"[^\p{{L}}\p{{N}}{_POINT}{_SLASH}]+", " ")
    for sign, kept in ((".", _POINT), ("/", _SLASH)):
        found = tf.strings.regex_replace(found, kept, sign)
    return split(found)


def codes(texts: tf.Tensor) -> Lines:
    """Splits texts at spaces and leaves only letters and digits of each part: "WH-1000XM4," becomes "wh1000xm4".

    Args:
      texts: string [n].

    Returns:
      strings, the parts of each text; "" where nothing is left of a part.
    """
    parts = split(cleaned(texts))
    return parts.with_values(tf.strings.regex_replace(parts.values, _NOT_OF_CODES, ""))


def condensed(texts: tf.Tensor) -> tf.Tensor:
    """Leaves only the letters and digits of whole texts, string [n]."""
    return tf.strings.regex_replace(cleaned(texts), _NOT_OF_CODES, "")


def shortened(texts: tf.Tensor) -> tf.Tensor:
    """Cuts texts [n] to `MOST_CHARACTERS`; bytes that are no UTF-8 become spaces."""
    legal = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace", replacement_char=ord(" "))
    return tf.strings.substr(legal, 0, MOST_CHARACTERS, unit="UTF8_CHAR")
