"""The versions of a model on disk: which folders are versions, which are wanted, which have stopped changing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

VERSION_NAME = re.compile(r"[0-9]{1,19}")
MAX_VERSION = 2**63 - 1

# What a folder holds, to see whether it has stopped changing: path, size and time of change of each file.
Fingerprint = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class VersionPolicy:
    """Decides which of the versions on disk should be served.

    Args:
      count: how many of the highest; None wants all.
      only: if not empty, exactly these, whatever `count` says.
      kept: these as well.
    """

    count: int | None = 1
    only: frozenset[int] = frozenset()
    kept: frozenset[int] = frozenset()

    def __call__(self, versions: Sequence[int]) -> list[int]:
        """Returns the wanted ones of `versions`, which are ordered highest first."""
        wanted = self.only or frozenset(versions[: self.count])
        return [version for version in versions if version in wanted or version in self.kept]

    def keeping(self, versions: Iterable[int]) -> VersionPolicy:
        """Returns the policy that wants these versions beside its own."""
        return replace(self, kept=frozenset(versions))


def latest(count: int = 1) -> VersionPolicy:
    """Wants the `count` highest versions, as TensorFlow Serving does by default."""
    return VersionPolicy(count=max(1, count))


def every() -> VersionPolicy:
    """Wants all versions."""
    return VersionPolicy(count=None)


def specific(*wanted: int) -> VersionPolicy:
    """Wants exactly these versions, where they are on disk."""
    return VersionPolicy(only=frozenset(wanted))


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
