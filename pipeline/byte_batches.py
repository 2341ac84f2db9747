"""How TFX sizes the batches that it reads."""

from __future__ import annotations

import tfx_bsl.coders.batch_util  # noqa: F401  # defines the flag
from absl import flags

_FLAG = "tfxio_use_byte_size_batching"


def batch_by_bytes() -> None:
    """Makes TFX read batches of a fixed number of bytes instead of ones that Beam sizes by its stopwatch.

    Sums of floats depend on what is summed together, and the same data must give the same features.
    """
    flags.FLAGS.mark_as_parsed()
    flags.FLAGS[_FLAG].value = True
