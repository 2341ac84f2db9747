"""How the fuzz tests look for what breaks: always the same examples, or many others.

AISLE_FUZZ_EXAMPLES=100000 pytest tests/serving/test_fuzz_rest.py
"""

import os
import re
from typing import Any

import hypothesis

EXAMPLES = int(os.environ.get("AISLE_FUZZ_EXAMPLES", "0"))
# What a client must not learn: where files lie, which code runs.
_INSIDE = re.compile(r"Traceback|\.py\b|site-packages|\bline \d+, in\b|(?<![\w/])/(tmp|home|root|usr|var|opt|etc)/")


def fuzzed(examples: int, deadline_s: float = 10.0) -> Any:
    """Decorates a fuzz test: so many examples, each within `deadline_s`."""
    return hypothesis.settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        database=None,
        deadline=deadline_s * 1000,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def assert_tells_nothing(text: str, sent: str = "") -> None:
    """Checks that an answer shows nothing of the server's inside but what the client itself sent."""
    found = _INSIDE.search(text)
    assert found is None or found.group() in sent, text
