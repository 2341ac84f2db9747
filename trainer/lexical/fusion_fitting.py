"""Learns how much words, meaning and feedback count from searches whose answer is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from trainer.lexical.fusion import FusionWeights
from trainer.lexical.fusion_evidence import Evidence

Values = npt.NDArray[np.float64]

PRIOR = 10.0  # searches that speak for the weights as they were
_SHARPNESS = 20.0  # where the softmax starts: 1 / 0.05
_LEAST = 1e-3  # a weight of zero has no logarithm


def fit(parts: Sequence[Evidence], start: FusionWeights) -> FusionWeights:
    """Finds the weights by which the right items stand out most, without straying from the start for no reason.

    Args:
      parts: what is known of searches; at least one search in all.
      start: the weights that count as known from `PRIOR` searches.
    """
    first = to_logs(start)
    found = minimize(lambda logs: loss(logs, parts, first), first, jac=True, method="L-BFGS-B")
    weights = np.exp(found.x)
    shares = weights[:-1] / weights[:-1].sum()
    return FusionWeights(tuple(shares[:-1].tolist()), float(shares[-1]), float(weights[-1]))


def to_logs(weights: FusionWeights) -> Values:
    """Writes weights as what is learned, [texts + 2]: their logarithms, those that add up to 1 times the sharpness."""
    shares = np.maximum([*weights.texts, weights.meaning], _LEAST)
    return np.log([*(_SHARPNESS * shares), max(weights.feedback, _LEAST)])


def loss(logs: Values, parts: Sequence[Evidence], first: Values) -> tuple[float, Values]:
    """Computes the weighted mean of the softmax cross-entropy over all items, and a penalty on leaving the start.

    The penalty leaves the sharpness of the softmax free: only the weights' ratios to each other, and feedback, pay.

    Args:
      logs: [texts + 2], as `to_logs` writes them.
      parts: what is known of searches.
      first: the logarithms to stay near.

    Returns:
      The loss and its gradient [texts + 2].
    """
    total = float(sum(part.weights.sum() for part in parts))
    value, gradient = 0.0, np.zeros_like(logs)
    for part in parts:
        of_part, slopes = _cross_entropy(np.exp(logs), part)
        value, gradient = value + of_part / total, gradient + slopes / total
    strayed = logs - first
    strayed[:-1] -= strayed[:-1].mean()
    strength = PRIOR / total
    return value + strength * float(strayed @ strayed), gradient * np.exp(logs) + 2.0 * strength * strayed


def _cross_entropy(weights: Values, part: Evidence) -> tuple[float, Values]:
    """Sums up over searches, and says how that changes with the weights."""
    feedback = weights[-1]
    # The drawn query is divided by its length, as in `Fusion`.
    length = np.sqrt(1.0 + 2.0 * feedback * part.overlaps + feedback**2 * part.squares)[:, np.newaxis]
    drawn = (part.meaning + feedback * part.feedback) / length
    scores = np.einsum("ntr,t->nr", part.words, weights[:-2]) + weights[-2] * drawn
    scores -= scores.max(axis=1, keepdims=True)
    shares = np.exp(scores)
    sums = shares.sum(axis=1, keepdims=True)
    lines = np.arange(len(scores))
    value = float(part.weights @ (np.log(sums[:, 0]) - scores[lines, part.rows]))
    errors = shares / sums
    errors[lines, part.rows] -= 1.0
    errors *= part.weights[:, np.newaxis]
    longer = ((part.overlaps + feedback * part.squares)[:, np.newaxis]) / length**2
    by_feedback = weights[-2] * (errors * (part.feedback / length - drawn * longer)).sum()
    by_words = np.einsum("ntr,nr->t", part.words, errors)
    return value, np.array([*by_words, (errors * drawn).sum(), by_feedback])
