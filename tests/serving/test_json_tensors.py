"""The short way for even lists reads what the long way reads, and leaves to it what it must refuse."""

from typing import Any

import numpy as np
import pytest

from serving import json_tensors
from serving.errors import ServingError
from serving.tensors import DTYPES

VALUES: dict[str, Any] = {
    "flat": [1, 2, 3],
    "floats": [[1.5, 2], [3, float("inf")]],
    "deep": [[[1], [2]], [[3], [4]]],
    "empty": [],
    "empty rows": [[], []],
    "bool among numbers": [[True, 2]],
    "text": ["a"],
    "null": [None],
    "uneven": [[1, 2], [3]],
    "mixed levels": [[1], 2],
    "below zero": [-1],
    "beyond small": [2**31],
    "beyond large": [2**63, 1],
    "beyond all": [2**64],
    "beyond floats": [10**400],
    "half": [1.0],
}


def read(value: Any, dtype: Any) -> Any:
    try:
        return json_tensors._to_array(value, dtype)
    except ServingError as error:
        return str(error)


@pytest.mark.parametrize("case", VALUES)
def test_both_ways_are_one(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for dtype in DTYPES:
        quick = read(VALUES[case], dtype)
        with monkeypatch.context() as patch:
            patch.setattr(json_tensors, "_even_array", lambda _value, _dtype: None)
            slow = read(VALUES[case], dtype)
        if isinstance(slow, str):
            assert quick == slow
        else:
            assert (quick.dtype, quick.shape) == (slow.dtype, slow.shape)
            np.testing.assert_array_equal(quick, slow)
