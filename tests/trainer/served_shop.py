"""A small shop with an untrained model of the real kind behind real transform graphs, exported."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_transform.beam as tft_beam
from shop_tables import write_events, write_items
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

from pipeline import preprocessing, raw_features, schema
from pipeline.config import Config, encoder_source, parse_config
from trainer.catalogue import Catalogue
from trainer.encoders.text import load_encoder
from trainer.export import Learned, export_model
from trainer.models.two_tower import TwoTower
from trainer.towers.projection import principal_projection
from trainer.transform import TransformGraph, feature_sizes

HISTORY = 6
COLOURS, THINGS, COUNTRIES = ("red", "blue", "green", "black"), ("shoe", "lamp", "knife", "rose"), ("GB", "DE", "FR")
TENSORS = {"string": tf.string, "int": tf.int64, "float": tf.float32}
FIRST, LAST = 1_600_000_000, 1_600_900_000


def served_config(**sections: Any) -> Config:
    """The configuration of the shop; `sections` are merged into it."""
    tree: dict[str, Any] = {
        "name": "served",
        "tables": {"events": {"path": "unused"}, "items": {"from_events": True}},
        "split": {"test_start": "2020-09-20"},
        "features": {"history": {"length": HISTORY}, "context": ["country"], "user_buckets": 16},
        "encoder": {"sequence_length": 16},
        "model": {"dimension": 16, "hidden": [32]},
        "serving": {"default_k": 5},
    }
    for section, values in sections.items():
        tree[section] = {**tree.get(section, {}), **values}
    return parse_config(tree)


def raw_item(row: int) -> dict[str, Any]:
    """The raw values of the item in this row."""
    colour, thing = COLOURS[row % 4], THINGS[row // 4 % 4]
    return {
        "item_id": f"i{row:05}",
        "title": f"{colour} {thing} {row}",
        "description": "",
        "brand": f"brand {row % 3}",
        "category": f"home > {thing}",
        "price": 1.0 + row,
    }


def raw_stock(row: int) -> float | None:
    """How many of the item in this row are in stock: none of every fifth, unknown of every seventh."""
    return 0.0 if row % 5 == 0 else None if row % 7 == 0 else 3.0


def raw_event(number: int, items: int) -> dict[str, Any]:
    """The raw values of one positive event."""
    generator = np.random.default_rng(number)
    met = [f"i{row:05}" for row in generator.integers(items, size=generator.integers(HISTORY + 1))]
    types = [schema.EVENT_TYPES[int(each)] for each in generator.integers(5, size=len(met))]
    rest = HISTORY - len(met)
    return {
        "user_id": f"u{number % 9}" if number % 4 else "",
        "timestamp": FIRST + number * 3_600,
        "history_item_ids": met + [""] * rest,
        "history_event_types": types + [""] * rest,
        "history_ages_days": [float(each) for each in generator.exponential(20.0, len(met))] + [0.0] * rest,
        "query": raw_item(number)["title"] if number % 3 == 0 else "",
        "item_id": f"i{number % items:05}",
        "event_type": "purchase",
        "value": 0.0,
        "weight": 1.0,
        "country": COUNTRIES[number % 3],
    }


def write_graph(rows: list[dict[str, Any]], features: Any, function: Any, config: Config, folder: Path) -> str:
    """Runs Transform's analysis over raw rows and writes the graph."""
    spec = {each.name: tf.io.FixedLenFeature([each.length], TENSORS[each.kind]) for each in features}
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    known = [{name: np.reshape(row[name], [-1]) for name in spec} for row in rows]
    context = {"config": config.model_dump_json()}
    with tempfile.TemporaryDirectory() as scratch, tft_beam.Context(temp_dir=scratch), beam.Pipeline() as pipeline:
        data = pipeline | beam.Create(known)
        graph = (data, metadata) | tft_beam.AnalyzeDataset(lambda inputs: function(inputs, context))
        _ = graph | tft_beam.WriteTransformFn(str(folder))
    return str(folder)


@dataclass(frozen=True)
class ServedShop:
    """An exported model and all that it was made of."""

    config: Config
    catalogue: Catalogue
    model: TwoTower
    item_vectors: np.ndarray
    event_graph: str
    item_graph: str
    tables: Path
    folder: Path

    def export(self, folder: Path, **changes: Any) -> None:
        """Exports the model again."""
        parts = {"model": self.model, "catalogue": self.catalogue, "item_vectors": self.item_vectors}
        parts |= {"refitted": True} | {
            name: changes.pop(name) for name in (*parts, "stage", "heads", "search") if name in changes
        }
        settings = {
            "event_transform_graph": self.event_graph,
            "item_transform_graph": self.item_graph,
            "tables_dir": str(self.tables),
            "config": self.config,
        }
        export_model(folder, Learned(**parts), **{**settings, **changes})


def build_shop(folder: Path, config: Config, items: int = 48) -> ServedShop:
    """Makes tables, transform graphs and an untrained model, and exports it."""
    rows = [raw_item(row) for row in range(items)]
    events = [raw_event(number, items) for number in range(60)]
    event_graph = write_graph(
        events, raw_features.event_features(config), preprocessing.preprocess_events, config, folder / "event_graph"
    )
    item_graph = write_graph(
        rows, raw_features.item_features(), preprocessing.preprocess_items, config, folder / "item_graph"
    )
    write_items(folder / "tables", [raw_item(row) | {"stock": raw_stock(row)} for row in range(items)])
    write_events(folder / "tables", [("u1", "i00001", FIRST, "purchase"), ("u2", "i00002", LAST, "view")])
    catalogue = _catalogue(rows, item_graph)
    model, vectors = _untrained(config, catalogue, event_graph, item_graph)
    shop = ServedShop(config, catalogue, model, vectors, event_graph, item_graph, folder / "tables", folder / "model")
    shop.export(shop.folder)
    return shop


def encoder_is_there(config: Config) -> bool:
    """Whether `make setup` has brought the text encoder."""
    return Path(encoder_source(config.encoder)).is_dir()


def _catalogue(rows: list[dict[str, Any]], item_graph: str) -> Catalogue:
    layer = TransformGraph(item_graph)
    columns = {name: [[row[name]] for row in rows] for name in rows[0]}
    features = {name: values.numpy() for name, values in layer({n: tf.constant(v) for n, v in columns.items()}).items()}
    tokens = features.pop("text_tokens")
    numbers = {name: values[:, 0] for name, values in features.items() if values.dtype != object}
    return Catalogue(
        ids=np.array([row["item_id"] for row in rows], object),
        titles=np.array([row["title"] for row in rows], object),
        texts=tokens,
        features=numbers,
    )


def _untrained(config: Config, catalogue: Catalogue, event_graph: str, item_graph: str) -> tuple[TwoTower, np.ndarray]:
    tf.random.set_seed(5)
    encoder = load_encoder(config.encoder)
    text = np.concatenate([encoder(tf.constant(part)).numpy() for part in np.array_split(catalogue.texts, 8)])
    counts = (np.arange(len(catalogue)) % 5 > 0).astype(np.int64)
    sizes = feature_sizes(event_graph, item_graph, config)
    matrix = principal_projection(text, config.model.dimension)
    model = TwoTower(config, counts, sizes=sizes, encoder=encoder, text_matrix=matrix)
    features = {name: tf.constant(values) for name, values in catalogue.features.items()}
    vectors = model.item_vectors(features, tf.range(len(catalogue)), tf.constant(text)).numpy()
    empty = {name: tf.zeros([1, 1], tf.int64) for name in model.query_feature_names}
    history = tf.zeros([1, config.features.history.length], tf.int64)
    empty |= {"history_types": history, "history_ages": history}
    model.query_vectors(empty, history, tf.zeros([1, encoder.width]), tf.constant(vectors))  # makes the weights
    _spread(model)
    return model, model.item_vectors(features, tf.range(len(catalogue)), tf.constant(text)).numpy()


def _spread(model: TwoTower) -> None:
    """Gives the towers' weights values as large as training does, so that every feature shows in the scores."""
    generator = np.random.default_rng(11)
    for variable in model.trainable_variables:
        if not variable.path.startswith("text_encoder") and len(variable.shape) > 0:
            variable.assign(np.asarray(variable) + generator.normal(scale=0.15, size=variable.shape))
