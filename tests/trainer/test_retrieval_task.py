"""The loss against NumPy: softmax with temperature, logQ correction, accidental hits and weights."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.tasks.retrieval import RetrievalTask, sampling_probabilities


def oracle(values: dict[str, np.ndarray | None], temperature: float, hard: int | None = None) -> float:
    """The loss as the papers say it, row by row; without probabilities it is the plain softmax."""
    queries, items, rows, probabilities, weights = values.values()
    correction = 0.0 * rows if probabilities is None else np.log(probabilities)
    total = 0.0
    for place in range(len(queries)):
        logits = items @ queries[place] / temperature - correction
        accidental = (rows == rows[place]) & (np.arange(len(rows)) != place)
        others = np.sort(logits[~accidental & (np.arange(len(rows)) != place)])[::-1][:hard]
        logits = np.append(others, logits[place])
        positive = items[place] @ queries[place] / temperature - correction[place]
        shift = logits.max()
        total += weights[place] * (shift + np.log(np.exp(logits - shift).sum()) - positive)
    return total / weights.sum()


def batch(seed: int, size: int = 12, items: int = 6) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(2, size, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    rows = generator.integers(items, size=size)
    return {
        "queries": vectors[0],
        "items": vectors[1],
        "rows": rows.astype(np.int32),
        "probabilities": generator.uniform(0.001, 1.0, size=items).astype(np.float32)[rows],
        "weights": generator.uniform(0.5, 3.0, size=size).astype(np.float32),
    }


def loss(values: dict[str, np.ndarray | None], temperature: float, hard: int | None = None) -> float:
    task = RetrievalTask(temperature, hard)
    probabilities = values["probabilities"]

    @tf.function
    def run() -> tf.Tensor:
        return task(
            tf.constant(values["queries"]),
            tf.constant(values["items"]),
            item_rows=tf.constant(values["rows"]),
            sampling_probabilities=None if probabilities is None else tf.constant(probabilities),
            weights=tf.constant(values["weights"]),
        )

    return float(run())


@pytest.mark.parametrize("hard", [None, 1, 3])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), temperature=st.sampled_from([0.05, 0.3, 1.0]), logq=st.booleans())
def test_the_loss_is_the_oracles(seed: int, temperature: float, logq: bool, hard: int | None) -> None:
    values = batch(seed)
    values |= {} if logq else {"probabilities": None}
    expected = oracle(values, temperature, hard)
    assert loss(values, temperature, hard) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_the_correction_takes_from_popular_negatives_and_gives_to_rare_ones() -> None:
    values = batch(1, size=2) | {"rows": np.array([0, 1], np.int32), "weights": np.array([1.0, 1e-6], np.float32)}
    with_popular = loss(values | {"probabilities": np.array([0.1, 1.0], np.float32)}, 1.0)
    with_rare = loss(values | {"probabilities": np.array([0.1, 0.01], np.float32)}, 1.0)
    assert with_popular < loss(values | {"probabilities": np.array([0.1, 0.1], np.float32)}, 1.0) < with_rare


def test_an_accidental_hit_is_no_negative() -> None:
    values = batch(2, size=4) | {"weights": np.array([1.0, 1e-9, 1e-9, 1e-9], np.float32)}
    twice = values | {"rows": np.array([4, 2, 4, 4], np.int32)}
    once = {name: array[:2] for name, array in twice.items()}
    assert loss(twice, 0.3) == pytest.approx(loss(once, 0.3), abs=1e-6)
    assert loss(values | {"rows": np.array([4, 2, 1, 3], np.int32)}, 0.3) > loss(once, 0.3) + 0.01


def test_probabilities_keep_the_ratios_of_counts() -> None:
    probabilities = sampling_probabilities([100, 50, 1, 0])
    assert probabilities == pytest.approx([1.0, 0.5, 0.01, 0.01])
    assert probabilities.dtype == np.float32
