"""The Examples of a request, as the graphs take them that Classify and Regress ask: serialised, in one tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import Code, ServingError

# The input of such a signature.
INPUTS = "inputs"


def serialised(sent: Any) -> NDArray[Any]:
    """Serialises the Examples of an Input. A context goes before each, for protobuf the same as merging the two.

    Args:
      sent: an Input.

    Returns:
      The Examples, `[batch]`, as `bytes` objects.

    Raises:
      ServingError: INVALID_ARGUMENT if there are none.
    """
    with_context = sent.WhichOneof("kind") == "example_list_with_context"
    chosen = sent.example_list_with_context if with_context else sent.example_list
    context = sent.example_list_with_context.context.SerializeToString() if with_context else b""
    if not chosen.examples:
        raise ServingError(Code.INVALID_ARGUMENT, "Input is empty.")
    array = np.empty(len(chosen.examples), dtype=object)
    array[:] = [context + example.SerializeToString() for example in chosen.examples]
    return array
