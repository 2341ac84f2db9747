"""After a training with the real MiniLM exactly those of its variables have changed that the mode lets learn."""

from pathlib import Path

import numpy as np
import pytest
from planted import HISTORY, PlantedShop, planted_config, planted_phase
from test_encoders import needs_minilm, tokenise

from pipeline.config import Config
from pipeline.config.model import EncoderConfig
from trainer.catalogue import Catalogue
from trainer.encoders.text import load_encoder
from trainer.inputs import EventExamples
from trainer.phase import TrainedModel

TITLES = ("red shoe", "blue shoe", "steel knife", "bread knife")
LENGTH = 8


def config_of(mode: str) -> Config:
    return planted_config(
        "all-minilm-l6-v2",
        features={"history": {"length": HISTORY}, "context": [], "item": {"brand": False, "price": False}},
        encoder={"kind": "keras_nlp", "mode": mode, "lora_rank": 2, "sequence_length": LENGTH, "dtype": "float32"},
        training={"batch_size": 4, "epochs": 1, "encoder_learning_rate": 0.001, "warmup_share": 0.0},
    )


def train(mode: str, folder: Path) -> TrainedModel:
    """Two steps on eight events, four of them searches."""
    tokens = tokenise(TITLES, LENGTH)
    categories = {"category_index": np.array([1, 1, 2, 2]), "category_top_index": np.array([1, 1, 2, 2])}
    catalogue = Catalogue(np.array(list("abcd"), object), np.array(TITLES, object), tokens, categories)
    items = np.array([1, 2, 3, 4] * 2, np.int32)
    history = np.zeros((8, HISTORY), np.int32)
    history[:4, 0] = [2, 1, 4, 3]
    columns = {
        "item_row": items,
        "history_rows": history,
        "history_types": np.where(history > 0, 4, 0).astype(np.int8),
        "history_ages": np.where(history > 0, 5, 0).astype(np.int8),
        "query": np.array([0, 0, 0, 0, 1, 1, 2, 2], np.int32),
        "weight": np.ones(8, np.float32),
        "timestamp": np.arange(8),
        "split": np.zeros(8, np.int8),
    }
    examples = EventExamples(columns, tokenise(("shoe", "knife"), LENGTH), np.arange(8), 1)
    shop = PlantedShop(catalogue, examples, None)
    return planted_phase(shop, config_of(mode), folder, sizes={"category_index": 3, "category_top_index": 3}).run()


@pytest.fixture(scope="module")
def published() -> dict[str, np.ndarray]:
    return {variable.path: variable.numpy() for variable in load_encoder(EncoderConfig()).network.variables}


def changed(trained: TrainedModel, published: dict[str, np.ndarray]) -> dict[str, bool]:
    """For each variable of the trained encoder whether it differs from the published one."""
    network = trained.model.encoder.network
    return {
        variable.path: variable.path not in published or bool(np.any(variable.numpy() != published[variable.path]))
        for variable in network.variables
        if "seed_generator" not in variable.path
    }


@needs_minilm
@pytest.mark.parametrize("mode", ["frozen", "lora", "full"])
def test_exactly_what_may_learn_learns(mode: str, published: dict[str, np.ndarray], tmp_path: Path) -> None:
    trained = train(mode, tmp_path)
    moved = changed(trained, published)
    assert len(moved) >= 100
    if mode == "frozen":
        assert not any(moved.values())
    elif mode == "full":
        assert all(moved.values()), [name for name, differs in moved.items() if not differs]
    else:
        lora = {name for name in moved if "lora" in name}
        # Query and value projections of six layers, two factors each.
        assert len(lora) == 24
        assert {name for name, differs in moved.items() if differs} == lora
        for variable in trained.model.encoder.network.variables:
            assert "lora_kernel_b" not in variable.path or np.any(variable.numpy() != 0), variable.path
    heads = [variable.path for variable in trained.model.trainable_variables if "backbone" not in variable.path]
    assert any("item_id" in name for name in heads)
