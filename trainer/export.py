"""Writes the SavedModel that is judged, pushed and served, with its warm-up requests and its contract."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tensorflow as tf

from pipeline.config import Config, TablesConfig
from trainer import contract
from trainer.catalogue import Catalogue
from trainer.heads.head import LearnedHead
from trainer.lexical.texts import read_item_texts
from trainer.ranking_stage import RankingStage
from trainer.request_reader import Towers
from trainer.rules.attributes import read_attributes
from trainer.rules.fallback import read_popularity
from trainer.search import LearnedSearch
from trainer.served_model import ServedModel
from trainer.signatures import build_graphs, build_signatures
from trainer.warmup import write_warmup

CONFIG_FILE = "assets.extra/config.json"  # what the model was made by, without the tables


@dataclass(frozen=True)
class Learned:
    """What a training has made.

    Args:
      model: the trained towers.
      catalogue: the items, in the order of the model's rows.
      item_vectors: [items, dim], what `model.item_vectors` gives for the whole catalogue.
      stage: scores candidates again; None leaves the towers' scores.
      heads: what `rank` answers beside the scores, by name.
      search: what search has learned beside the towers.
      refitted: whether all this has learned from the validation window too.
      vectors_later: makes the item vectors, which may be still under way while the graph is built; what stands in
        `item_vectors` then only says their shape.
    """

    model: Towers
    catalogue: Catalogue
    item_vectors: npt.NDArray[np.float32]
    stage: RankingStage | None = None
    heads: Mapping[str, LearnedHead] = field(default_factory=dict)
    search: LearnedSearch = field(default_factory=LearnedSearch)
    refitted: bool = False
    vectors_later: Callable[[], npt.NDArray[np.float32]] | None = None


def export_model(
    folder: Path,
    learned: Learned,
    *,
    event_transform_graph: str,
    item_transform_graph: str,
    tables_dir: str,
    config: Config,
    now: datetime.datetime | None = None,
) -> None:
    """Exports a trained model; `folder` appears, or is replaced, when all of it is written.

    Args:
      folder: of the SavedModel.
      learned: what to export.
      event_transform_graph: output folder of the Transform step for events.
      item_transform_graph: the same for items.
      tables_dir: the tables, which say what time the model knows, and what items cost and whether they are there.
      config: the shop.
      now: the moment that the contract names; without it the clock's.

    Raises:
      ValueError: if a vector is not finite, or vectors and catalogue do not fit.
    """
    period = _period(tables_dir)
    graphs = (event_transform_graph, item_transform_graph)
    served = _served_model(config, learned, graphs, tables_dir, contract.learned_until(config, period[1]))
    contracts = contract.signature_contracts(config, served.filterable, served.heads)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    _save(served, learned, config, partial)
    write_warmup(partial, learned.catalogue, contracts, config)
    size, moment = learned.item_vectors.shape, now or datetime.datetime.now(datetime.UTC)
    heads = ([] if learned.stage is None else [contract.PURCHASE]) + list(learned.heads)
    described = contract.describe_model(
        config, contracts, items=size[0], dimension=size[1], heads=heads, period=period, now=moment
    )
    (partial / CONFIG_FILE).write_text(_without_tables(config), encoding="utf-8")
    _finish(partial, folder, described)


def _save(served: ServedModel, learned: Learned, config: Config, folder: Path) -> None:
    signatures = build_signatures(served, config)
    if learned.vectors_later is not None:
        build_graphs(signatures)
        served.index.fill(learned.vectors_later())
    tf.saved_model.save(served, str(folder), signatures=signatures)


def _served_model(
    config: Config, learned: Learned, graphs: tuple[str, str], tables_dir: str, ends: dict[str, int]
) -> ServedModel:
    end = ends["learned_before" if learned.refitted else "stopped_before"]
    ids, truth_events = learned.catalogue.ids, config.split.truth_events
    by_words = config.features.query and config.search.words
    return ServedModel(
        config,
        model=learned.model,
        catalogue=learned.catalogue,
        attributes=read_attributes(tables_dir, ids),
        popularity=read_popularity(tables_dir, ids, end=end, event_types=truth_events),
        item_vectors=learned.item_vectors,
        event_transform_graph=graphs[0],
        item_transform_graph=graphs[1],
        stage=learned.stage,
        heads=learned.heads,
        search=learned.search,
        texts=read_item_texts(tables_dir, ids, config.search) if by_words else None,
    )


def _without_tables(config: Config) -> str:
    """Writes a configuration as JSON; where the shop's tables lie is nobody's business where models are served."""
    tables = TablesConfig.model_validate({"events": {"path": "none"}, "items": {"path": "none"}})
    return config.model_copy(update={"tables": tables}).model_dump_json(indent=2) + "\n"


def _finish(partial: Path, folder: Path, described: dict[str, Any]) -> None:
    """Adds the contract, and puts the folder where it belongs."""
    text = json.dumps(described, indent=2, ensure_ascii=False)
    (partial / contract.CONTRACT_FILE).write_text(text + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _period(tables_dir: str) -> tuple[int, int]:
    """Finds the first and the last event of the tables, seconds since 1970 UTC; zeros without any."""
    ends: list[tuple[int, int]] = []
    for path in sorted(Path(tables_dir, "events").glob("bucket-*.parquet")):
        file = pq.ParquetFile(path)
        column = file.schema_arrow.get_field_index("timestamp")
        for group in range(file.metadata.num_row_groups):
            known = file.metadata.row_group(group).column(column).statistics
            if known is not None and known.has_min_max:
                ends.append((known.min, known.max))
            elif file.metadata.row_group(group).num_rows:
                ends.append(_ends(file.read_row_group(group, columns=["timestamp"])["timestamp"]))
    return (min(first for first, _ in ends), max(last for _, last in ends)) if ends else (0, 0)


def _ends(timestamps: Any) -> tuple[int, int]:
    found = pc.min_max(timestamps).as_py()
    return int(found["min"]), int(found["max"])
