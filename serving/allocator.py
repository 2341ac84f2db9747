"""The server's memory allocator: mimalloc in place of the C library's own.

The ops of one search ask for memory thousands of times, in one thread for another, and small calls do little that takes
longer: both are answered sooner with mimalloc than with glibc's allocator (docs/serving.md says how to compare).
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path

_DISTRIBUTION = "cmeel-mimalloc"
_LIBRARY = "libmimalloc.so"
_VARIABLE = "LD_PRELOAD"


def use_mimalloc() -> None:
    """Starts this program again with mimalloc preloaded, as the same process; returns where that is not to be done.

    Only the start of a process can choose its allocator, so this is called before anything heavy is loaded; the
    processes it starts inherit the choice. Whoever has set LD_PRELOAD, even to nothing, has chosen already.
    """
    if _VARIABLE in os.environ:
        return
    library = _find_library()
    if library is not None:
        os.execve(sys.executable, sys.orig_argv, os.environ | {_VARIABLE: str(library)})


def _find_library() -> Path | None:
    """Looks among the installed packages; other systems than Linux preload in other ways."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        files = importlib.metadata.files(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [Path(str(file.locate())).resolve() for file in files if file.name == _LIBRARY]
    # The variable is a list: its entries are told apart by spaces and colons, and nothing quotes them.
    return next((path for path in found if path.is_file() and not set(str(path)) & set(" :")), None)
