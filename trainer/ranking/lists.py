"""What networks and trees learn from: the candidates of past requests, and which of them were bought."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

FEATURES, LABELS, LISTS = "features", "labels", "lists"


@dataclass(frozen=True)
class CandidateLists:
    """Lists of candidates, one after the other.

    Args:
      features: float32 [pairs, features].
      labels: bool [pairs], whether the candidate was bought in the window.
      starts: int64 [lists + 1], where each list begins, and the end of the last.
    """

    features: Floats
    labels: npt.NDArray[np.bool_]
    starts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def with_hits(self) -> npt.NDArray[np.int64]:
        """Returns the lists that hold a candidate that was bought: from the others nothing can be learned."""
        hits = np.concatenate([[0], np.cumsum(self.labels)])[self.starts]
        return np.flatnonzero(np.diff(hits) > 0)

    def batches(self, size: int, seed: int) -> Iterator[dict[str, npt.NDArray[np.generic]]]:
        """Yields the lists with hits in an order drawn anew, `size` of them at a time.

        Args:
          size: lists in a batch; the last may have fewer.
          seed: of the order.

        Yields:
          `features` [n, features], `labels` [n] and `lists` int32 [n], the place in the batch of each pair's list.
        """
        chosen = np.random.default_rng(seed).permutation(self.with_hits())
        for first in range(0, len(chosen), size):
            some = chosen[first : first + size]
            lengths = self.starts[some + 1] - self.starts[some]
            places = np.concatenate([np.arange(self.starts[one], self.starts[one + 1]) for one in some])
            yield {
                FEATURES: self.features[places],
                LABELS: self.labels[places].astype(np.float32),
                LISTS: np.repeat(np.arange(len(some), dtype=np.int32), lengths),
            }


def join(parts: list[CandidateLists]) -> CandidateLists:
    """Puts lists of several windows together, at least one part."""
    sizes = np.cumsum([0, *(len(part.labels) for part in parts)])
    starts = [part.starts[:-1] + offset for part, offset in zip(parts, sizes, strict=False)]
    return CandidateLists(
        features=np.concatenate([part.features for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        starts=np.concatenate([*starts, [sizes[-1]]]).astype(np.int64),
    )
