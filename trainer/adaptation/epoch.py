"""One pass over pairs of texts, in an order by chance."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np

from trainer.adaptation.pairs import TextPairs

_LOG = logging.getLogger(__name__)
_SAYS_EVERY_S = 30.0

Step = Callable[[TextPairs, np.random.Generator], float]


class PairEpochs:
    """Passes over the same pairs; the log says every half minute how far one is.

    Args:
      pairs: to learn from.
      batch_size: pairs of a step; those that fill no whole batch wait for the next pass.
      seed: of the order, and of what the steps draw.
      name: of the training, for the log.
    """

    def __init__(self, pairs: TextPairs, batch_size: int, seed: int, name: str) -> None:
        self._pairs, self._size, self._seed, self._name = pairs, min(batch_size, len(pairs)), seed, name
        self.steps = len(pairs) // self._size

    def run(self, epoch: int, step: Step) -> float:
        """Goes over all pairs once.

        Args:
          epoch: number of the pass, from 0; each has an order of its own.
          step: learns from some of the pairs, with what it draws from, and answers the loss.

        Returns:
          The mean loss.
        """
        generator = np.random.default_rng([self._seed, epoch])
        order, losses = generator.permutation(len(self._pairs)), []
        started = said = time.monotonic()
        for place in range(self.steps):
            part = self._pairs.take(order[place * self._size : (place + 1) * self._size])
            losses.append(step(part, generator))
            now = time.monotonic()
            if now - said > _SAYS_EVERY_S:
                said = now
                _LOG.info(
                    "%s: epoch %d: step %d of %d (%.1f s each), loss %.4f",
                    self._name,
                    epoch + 1,
                    place + 1,
                    self.steps,
                    (now - started) / (place + 1),
                    np.mean(losses),
                )
        return float(np.mean(losses))
