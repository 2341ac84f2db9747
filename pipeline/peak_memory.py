"""The most memory that this process held over a stretch of time."""

from __future__ import annotations

import contextlib
import re
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_RESET_PEAK = "5"


@contextlib.contextmanager
def watched() -> Iterator[Callable[[], int]]:
    """Watches the resident memory of the process.

    Yields:
      A function that tells the peak since the beginning, MiB. Where the system cannot reset the peak,
      it tells the peak since the process started.
    """
    # It is no error where a container forbids it: the number is then only less sharp.
    with contextlib.suppress(OSError):
        _CLEAR.write_text(_RESET_PEAK, encoding="ascii")
    yield _peak_mib


def _peak_mib() -> int:
    with contextlib.suppress(OSError):
        found = re.search(r"^VmHWM:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
        if found:
            return int(found.group(1)) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
