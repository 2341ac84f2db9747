"""The contrastive loss against an oracle that loops."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.tasks.contrastive import contrastive_loss

BATCH, HARD, WIDTH, TEMPERATURE = 5, 3, 4, 0.2


def oracle(anchors: np.ndarray, candidates: np.ndarray, foreign: np.ndarray, weights: np.ndarray) -> float:
    total = 0.0
    for row in range(BATCH):
        rivals = [c for c in range(BATCH + HARD) if c == row or foreign[row, c]]
        forward = np.exp([anchors[row] @ candidates[c] / TEMPERATURE for c in rivals])
        askers = [a for a in range(BATCH) if a == row or foreign[a, row]]
        backward = np.exp([anchors[a] @ candidates[row] / TEMPERATURE for a in askers])
        own = np.exp(anchors[row] @ candidates[row] / TEMPERATURE)
        total += weights[row] * 0.5 * (-np.log(own / forward.sum()) - np.log(own / backward.sum()))
    return total / weights.sum()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_is_what_the_oracle_says(seed: int) -> None:
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(2 * BATCH + HARD, WIDTH)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    foreign = generator.random((BATCH, BATCH + HARD)) < 0.7
    weights = generator.random(BATCH).astype(np.float32)
    found = contrastive_loss(
        tf.constant(vectors[:BATCH]),
        tf.constant(vectors[BATCH:]),
        foreign=tf.constant(foreign),
        weights=tf.constant(weights),
        temperature=TEMPERATURE,
    )
    assert float(found) == pytest.approx(oracle(vectors[:BATCH], vectors[BATCH:], foreign, weights), rel=1e-5)
