"""run_fn from transformed examples to SavedModels, on real transform graphs and the real text encoder."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from served_shop import FIRST, ServedShop, raw_event, raw_item
from shop_tables import DAY, case, write_cases
from test_inputs import write

from pipeline.config import parse_config
from trainer.checkpoints import Checkpoint
from trainer.exported_model import ExportedModel
from trainer.run import run_fn
from trainer.transform import EventTransform, TransformGraph
from trainer.validation_cases import read_validation_cases

ITEMS = 48
# With its moment: asked now, answers would change with the hour.
MOMENT = tf.constant([1_600_000_000], tf.int64)
REQUEST = {"user_id": tf.constant(["u1"]), "k": tf.constant([48]), "timestamp": MOMENT}
PASSED = ("user_id", "timestamp", "history_item_ids", "item_id", "event_type", "value", "weight", "query", "title")


@dataclass
class Arguments:
    """What of TFX's FnArgs is used."""

    folder: Path
    transform_output: str
    custom_config: dict[str, str]
    train_files: list[str] = field(default_factory=list)
    eval_files: list[str] = field(default_factory=list)
    hyperparameters: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self.serving_model_dir = str(self.folder / "out" / "serving")
        self.eval_model_dir = str(self.folder / "out" / "judged")
        self.model_run_dir = str(self.folder / "out" / "logs")


def transformed(graph: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows after Transform, with what passes through."""
    columns = {name: [np.ravel(row[name]).tolist() for row in rows] for name in rows[0]}
    layer = TransformGraph(graph)
    kinds = {name: tf.int64 if name == "timestamp" else None for name in columns}
    tensors = layer({name: tf.constant(values, kinds[name]) for name, values in columns.items()})
    features = {name: values.numpy().tolist() for name, values in tensors.items() if values.dtype != tf.string}
    features |= {name: values for name, values in columns.items() if name in PASSED}
    return [{name: features[name][place] for name in features} for place in range(len(rows))]


def arguments(shop: ServedShop, folder: Path, test: bool, *, ranking: Any = None, **training: Any) -> Arguments:
    """Writes examples and cases; the validation window's labels are the items 0 to 3 only.

    With a test window one past window has cases too, and without a ranking stage none has a file.
    """
    tree = json.loads(shop.config.model_dump_json())
    tree["training"] |= {"batch_size": 32, "epochs": 2, **training}
    tree["ranking"] |= {"windows": 2, "history_length": 12, "hidden": [8], "epochs": 1, **(ranking or {})}
    tree["ranking"]["trees"] |= {"count": 9, "depth": 2}
    tree["gate"] |= {"metric": "ndcg@5"}
    late = [raw_event(number, 4) | {"timestamp": FIRST + 30 * DAY + number} for number in range(20)]
    cases = [case(user_id=f"u{user}", timestamp=FIRST + 20 * DAY, truth=[f"i{user:05}"]) for user in range(9)]
    older = [each | {"timestamp": FIRST + DAY} for each in cases] if test else []
    past = [older, []] if tree["ranking"]["enabled"] else []
    write_cases(folder / "cases", validation=cases, test=cases if test else (), past=past)
    (folder / "items" / "Split-train").mkdir(parents=True)
    write(folder / "items" / "Split-train" / "1.gz", transformed(shop.item_graph, [raw_item(r) for r in range(ITEMS)]))
    events = [raw_event(number, ITEMS) for number in range(64)]
    return Arguments(
        folder,
        shop.event_graph,
        {
            "config": json.dumps(tree),
            "item_examples": str(folder / "items"),
            "item_transform_graph": shop.item_graph,
            "tables": str(shop.tables),
            "cases": str(folder / "cases"),
            "checkpoints": str(folder / "checkpoints"),
            "cache": str(folder / "cache"),
        },
        train_files=[write(folder / "train.gz", transformed(shop.event_graph, events))],
        eval_files=[write(folder / "late.gz", transformed(shop.event_graph, late))],
    )


def ranking_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of ranking stages, without the networks' epochs."""
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("trainer.ranking")]
    return [line.removeprefix("ranking: ") for line in lines if "epoch" not in line]


class KilledError(RuntimeError):
    """Stands for a process that ends just after a checkpoint."""


def kill_in_the_second_training(monkeypatch: pytest.MonkeyPatch) -> None:
    save = Checkpoint.save
    left = [3]

    def kill(checkpoint: Checkpoint, *state: Any) -> None:
        save(checkpoint, *state)
        left[0] -= 1
        if not left[0]:
            raise KilledError

    monkeypatch.setattr(Checkpoint, "save", kill)


def test_without_a_test_window_the_judged_model_has_not_seen_the_validation_window(
    served_shop: ServedShop, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = arguments(served_shop, tmp_path, test=False, learning_rate=0.02)
    with monkeypatch.context() as patched:
        kill_in_the_second_training(patched)
        with pytest.raises(KilledError):
            run_fn(given)
    assert not Path(given.serving_model_dir).exists()
    (tmp_path / "cache" / "columns-killed").mkdir()
    with caplog.at_level(logging.INFO, "trainer"):
        run_fn(given)
    lines = [record.getMessage() for record in caplog.records if record.name == "trainer.fitting"]
    assert [line.partition(" of")[0] for line in lines] == [
        "judged: goes on after epoch 2",
        "final: goes on after epoch 1",
        "final: epoch 2",
    ]
    assert ranking_lines(caplog) == [
        "9 requests of 1 windows, 432 candidates",
        "9 trees of depth 2",
        "no past window has a customer with a purchase to learn from; the towers rank alone",
    ]
    ranked = [ExportedModel(path).ask("recommend", REQUEST) for path in (given.serving_model_dir, given.eval_model_dir)]
    assert not np.array_equal(ranked[0]["scores"], ranked[1]["scores"])
    assert not list((tmp_path / "checkpoints").iterdir())
    assert not list((tmp_path / "cache").glob("columns-*"))
    assert (Path(given.model_run_dir) / "final" / "projector_config.pbtxt").is_file()


def test_with_a_test_window_the_final_model_is_the_judged_one_and_always_the_same(
    served_shop: ServedShop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = arguments(served_shop, tmp_path, test=True, epochs=1)
    given.hyperparameters = {"values": {"model.dimension": 8, "features.history.used": 2}}
    with caplog.at_level(logging.INFO, "trainer"):
        run_fn(given)
    assert ranking_lines(caplog) == [
        "towers as they would have been on 2020-09-14",
        "18 requests of 2 windows, 864 candidates",
        "9 trees of depth 2",
    ]
    vectors = ExportedModel(given.serving_model_dir).item_vectors(["i00001", "i00002"])
    assert vectors is not None
    assert vectors.shape == (2, 8)
    first = ExportedModel(given.serving_model_dir).ask("recommend", REQUEST)
    copied = ExportedModel(given.eval_model_dir).ask("recommend", REQUEST)
    assert np.array_equal(first["scores"], copied["scores"])
    # Now the text vectors come from the cache.
    run_fn(given)
    again = ExportedModel(given.serving_model_dir).ask("recommend", REQUEST)
    assert np.array_equal(first["scores"], again["scores"])
    assert np.array_equal(first["item_ids"], again["item_ids"])


def test_without_a_ranking_stage_the_towers_rank(
    served_shop: ServedShop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = arguments(served_shop, tmp_path, test=False, ranking={"enabled": False}, epochs=1, refit=False)
    with caplog.at_level(logging.INFO, "trainer"):
        run_fn(given)
    assert ranking_lines(caplog) == []
    served, judged = (ExportedModel(path) for path in (given.serving_model_dir, given.eval_model_dir))
    request = REQUEST | {"history_item_ids": tf.constant([["i00003", "i00001"]])}
    answer, same = served.ask("recommend", request), judged.ask("recommend", request)
    assert np.array_equal(answer["scores"], same["scores"])
    # Products of a query vector with 48 vectors of 16 numbers, which no second model has touched.
    vectors = served.item_vectors([each.decode() for each in answer["item_ids"][0]])
    assert vectors is not None
    query = np.linalg.lstsq(vectors, answer["scores"][0], rcond=None)[0]
    np.testing.assert_allclose(vectors @ query, answer["scores"][0], atol=1e-4)


def test_cases_become_features_of_the_query_tower(served_shop: ServedShop, tmp_path: Path) -> None:
    cases = [
        case(
            user_id="u1",
            truth=["i00003", "gone"],
            history_item_ids=["i00002", "gone"],
            history_event_types=["cart"] * 2,
        )
        | {"history_ages_days": [1.0, 2.0], "country": "DE", "query": "red shoe", "timestamp": FIRST},
        case(user_id="u2", truth=["gone"]),
        case(task="search", truth=["i00001"]),
    ]
    write_cases(tmp_path, validation=cases)
    transform = EventTransform(served_shop.event_graph)
    config, catalogue = served_shop.config, served_shop.catalogue
    read = read_validation_cases(tmp_path / "validation.parquet", catalogue, config, transform)
    assert read is not None
    assert [rows.tolist() for rows in read.truth] == [[3]]
    assert read.history_rows.tolist() == [[3, 0, 0, 0, 0, 0]]
    assert read.searched.tolist() == [True]
    assert read.features["history_types"].tolist() == [[3, 3, 0, 0, 0, 0]]
    assert read.features["context_country"].shape == (1, 1)
    assert read.texts is not None
    assert read.texts[0, 0] == 101
    search = parse_config({**json.loads(config.model_dump_json()), "gate": {"task": "search"}})
    found = read_validation_cases(tmp_path / "validation.parquet", catalogue, search, transform)
    assert found is not None
    assert [rows.tolist() for rows in found.truth] == [[1]]
    write_cases(tmp_path, validation=cases[1:2])
    assert read_validation_cases(tmp_path / "validation.parquet", catalogue, config, transform) is None
