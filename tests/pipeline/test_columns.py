from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.columns.number import to_numbers
from pipeline.columns.text import drop_float_ending, join_texts, to_text
from pipeline.columns.timestamp import to_seconds

NOON = int(pd.Timestamp("2024-01-01T12:00:00Z").timestamp())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([17850.0, None, float("nan"), 3.5]), ["17850", "", "", "3.5"]),
        (pa.array([1, None, 2**60]), ["1", "", str(2**60)]),
        (pa.array([" a ", None, "b\t"]), ["a", "", "b"]),
        (pa.array([True, None, False]), ["true", "", "false"]),
        (pa.array([["Home", " Bed "], None, ["", None, "Sofa"]]), ["Home > Bed", "", "Sofa"]),
        (pa.array([[1.0], [2, 3], []]), ["1", "2 > 3", ""]),
        (pa.array([Decimal("1.50"), None, Decimal("200.00")]), ["1.5", "", "200"]),
        (pa.nulls(3), ["", "", ""]),
    ],
)
def test_text_of_any_type(values: pa.Array, expected: list[str]) -> None:
    assert to_text(values, " > ").to_pylist() == expected
    assert to_text(values.slice(1), " > ").to_pylist() == expected[1:]


def test_ids_lose_the_ending_of_floats_and_nothing_else() -> None:
    ids = pa.array(["17850.0", "17850", "a.0", "1.05", "v1.0", "0.0", ""])
    assert drop_float_ending(ids).to_pylist() == ["17850", "17850", "a.0", "1.05", "v1.0", "0", ""]


def test_joined_texts_have_one_space_between_those_that_are_there() -> None:
    columns = [pa.array(["a", "", "a", ""]), pa.array(["b", "b", "", ""]), pa.array(["c", "", "c", ""])]
    assert join_texts(columns).to_pylist() == ["a b c", "b", "a c", ""]


@pytest.mark.parametrize("missing", ["", "NaN", "nan", "NULL", "None", "N/A", "-", r"\N", " "])
def test_a_missing_number_is_no_mistake(missing: str) -> None:
    for others in (["1"], ["1", "oops"]):  # with and without the way for odd columns
        numbers, bad = to_numbers(pa.array([missing, *others]))
        assert np.isnan(numbers[0])
        assert list(bad) == [False, *(text == "oops" for text in others)]


@pytest.mark.parametrize("wrong", ["abc", "1,5", "£3", "1 000", "inf", "-Infinity", "2024-01-01"])
def test_what_is_no_number_is_marked(wrong: str) -> None:
    numbers, bad = to_numbers(pa.array(["1.5", wrong, " 2 ", "1e3", "-4"]))
    assert list(bad) == [False, True, False, False, False]
    np.testing.assert_array_equal(numbers, [1.5, np.nan, 2, 1000, -4])


@given(st.lists(st.one_of(st.none(), st.floats(), st.integers(-(2**53), 2**53))))
@settings(max_examples=50, deadline=None)
def test_numbers_and_their_texts_read_the_same(values: list[Any]) -> None:
    numbers, bad = to_numbers(pa.array(values, pa.float64()))
    again, again_bad = to_numbers(
        pa.array([None if value is None else repr(float(value)) for value in values], pa.string())
    )
    np.testing.assert_array_equal(numbers, again)
    np.testing.assert_array_equal(bad, again_bad)


@pytest.mark.parametrize(
    "form",
    [
        "2024-01-01T12:00:00Z",
        "2024-01-01 12:00:00",
        "2024-01-01T12:00",
        "2024-01-01T12:00:00.999",
        "2024-01-01T12:00:00.123456789Z",
        "2024-01-01T14:00:00+02:00",
        "2024-01-01T07:00:00-0500",
        "2024-01-01T13:00:00 +0100",
        "2024-01-01 12:00:00 UTC",
        "2024/01/01 12:00:00",
        "20240101T120000Z",
        "1704110400",
        "1704110400.75",
        "1704110400000",
        "1704110400000000",
        "1704110400000000000",
    ],
)
def test_every_form_of_a_moment(form: str) -> None:
    for column in ([form], [form, form], [form, "2024-01-01T12:00:00Z", "2024-01-01 12:00:00", "1704110400"]):
        seconds, missing, bad = to_seconds(pa.array(column))
        assert not missing.any()
        assert not bad.any()
        assert list(seconds) == [NOON] * len(column)


@pytest.mark.parametrize(
    "wrong",
    ["01/02/2024", "2024-13-01", "2024-02-30", "24-01-01", "noon", "-5", "1969-12-31", "9999-12-31", "0", "2024"],
)
def test_what_is_no_moment_is_marked(wrong: str) -> None:
    seconds, missing, bad = to_seconds(pa.array([wrong, "2024-01-01T12:00:00Z", "", None]))
    if wrong == "2024":  # a number: seconds after midnight of 1970-01-01
        assert seconds[0] == 2024
        return
    assert list(bad) == [True, False, False, False]
    assert list(missing) == [False, False, True, True]
    assert list(seconds) == [0, NOON, 0, 0]


def test_a_day_in_digits_is_no_number_of_seconds() -> None:
    seconds, _, _ = to_seconds(pa.array(["20240101", "2024-01-01"]))
    assert list(seconds) == [NOON - 12 * 3600] * 2


@pytest.mark.parametrize(
    "array",
    [
        pa.array([NOON, None]),
        pa.array([NOON * 1000.0, None]),
        pa.array([NOON, None], pa.timestamp("s")),
        pa.array([NOON * 10**9, None], pa.timestamp("ns")),
        pa.array([NOON * 1000, None], pa.timestamp("ms", "America/New_York")),
        pa.array([NOON * 1000 + 999, None], pa.timestamp("ms")),
    ],
)
def test_moments_of_other_types(array: pa.Array) -> None:
    seconds, missing, bad = to_seconds(array)
    assert list(seconds) == [NOON, 0]
    assert list(missing) == [False, True]
    assert not bad.any()
