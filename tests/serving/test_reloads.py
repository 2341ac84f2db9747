"""Many versions one after the other: every one answers, and none leaves its memory behind."""

import shutil
from pathlib import Path

import numpy as np
import psutil
from tiny_models import save_half_plus

from serving.model_store import ModelStore

SWAPS, FIRST = 10, 5


def test_memory_is_back_at_its_level_after_reloads(half_path: Path, tmp_path: Path) -> None:
    base, other = tmp_path / "half", tmp_path / "other"
    save_half_plus(other, 3.0)
    store = ModelStore("half", base)
    held = []
    for version in range(1, SWAPS + 1):
        shutil.copytree(other if version % 2 else half_path / "1", base / str(version))
        for _ in range(3):  # seen, settled and loaded, the one before freed
            store.poll()
        assert store.available() == [version]
        with store.use() as (number, predictor):
            answer = predictor.predict(predictor.signature(""), {"x": np.array([2.0], np.float32)})
            assert (number, answer["y"][0]) == (version, 4.0 if version % 2 else 3.0)
        held.append(psutil.Process().memory_info().rss)
    store.stop()
    assert held[-1] <= 1.1 * held[FIRST - 1]
