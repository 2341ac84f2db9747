"""Fixtures of the tests that run whole pipelines."""

import pytest
from attempts import Attempts


@pytest.fixture(scope="session")
def attempts(tmp_path_factory: pytest.TempPathFactory) -> Attempts:
    """Starts commands without paying for their imports each time."""
    return Attempts(tmp_path_factory.mktemp("attempts"))
