import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from table_files import write

from pipeline.config import Config, ConfigError, encoder_source, load_config, parse_config

TREE: dict[str, Any] = {
    "name": "tiny",
    "tables": {"events": {"path": "data/e.csv"}, "items": {"from_events": True}},
    "split": {"test_start": datetime.date(2025, 1, 1)},
}


def _load(folder: Path, tree: Any = None, overrides: tuple[str, ...] = ()) -> Config:
    return load_config(write(folder / "shop.yaml", yaml.safe_dump(TREE if tree is None else tree)), overrides)


def _with(key: str, value: Any) -> dict[str, Any]:
    """TREE with one key set; dots reach into sections."""
    tree = yaml.safe_load(yaml.safe_dump(TREE))
    branch = tree
    *path, last = key.split(".")
    for part in path:
        branch = branch.setdefault(part, {})
    branch[last] = value
    return dict(tree)


MISTAKES: list[tuple[str, Any, list[str]]] = [
    ("nmae", "x", ["nmae: unknown key", "allowed are name, seed, tables"]),
    ("tables.event", {}, ["tables.event: unknown key", "allowed are events, items, users"]),
    ("tables.events.pth", "x", ["tables.events.pth: unknown key", "path, format, delimiter"]),
    ("features.item.titel", True, ["features.item.titel: unknown key", "id, text, brand"]),
    ("name", "my shop", ["name: ", "got 'my shop'"]),
    ("split", {}, ["split.test_start: is missing"]),
    ("split.test_start", "soon", ["split.test_start: ", "got 'soon'"]),
    ("split.test_days", 0, ["split.test_days: ", "greater than or equal to 1", "got 0"]),
    ("tables.items", {}, ["tables: ", "needs a 'path', or 'from_events: true'"]),
    ("tables.items", {"path": "x.csv", "from_events": True}, ["keep one"]),
    ("tables.events", {}, ["tables.events.path is missing"]),
    ("tables.events.format", "xml", ["tables.events.format: ", "'csv', 'parquet', 'jsonl' or 'ubi'", "got 'xml'"]),
    ("tables.events.delimiter", '"', ["tables.events.delimiter: ", "got '\"'"]),
    ("tables.events.event_types", {"buy": "bought"}, ["'buy' is mapped to 'bought'", "view, click, cart, purchase"]),
    (
        "tables.events.cleaning",
        [{"rule": "dedupe"}],
        ["tables.events.cleaning.0.rule: ", "'duplicate'", "got 'dedupe'"],
    ),
    ("tables.events.cleaning", [{"rule": "missing"}], ["tables.events.cleaning.0: ", "needs 'column'"]),
    ("tables.events.cleaning", [{"rule": "duplicate"}], ["needs 'columns'"]),
    ("tables.events.cleaning", [{"rule": "cancelled", "column": "order_id"}], ["'prefix' or 'values'"]),
    ("tables.events.cleaning", [{"rule": "outlier", "column": "price"}], ["'min', 'max' or both"]),
    (
        "tables.events.cleaning",
        [{"rule": "missing", "colum": "x"}],
        ["tables.events.cleaning.0.colum: unknown key", "prefix"],
    ),
    ("features.item.text", ["name"], ["features.item.text: ", "title, description, brand, category"]),
    ("encoder", {"kind": "tensorflow_hub", "mode": "lora"}, ["encoder: ", "can only be 'frozen'"]),
    ("encoder", {"kind": "tensorflow_hub", "weights": "random"}, ["encoder: ", "can only be 'pretrained'"]),
    ("training.event_weights", {"search": 1}, ["'search' cannot be a label"]),
    ("training.event_weights", {"view": 0}, ["the weight of 'view' is 0"]),
    ("training.event_weights", {}, ["at least one event type"]),
    ("gate.metric", "auc", ["gate.metric: ", "got 'auc'"]),
    ("gate.confidence", 1.0, ["gate.confidence: ", "less than 1", "got 1.0"]),
    (
        "gate.checks",
        [{"table": "all", "metric": "map@5"}],
        ["gate.checks.0.table: ", "'warm', 'new', 'cold' or 'search'"],
    ),
    ("gate.checks", [{"table": "new", "metrics": "map@5"}], ["gate.checks.0.metrics: unknown key", "table, metric"]),
]


@pytest.mark.parametrize(("key", "value", "fragments"), MISTAKES)
def test_a_mistake_names_the_key_what_came_and_what_is_allowed(
    tmp_path: Path, key: str, value: Any, fragments: list[str]
) -> None:
    with pytest.raises(ConfigError) as raised:
        _load(tmp_path, _with(key, value))
    assert str(tmp_path / "shop.yaml") in str(raised.value)
    assert [fragment for fragment in fragments if fragment not in str(raised.value)] == [], str(raised.value)


def test_every_mistake_is_reported_at_once() -> None:
    tree = _with("split.test_days", 0) | {"seed": -1}
    with pytest.raises(ConfigError) as raised:
        parse_config(tree)
    assert [line.split(":")[1].strip() for line in str(raised.value).splitlines()] == ["seed", "split.test_days"]


@pytest.mark.parametrize(
    ("content", "message"),
    [("a: [", "is not valid YAML"), ("- a", "expected keys and values at the top, got list"), ("", "got NoneType")],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path / "shop.yaml", content))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "nothing.yaml")
    with pytest.raises(ConfigError, match="cannot be read as a UTF-8 text file"):
        load_config(write(tmp_path / "shop.yaml", b"name: \xff"))


def test_overrides_win_in_their_order_and_are_read_as_yaml(tmp_path: Path) -> None:
    overrides = ("training.epochs=3", "training.epochs=5", "features.context=[country, weather]", "gate.tolerance=1e-2")
    config = _load(tmp_path, overrides=(*overrides, "tables.events.delimiter=;"))
    assert config.training.epochs == 5
    assert config.features.context == ("country", "weather")
    assert config.gate.tolerance == 0.01
    assert config.tables.events.delimiter == ";"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs", "expected KEY.SUBKEY=VALUE"),
        ("=3", "expected KEY.SUBKEY=VALUE"),
        ("training..epochs=3", "expected KEY.SUBKEY=VALUE"),
        ("training.epochs=[", "not valid YAML"),
        ("name.first=x", "'name' holds a value"),
        ("training.epochs=many", "training.epochs: .*got 'many'"),
        ("training.epoch=1", "training.epoch: unknown key"),
    ],
)
def test_a_mistake_in_an_override(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _load(tmp_path, overrides=(override,))


def test_paths_start_at_the_files_folder_those_of_overrides_at_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert _load(tmp_path).tables.events.path == str(tmp_path / "data" / "e.csv")
    assert _load(tmp_path, _with("tables.events.path", "../e.csv")).tables.events.path == str(tmp_path.parent / "e.csv")
    assert _load(tmp_path, _with("tables.events.path", "/data/e.csv")).tables.events.path == "/data/e.csv"
    overridden = _load(tmp_path, overrides=("tables.events.path=e.csv",))
    assert overridden.tables.events.path == str(tmp_path / "here" / "e.csv")


def test_variables_of_the_environment_fill_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = _with("tables.events.path", "${SHOP_DATA:-fallback}/${SHOP_FILE}.csv")
    monkeypatch.setenv("SHOP_FILE", "e")
    monkeypatch.delenv("SHOP_DATA", raising=False)
    assert _load(tmp_path, tree).tables.events.path == str(tmp_path / "fallback" / "e.csv")
    monkeypatch.setenv("SHOP_DATA", "/data")
    assert _load(tmp_path, tree).tables.events.path == "/data/e.csv"
    monkeypatch.delenv("SHOP_FILE")
    with pytest.raises(ConfigError, match="needs the environment variable SHOP_FILE, which is not set"):
        _load(tmp_path, tree)


def test_a_configuration_travels_as_json(tmp_path: Path) -> None:
    rule = {"rule": "cancelled", "column": "order_id", "prefix": "C"}
    config = _load(tmp_path, _with("tables.events.cleaning", [rule]))
    assert parse_config(config.model_dump(mode="json")) == config


@pytest.mark.parametrize("name", ["simulated", "online_retail", "esci"])
def test_the_examples_are_valid(name: str) -> None:
    config = load_config(Path(__file__).parents[2] / "examples" / f"{name}.yaml")
    assert config.name == name


def test_an_encoder_is_a_bundled_name_a_folder_or_stays_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("AISLE_MODELS", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)

    def source(preset: str) -> str:
        return encoder_source(parse_config(_with("encoder.preset", preset)).encoder)

    assert source("mine") == str(tmp_path / "models" / "mine")
    assert source("elsewhere") == str(tmp_path / "elsewhere")
    assert source("bert_tiny_en_uncased") == "bert_tiny_en_uncased"
    with pytest.raises(ConfigError, match="run `make setup`"):
        source("all-minilm-l6-v2")


def test_the_gate_takes_what_a_check_leaves_out_from_its_main_keys() -> None:
    checks = [{"table": "new", "metric": "recall@5"}, {"table": "cold", "metric": "map@10", "rivals": ["ease"]}]
    gate = {"rivals": ["popular", "own_frequency"], "tolerance": 0.01, "checks": checks}
    found = parse_config({**TREE, "gate": gate}).gate
    assert [tuple(check.model_dump().values()) for check in found.all_checks("warm")] == [
        ("warm", "ndcg@20", ("popular", "own_frequency"), 0.01),
        ("new", "recall@5", ("popular", "own_frequency"), 0.01),
        ("cold", "map@10", ("ease",), 0.01),
    ]
    assert found.all_rivals() == ("popular", "own_frequency", "ease")
