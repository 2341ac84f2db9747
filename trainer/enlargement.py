"""A pushed model with a larger catalogue: the same weights, and whatever else an item needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tensorflow as tf

from pipeline import schema
from pipeline.config import Config, parse_config
from trainer.catalogue import Catalogue, catalogue_of, item_spec
from trainer.encoders.batching import Progress
from trainer.encoders.text import TextEncoder, load_encoder
from trainer.event_log import learned_purchases
from trainer.export import CONFIG_FILE, Learned, export_model
from trainer.heads.windows import HeadTrainer, wants_heads
from trainer.lexical.fusion import FusionWeights
from trainer.lexical.texts import read_item_texts
from trainer.models.tables import TrainingTables
from trainer.models.two_tower import TwoTower
from trainer.ranking.knowledge import Knowledge, Wares
from trainer.ranking.network import BINS, RankingNetwork
from trainer.ranking.stage import Lookout, TwoStage
from trainer.ranking.training import price_levels
from trainer.ranking.trees import BoostedTrees
from trainer.reranking.reranker import Reranker
from trainer.saved_weights import SavedWeights
from trainer.search import LearnedSearch
from trainer.texts import TextVectors
from trainer.transform import TransformGraph, feature_sizes
from trainer.validation import CatalogueVectors

_WEIGHTS, _STAGE = "_weights", "_answers/_stage/_weights"
_FUSION, _RERANKER = "_search/_fusion/_weights", "_search/_reranker/_weights"
_TREES = ("_answers/_stage/_trees/0/symmetric", "_answers/_stage/_trees/1/symmetric")
_BATCH = 4096

Arrays = list[npt.NDArray[Any]]
Texts = Callable[[], npt.NDArray[np.float32] | None]


class EnlargementError(ValueError):
    """The catalogue cannot be enlarged; the message says why and what to do."""


@dataclass(frozen=True)
class Parts:
    """Where the parts of the larger model lie.

    Args:
      version: folder of the pushed SavedModel.
      tables: folder of the tables; its items.parquet is the larger catalogue.
      event_transform: output of the Transform step for events that the model was trained with.
      item_transform: the same for items.
      cache: folder of text vectors.
    """

    version: Path
    tables: Path
    event_transform: Path
    item_transform: Path
    cache: Path


def enlarge(parts: Parts, folder: Path, on_progress: Progress | None = None) -> int:
    """Writes a SavedModel that knows all items of the tables.

    Towers, encoder, ranking networks and trees keep their weights: nothing of them learns. Vectors, postings,
    attributes and what the ranking stage knows of items are made for all items; heads are fitted anew, as what they
    read of an item depends on the whole catalogue. An item that the model had no vector of its own for gets none now.

    Args:
      parts: what to make it of.
      folder: of the new SavedModel; appears when all of it is written.
      on_progress: called while texts that no cache knows are encoded.

    Returns:
      How many items the model knows.

    Raises:
      EnlargementError: if the version cannot be enlarged, or an item of it is no longer in the tables.
    """
    config, saved = _read_config(parts.version), SavedWeights(parts.version)
    catalogue, encoder = _read_items(parts, config), _encoder(config)
    encoded = partial(_encoded, config, encoder, catalogue, cache=parts.cache, on_progress=on_progress)

    # What ranking stage and heads know of texts is from before the towers learned; a frozen encoder has not changed.
    first = None if config.encoder.mode == "frozen" else encoded()
    counts = _own_vectors(saved, catalogue)
    model = _towers(parts, config, catalogue, counts=counts, encoder=encoder, weights=saved.weights(_WEIGHTS))
    # Meanwhile Python builds the graph, which takes about as long and only one processor.
    with ThreadPoolExecutor(1) as aside:
        texts = aside.submit(encoded).result
        known = texts if first is None else lambda: first
        vectors = partial(_item_vectors, model, catalogue, counts, texts)
        _export(
            folder, _learned(parts, config, catalogue, saved, model=model, texts=known, vectors=vectors), parts, config
        )
    return len(catalogue)


def _item_vectors(
    model: TwoTower, catalogue: Catalogue, counts: npt.NDArray[np.int64], texts: Texts
) -> npt.NDArray[np.float32]:
    tables = TrainingTables(catalogue, counts, item_text=texts(), query_text=None)
    return CatalogueVectors(model, tables).compute()


def _learned(
    parts: Parts,
    config: Config,
    catalogue: Catalogue,
    saved: SavedWeights,
    *,
    model: TwoTower,
    texts: Texts,
    vectors: Callable[[], npt.NDArray[np.float32]],
) -> Learned:
    """Puts together what to export; waits for the texts only where something must be made of them now."""
    return Learned(
        model,
        catalogue,
        item_vectors=np.zeros((len(catalogue), config.model.dimension), np.float32),
        stage=_stage(parts, config, catalogue, texts=texts, saved=saved),
        heads=HeadTrainer(config, catalogue, str(parts.tables), texts()).final() if wants_heads(config) else {},
        search=_search(saved, config, str(parts.tables), catalogue),
        refitted=config.training.refit,
        vectors_later=vectors,
    )


def _encoder(config: Config) -> TextEncoder | None:
    reads = config.features.query or bool(config.features.item.text)
    return load_encoder(config.encoder, seed=config.seed) if reads else None


def _encoded(
    config: Config, encoder: TextEncoder | None, catalogue: Catalogue, *, cache: Path, on_progress: Progress | None
) -> npt.NDArray[np.float32] | None:
    """Encodes the items' texts, [items, width]; None where the towers read none."""
    if encoder is None or catalogue.texts is None:
        return None
    return TextVectors(config.encoder, encoder, cache, on_progress=on_progress).encode(catalogue.texts)


def _export(folder: Path, learned: Learned, parts: Parts, config: Config) -> None:
    export_model(
        folder,
        learned,
        event_transform_graph=str(parts.event_transform),
        item_transform_graph=str(parts.item_transform),
        tables_dir=str(parts.tables),
        config=config,
    )


def _towers(
    parts: Parts,
    config: Config,
    catalogue: Catalogue,
    *,
    counts: npt.NDArray[np.int64],
    encoder: TextEncoder | None,
    weights: Arrays,
) -> TwoTower:
    """Makes the towers with the weights of the pushed model, its encoder's among them."""
    sizes = feature_sizes(str(parts.event_transform), str(parts.item_transform), config)
    start = None if encoder is None else np.zeros((encoder.width, config.model.dimension), np.float32)
    model = TwoTower(config, counts, sizes=sizes, encoder=encoder, text_matrix=start)
    _build(model, catalogue, config)
    _assign(model.variables, weights, keeps=model.id_places.path)
    return model


def _read_config(version: Path) -> Config:
    file = version / CONFIG_FILE
    if not file.is_file():
        raise EnlargementError(f"{file} is missing: an older aisle has made this model; run the pipeline once more")
    return parse_config(json.loads(file.read_text(encoding="utf-8")), source=str(file))


def _read_items(parts: Parts, config: Config) -> Catalogue:
    """Transforms the items of the tables as the training did."""
    spec, graph = item_spec(config), TransformGraph(str(parts.item_transform))
    transform = tf.function(graph, autograph=False, reduce_retracing=True)
    names = (schema.RAW_ITEM_ID, *schema.RAW_ITEM_TEXTS, schema.RAW_PRICE)
    table = pq.read_table(parts.tables / "items.parquet", columns=list(names))
    columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in spec}
    for start in range(0, len(table), _BATCH):
        part = table.slice(start, _BATCH)
        raw = {name: pc.fill_null(part[name], 0.0 if name == schema.RAW_PRICE else "").to_pylist() for name in names}
        price = tf.constant(raw.pop(schema.RAW_PRICE), tf.float32)[:, tf.newaxis]
        texts = {name: tf.constant(values)[:, tf.newaxis] for name, values in raw.items()}
        found = transform({**texts, schema.RAW_PRICE: price})
        for name, values in columns.items():
            values.append(found[name].numpy())
    return catalogue_of({name: np.concatenate(values) for name, values in columns.items()})


def _own_vectors(saved: SavedWeights, catalogue: Catalogue) -> npt.NDArray[np.int64]:
    """Answers 1 for the items that have a vector of their id, [items]."""
    ids = saved.item_ids()
    rows = catalogue.rows(ids)
    gone = np.flatnonzero(rows < 0)
    if len(gone):
        raise EnlargementError(f"item '{ids[gone[0]]}' of the model is not in the tables; only items can be added")
    places = next(
        (each for each in saved.weights(_WEIGHTS) if each.dtype == np.int32 and each.shape == (len(ids) + 1,)), None
    )
    if places is None:
        raise EnlargementError("the model does not say which items it learned of; run the pipeline once more")
    counts = np.zeros(len(catalogue), np.int64)
    counts[rows[places[1:] > 0]] = 1
    return counts


def _build(model: TwoTower, catalogue: Catalogue, config: Config) -> None:
    """Makes the weights of the towers, by one item and one request."""
    features = {name: tf.constant(values[:1]) for name, values in catalogue.features.items()}
    text = None if model.encoder is None else tf.zeros([1, model.encoder.width])
    item_text = text if config.features.item.text else None
    vectors = model.item_vectors(features, tf.zeros([1], tf.int32), item_text)
    history = tf.zeros([1, config.features.history.length], tf.int64)
    request = {name: tf.zeros([1, 1], tf.int64) for name in model.query_feature_names}
    request |= {"history_types": history, "history_ages": history}
    model.query_vectors(request, history, text if config.features.query else None, vectors)


def _stage(parts: Parts, config: Config, catalogue: Catalogue, *, texts: Texts, saved: SavedWeights) -> TwoStage | None:
    """Makes the ranking stage: networks and trees as they are, what is known of all items now."""
    weights, trees = saved.weights(_STAGE), [saved.weights(name) for name in _TREES]
    if not weights:
        return None
    if config.ranking.trees.count and not all(trees):
        raise EnlargementError(
            f"{parts.version} has no trees as this version of aisle reads them; run the pipeline once more"
        )
    width = next(each.shape[0] for each in weights if each.ndim == 2 and each.shape[1] == BINS)
    networks = [RankingNetwork(width, config.ranking, config.seed + place) for place in range(config.ranking.ensemble)]
    for network in networks:
        network(tf.zeros([1, width]))
    _assign([variable for network in networks for variable in network.variables], weights)
    bought = learned_purchases(str(parts.tables), list(catalogue.ids), config)
    knowledge = Knowledge(bought, Wares(price_levels(catalogue), texts()), config.ranking)
    fitted = (BoostedTrees(trees[0]), BoostedTrees(trees[1])) if config.ranking.trees.count else None
    return TwoStage(Lookout(knowledge, config), networks, fitted, depth=config.ranking.depth)


def _search(saved: SavedWeights, config: Config, tables: str, catalogue: Catalogue) -> LearnedSearch:
    return LearnedSearch(_search_weights(saved, config, tables, catalogue), _reranker(saved, config, catalogue))


def _search_weights(saved: SavedWeights, config: Config, tables: str, catalogue: Catalogue) -> FusionWeights | None:
    """Reads what words and meaning count; a column that no item had before makes the configuration's count again."""
    texts = read_item_texts(tables, list(catalogue.ids), config.search)
    found = saved.weights(_FUSION)
    if not found or texts is None or len(found[0]) != len(texts.documents) + 2:
        return None
    *of_texts, meaning, feedback = (float(each) for each in found[0])
    return FusionWeights(tuple(of_texts), meaning, feedback)


def _reranker(saved: SavedWeights, config: Config, catalogue: Catalogue) -> Reranker | None:
    weights = saved.weights(_RERANKER)
    if not weights:
        return None
    # It imports KerasNLP, which other shops need not wait for.
    from trainer.reranking.stage import make_reranker, new_cross_encoder

    network = new_cross_encoder(config)
    _assign(network.own_variables, weights)
    return make_reranker(network, catalogue, config)


def _assign(variables: Sequence[Any], values: Arrays, keeps: str = "") -> None:
    """Gives variables the values of a saved model; the one whose path is `keeps` stays."""
    shapes = [(each.path, tuple(each.shape)) for each in variables]
    fit = len(variables) == len(values) and all(
        path == keeps or shape == value.shape for (path, shape), value in zip(shapes, values, strict=False)
    )
    if not fit:
        raise EnlargementError("the model's weights do not fit this version of aisle; run the pipeline once more")
    for variable, value in zip(variables, values, strict=True):
        if variable.path != keeps:
            variable.assign(value)
