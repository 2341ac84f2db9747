"""Text of values of any type."""

from __future__ import annotations

import decimal

import pyarrow as pa
import pyarrow.compute as pc

MAX_ID_CHARACTERS = 512
MAX_TEXT_CHARACTERS = 10_000


def to_text(array: pa.Array, separator: str = " ") -> pa.Array:
    """Makes strings of values: trimmed, never null.

    Whole numbers lose their point (`17850.0` becomes `17850`), lists are joined.

    Args:
      array: strings, numbers, booleans, moments or lists, `[rows]`.
      separator: what joins the entries of a list.

    Returns:
      Strings `[rows]`, "" where there is no value.
    """
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        return _join_lists(array, separator)
    if pa.types.is_null(array.type):
        return pa.array([""] * len(array), pa.string())
    if pa.types.is_floating(array.type):
        # Arrow prints 17850.0 as 17850; only the missing ones must not become "nan".
        array = pc.if_else(pc.is_finite(array), array, None)
    if pa.types.is_boolean(array.type):
        array = pc.if_else(array, "true", "false")
    if pa.types.is_decimal(array.type):
        array = pa.array([None if value is None else _plain(value) for value in array.to_pylist()], pa.string())
    if not pa.types.is_string(array.type):
        array = array.cast(pa.string())
    return pc.utf8_trim_whitespace(pc.fill_null(array, ""))


def drop_float_ending(ids: pa.Array) -> pa.Array:
    """Repairs ids that went through floats on their way into a text file: `17850.0` becomes `17850`.

    Args:
      ids: strings, `[rows]`.
    """
    if not pc.any(pc.ends_with(ids, ".0"), min_count=0).as_py():
        return ids
    return pc.replace_substring_regex(ids, r"^(\d+)\.0$", r"\1")


def join_texts(arrays: list[pa.Array]) -> pa.Array:
    """Joins several columns with a space, leaving empty ones out.

    Args:
      arrays: strings, `[rows]` each.
    """
    joined = pc.binary_join_element_wise(*arrays, " ")
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(joined, "  +", " ")) if len(arrays) > 1 else joined


def longer_than(texts: pa.Array, limit: int) -> pa.Array:
    """Marks texts of more than `limit` characters, `[rows]`."""
    return pc.greater(pc.utf8_length(texts), limit)


def has_long(texts: pa.Array, limit: int) -> bool:
    """Tells cheaply whether some text may have more than `limit` characters."""
    longest = pc.max(pc.binary_length(texts)).as_py()
    return longest is not None and longest > limit


def _plain(value: decimal.Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _join_lists(array: pa.Array, separator: str) -> pa.Array:
    texts = iter(to_text(array.flatten()).to_pylist())
    joined = [separator.join(text for _ in entries or () if (text := next(texts))) for entries in array.to_pylist()]
    return pa.array(joined, pa.string())
