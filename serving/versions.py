"""The versions of a model on disk: which folders are versions, which are wanted, which have stopped changing."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

VERSION_NAME = re.compile(r"[0-9]{1,19}")
MAX_VERSION = 2**63 - 1

# What a policy decides: from all versions on disk, highest first, to those that should be served.
VersionPolicy = Callable[[Sequence[int]], Collection[int]]
# What a folder holds, to see whether it has stopped changing: path, size and time of change of each file.
Fingerprint = tuple[tuple[str, int, int], ...]


def latest(count: int = 1) -> VersionPolicy:
    """Wants the `count` highest versions, as TensorFlow Serving does by default."""
    return lambda versions: versions[:count]


def specific(*wanted: int) -> VersionPolicy:
    """Wants exactly these versions, where they are on disk."""
    return lambda versions: [version for version in versions if version in wanted]


def list_versions(base_path: Path) -> dict[int, Path]:
    """Lists the versions under a model's base path: the folders whose name is an int64.

    Args:
      base_path: the model's folder.

    Returns:
      Version: folder, highest first. Anything else in the folder is ignored: a copy under way has another name.

    Raises:
      OSError: if the folder cannot be listed.
    """
    found = {}
    for entry in sorted(base_path.iterdir()):
        if VERSION_NAME.fullmatch(entry.name) and int(entry.name) <= MAX_VERSION and entry.is_dir():
            found[int(entry.name)] = entry
    return dict(sorted(found.items(), reverse=True))


def fingerprint(folder: Path) -> Fingerprint:
    """Describes what lies in a version's folder; two equal ones a second apart mean that nobody is writing.

    Raises:
      OSError: if the folder cannot be read.
    """
    files = []
    for path in sorted(folder.rglob("*")):
        status = path.stat()
        files.append((str(path.relative_to(folder)), status.st_size, status.st_mtime_ns))
    return tuple(files)
