"""Weights & Biases: what is kept offline, and what is said where the package is missing."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from planted import planted_config, save_word_bag

from pipeline.config import Config
from trainer.board import Board
from trainer.tracking import TrackingError

PACKAGES = Path(__file__).parents[2] / ".tools/deploy/wandb"


@pytest.fixture
def wandb_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Makes the extra importable; what the environment has itself goes before."""
    if not PACKAGES.is_dir():
        message = "the package wandb is missing; run deploy/tools/install.sh after `make setup`"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    monkeypatch.setattr(sys, "path", [*sys.path, str(PACKAGES)])
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    yield
    import wandb

    wandb.teardown()


def records(file: Path) -> list[Any]:
    """Reads the file of an offline run as `wandb sync` does."""
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    store, found = DataStore(), []
    store.open_for_scan(str(file))
    while (data := store.scan_data()) is not None:
        found.append(wandb_internal_pb2.Record.FromString(data))
    store.close()
    return found


def tracked(folder: Path) -> Config:
    return planted_config(
        save_word_bag(folder / "encoder"), training={"epochs": 2}, tracking={"wandb": "offline", "project": "shop"}
    )


@pytest.mark.usefixtures("wandb_packages")
def test_the_curves_of_a_training_are_kept_offline(tmp_path: Path) -> None:
    board = Board(tmp_path / "board/judged")
    board.write_config(tracked(tmp_path))
    for epoch in range(3):
        board.write_epoch(epoch, {"train/loss": 1.0 / (1 + epoch), "validation/ndcg@10": 0.1 * epoch})
    board.close()
    import wandb

    wandb.teardown()  # it writes in a process of its own, whose end leaves the file whole
    (file,) = (tmp_path / "board").glob("wandb/offline-run-*/*.wandb")
    found = records(file)
    (run,) = [one.run for one in found if one.HasField("run")]
    assert (run.project, run.display_name, run.run_group) == ("shop", "planted-judged", "planted")
    kept = {entry.key: json.loads(entry.value_json) for entry in run.config.update}
    assert kept["training"]["epochs"] == 2
    epochs = [
        {entry.nested_key[0]: json.loads(entry.value_json) for entry in one.history.item}
        for one in found
        if one.HasField("history")
    ]
    assert [epoch["_step"] for epoch in epochs] == [0, 1, 2]
    assert [epoch["train/loss"] for epoch in epochs] == [1.0, 0.5, pytest.approx(1 / 3)]
    assert epochs[2]["validation/ndcg@10"] == pytest.approx(0.2)
    assert found[-1].HasField("exit")


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(TrackingError, match=r"uv pip install -r requirements-wandb.lock"):
        Board(tmp_path / "judged").write_config(tracked(tmp_path))


def test_tracking_changes_no_other_step() -> None:
    from pipeline import step_keys

    assert "tracking" in step_keys.TRAINING
    others = (step_keys.TABLES, step_keys.EXAMPLES, step_keys.TUNING, *step_keys.SCHEMAS.values())
    assert all("tracking" not in keys for keys in others)
