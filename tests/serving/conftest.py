"""One server for all tests of this folder: TensorFlow takes seconds to load, models take a moment."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(scope="session")
def half_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base path of half_plus_two, with version 1."""
    from tiny_models import save_half_plus

    base_path = tmp_path_factory.mktemp("half") / "half_plus_two"
    save_half_plus(base_path / "1")
    return base_path


@pytest.fixture(scope="session")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder, DIR: serving/shop/3 and histories.parquet."""
    from history_tables import write_histories
    from tiny_models import save_shop

    folder = tmp_path_factory.mktemp("run")
    save_shop(folder / "serving/shop/3")
    write_histories(folder / "histories.parquet")
    return folder


@pytest.fixture(scope="session")
def server(half_path: Path, run_path: Path) -> "Iterator[object]":
    """Serves both models on free ports."""
    from serving.model_store import ModelStore
    from serving.server import Server

    stores = [ModelStore("half_plus_two", half_path), ModelStore("shop", run_path / "serving/shop")]
    with Server(stores) as running:
        yield running
