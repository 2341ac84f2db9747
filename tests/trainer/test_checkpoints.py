"""A training that was stopped ends as one that was not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import planted_config, planted_phase, planted_shop, save_word_bag

from trainer.board import Board
from trainer.checkpoints import Checkpoint, Progress, assign_variables, read_variables
from trainer.phase import TrainedModel


class StoppedError(RuntimeError):
    """Stands for a process that ends between two epochs."""


def train(folder: Path, preset: str, stop_at: int | None, monkeypatch: pytest.MonkeyPatch) -> TrainedModel:
    config = planted_config(preset, model={"dropout": 0.2}, training={"epochs": 3, "batch_size": 512})
    write_epoch = Board.write_epoch

    def stop(board: Board, epoch: int, values: Any) -> None:
        write_epoch(board, epoch, values)
        if epoch == stop_at:
            raise StoppedError

    monkeypatch.setattr(Board, "write_epoch", stop)
    try:
        return planted_phase(planted_shop(1500), config, folder).run()
    finally:
        monkeypatch.setattr(Board, "write_epoch", write_epoch)


def timeless(trained: TrainedModel) -> list[dict[str, float]]:
    logs = trained.progress.logs
    return [{name: value for name, value in log.items() if name != "train/examples_per_second"} for log in logs]


def test_a_stopped_training_ends_bit_equal_to_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = save_word_bag(tmp_path / "encoder")
    undisturbed = train(tmp_path / "one", preset, None, monkeypatch)
    with pytest.raises(StoppedError):
        # In the third epoch, after the checkpoint of the second.
        train(tmp_path / "two", preset, 3, monkeypatch)
    resumed = train(tmp_path / "two", preset, None, monkeypatch)

    assert timeless(undisturbed) == timeless(resumed)
    for one, two in zip(undisturbed.model.trainable_variables, resumed.model.trainable_variables, strict=True):
        assert np.array_equal(one.numpy(), two.numpy()), one.path
    assert np.array_equal(undisturbed.item_vectors, resumed.item_vectors)

    finished = train(tmp_path / "two", preset, None, monkeypatch)
    assert finished.progress == resumed.progress
    assert np.array_equal(finished.item_vectors, resumed.item_vectors)


def test_a_file_that_was_cut_off_does_not_count(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.load() is None
    (tmp_path / ".checkpoint-killed").write_bytes(b"half")
    progress = Progress(epoch=2, best_epoch=1, best_metric=0.5, logs=[{}, {"a": 1.0}, {"a": 2.0}])
    checkpoint.save(progress, [np.arange(3), np.float32(2.5)], [np.eye(2)])
    stored = checkpoint.load()
    assert stored is not None
    assert stored[0] == progress
    assert [array.tolist() for array in stored[1]] == [[0, 1, 2], 2.5]
    assert stored[2][0].tolist() == np.eye(2).tolist()
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.npz"]
    checkpoint.remove()
    assert not tmp_path.exists()


def test_values_of_another_model_are_refused() -> None:
    import keras

    variable = keras.Variable(np.zeros((2, 3), np.float32), name="kernel")
    assert read_variables([variable])[0].shape == (2, 3)
    with pytest.raises(ValueError, match=r"kernel: expected the shape \(2, 3\), the checkpoint has \(3, 2\)"):
        assign_variables([variable], [np.zeros((3, 2))])
    with pytest.raises(ValueError, match="holds 0 values, the training has 1 variables"):
        assign_variables([variable], [])
