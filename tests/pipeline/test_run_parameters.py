"""What a run says for itself takes the place of what the configuration says, and goes to the steps that read it."""

from pathlib import Path

import pytest
from tiny_shop import shop_config

from pipeline import run_parameters, step_keys
from pipeline.config import ConfigError


def test_defaults_are_those_of_the_configuration() -> None:
    config = shop_config(Path("/shop"), training={"epochs": 5})
    assert run_parameters.defaults(config) == {
        "events_path": "/shop/events.csv",
        "items_path": "/shop/items.csv",
        "test_start": "2024-03-27",
        "epochs": 5,
    }


def test_values_take_the_place_of_what_stands_there() -> None:
    config = shop_config(Path("/shop"))
    tree = config.model_dump(mode="json")
    told = run_parameters.applied(tree, {"epochs": 2, "items_path": "/other.csv", "users_path": None, "x": 1}, "run")
    assert (told.training.epochs, told.tables.items.path) == (2, "/other.csv")
    assert told.tables.users is None
    assert (told.split, told.tables.events) == (config.split, config.tables.events)
    assert tree == config.model_dump(mode="json")


@pytest.mark.parametrize(
    ("values", "says"), [({"epochs": 0}, "training.epochs"), ({"test_start": "soon"}, "split.test_start")]
)
def test_values_that_cannot_be(values: dict[str, int | str], says: str) -> None:
    with pytest.raises(ConfigError, match=rf"run: {says}: .*got"):
        run_parameters.applied(shop_config(Path("/shop")).model_dump(mode="json"), values, "run")
    with pytest.raises(ConfigError, match=f"parameters: {says}"):
        run_parameters.check(values)


def test_a_parameter_goes_to_the_steps_that_read_its_key() -> None:
    values = {**dict.fromkeys(run_parameters.KEYS, 1), run_parameters.DATA: 1, run_parameters.DATA_VERSION: 1}
    assert set(run_parameters.read_by(values, step_keys.TABLES)) == {*run_parameters.PATHS, "test_start"}
    assert set(run_parameters.read_by(values, step_keys.EXAMPLES)) == {"test_start"}
    for keys in (step_keys.TUNING, step_keys.TRAINING, step_keys.EVALUATION):
        assert set(run_parameters.read_by(values, keys)) == {"epochs", "test_start"}
    for kept in (*step_keys.SCHEMAS.values(), *step_keys.FEATURES.values()):
        assert run_parameters.read_by(values, kept) == {}


def test_paths_below_the_folder_that_the_tables_share() -> None:
    tables = {"events": {"path": "/data/shop/events/*.parquet"}, "items": {"path": "/data/shop/items.csv"}}
    config = shop_config(Path("/shop"), tables=tables)
    assert run_parameters.relative_paths(config) == {"events_path": "events/*.parquet", "items_path": "items.csv"}
    alone = shop_config(Path("/shop"), tables={"events": {"path": "/data/a.csv"}, "items": {"from_events": True}})
    assert run_parameters.relative_paths(alone) == {"events_path": "a.csv"}
