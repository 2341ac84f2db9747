"""Memory of models that are no longer served."""

from __future__ import annotations

import contextlib
import ctypes
import gc


def return_memory() -> None:
    """Gives the pages of a freed model back to the system: allocators keep them otherwise, and reloads would add up."""
    gc.collect()
    # Both are found in this process or not: mimalloc where `serving.allocator` chose it, glibc beside it and elsewhere.
    # Other allocators have neither call, and need none.
    program = ctypes.CDLL(None)
    with contextlib.suppress(AttributeError):
        program.mi_collect(1)
    with contextlib.suppress(AttributeError):
        program.malloc_trim(0)
