"""One server for all tests of this folder: TensorFlow takes seconds to load, models take a moment."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from endpoints import Endpoint, has_stock_server, stock_endpoint

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """Commands that ask a model in their own process silence the server's log; the next test shall hear it again."""
    logger = logging.getLogger("aisle.serving")
    level = logger.level
    yield
    logger.setLevel(level)


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


@pytest.fixture(scope="session", params=["embedded", "stock"] if has_stock_server() else ["embedded"])
def endpoint(
    request: pytest.FixtureRequest, half_path: Path, run_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Endpoint]:
    """Where the suite that both servers must pass asks."""
    if request.param == "embedded":
        yield Endpoint.of(request.getfixturevalue("server"))
    else:
        base_paths = {"half_plus_two": half_path, "shop": run_path / "serving/shop"}
        with stock_endpoint(tmp_path_factory.mktemp("stock"), base_paths) as found:
            yield found


@pytest.fixture
def embedded(endpoint: Endpoint, request: pytest.FixtureRequest) -> object:
    """Our server, for tests of the suite that look inside it; they skip the stock one."""
    server = request.getfixturevalue("server")
    if endpoint != Endpoint.of(server):
        pytest.skip("looks inside the embedded server")
    return server
