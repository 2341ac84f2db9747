"""Percentile bootstrap intervals of means over cases.

Means of several columns are taken over the same resamples, so the difference of two columns of means is the
resampled mean of the paired difference.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

_MOST_DRAWS = 4_000_000  # at once: 32 MiB of numbers


def resampled_means(values: Values, seed: int, samples: int = 1000) -> Values:
    """Draws as many cases as there are, with replacement, and takes their means, again and again.

    Args:
      values: [cases, columns], at least one case.
      seed: the same seed draws the same cases for the same number of cases.
      samples: how often.

    Returns:
      [samples, columns].
    """
    generator = np.random.default_rng(seed)
    cases = len(values)
    block = max(1, _MOST_DRAWS // cases)
    means = []
    for start in range(0, samples, block):
        rows = min(block, samples - start)
        drawn = generator.integers(cases, size=(rows, cases)) + np.arange(rows)[:, np.newaxis] * cases
        counts = np.bincount(drawn.ravel(), minlength=rows * cases).reshape(rows, cases)
        means.append(counts.astype(np.float64) @ values / cases)
    return np.concatenate(means)


def percentile_interval(means: Values, level: float = 0.95) -> tuple[Values, Values]:
    """Cuts off the tails of resampled means.

    Args:
      means: [samples, columns].
      level: share of the means inside the interval.

    Returns:
      Lower and upper ends, [columns] each.
    """
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail], axis=0)
    return low, high


def bootstrap_interval(values: Values, seed: int, samples: int = 1000, level: float = 0.95) -> tuple[Values, Values]:
    """Finds the percentile bootstrap interval of means over cases.

    Args:
      values: [cases, metrics], at least one case.
      seed: of the resampling.
      samples: how often to resample.
      level: share of the resampled means inside the interval.

    Returns:
      Lower and upper ends, [metrics] each.
    """
    return percentile_interval(resampled_means(values, seed, samples), level)
