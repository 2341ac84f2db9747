"""Small tables of cases, with rankings made by hand instead of models."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from trainer.cases import Cases

ITEMS = 60


def make_cases(truth: Sequence[Any], seen: Sequence[Any], **columns: Sequence[Any]) -> Cases:
    """Cases with these truths and pasts; `columns` are further ones of the table."""
    names = {"user_id": [f"u{place}" for place in range(len(truth))], **columns}
    rows = [np.array(each, np.int64) for each in seen]
    return Cases(
        table=pa.table({name: list(values) for name, values in names.items()}),
        truth=[np.array(each, np.int64) for each in truth],
        seen=rows,
        seen_counts=[np.ones(len(each), np.int64) for each in rows],
    )


def random_cases(seed: int, count: int, **columns: Sequence[Any]) -> Cases:
    """Cases with up to nine items in their truths and pasts."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 10, (count, 2))
    truth = [generator.choice(ITEMS, size, replace=False) for size in sizes[:, 0]]
    return make_cases(truth, [generator.choice(ITEMS, size, replace=False) for size in sizes[:, 1]], **columns)


def random_ranking(seed: int, count: int, depth: int = ITEMS) -> np.ndarray:
    """Rows of the catalogue in any order, [count, depth]."""
    generator = np.random.default_rng(seed)
    return np.stack([generator.permutation(ITEMS)[:depth] for _ in range(count)])
