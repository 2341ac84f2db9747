"""Memory of models that are no longer served."""

from __future__ import annotations

import contextlib
import ctypes
import gc


def return_memory() -> None:
    """Gives the pages of a freed model back to the system: glibc keeps them otherwise, and reloads would add up."""
    gc.collect()
    # Other C libraries have no such call, and need none.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
