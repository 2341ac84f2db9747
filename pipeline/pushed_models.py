"""The models that servers see: a folder for each version, the newest of which they answer with."""

from __future__ import annotations

import filecmp
import os
import shutil
from pathlib import Path

# Where TFX's Trainer keeps, in one artifact, the model to be served and the one to be judged.
SERVED, JUDGED = "Format-Serving", "Format-TFMA"
# Not a number: servers take only folders named by a number for versions.
_INCOMING = ".incoming"


def versions(base: Path) -> list[int]:
    """Returns the versions in a model's folder, newest first."""
    if not base.is_dir():
        return []
    return sorted((int(entry.name) for entry in base.iterdir() if entry.name.isdecimal()), reverse=True)


def newest_version(base: Path) -> int | None:
    """Returns the highest version in a model's folder; None where there is none."""
    return next(iter(versions(base)), None)


def same_files(left: Path, right: Path) -> bool:
    """Returns whether two folders hold the same files with the same content."""
    names = sorted(path.relative_to(left) for path in left.rglob("*"))
    if names != sorted(path.relative_to(right) for path in right.rglob("*")):
        return False
    files = [name for name in names if (left / name).is_file()]
    return all(filecmp.cmp(left / name, right / name, shallow=False) for name in files)


def push(model: Path, base: Path, now: int) -> int:
    """Copies a SavedModel beside the versions, makes sure it is on the disk, then renames it.

    Args:
      model: the SavedModel's folder.
      base: the folder that holds a folder for each version.
      now: the current time, seconds since 1970 UTC.

    Returns:
      The version: `now`, or more where a version is not older. If the newest version is this very model
      (a push that was interrupted before it was recorded), that version.
    """
    base.mkdir(parents=True, exist_ok=True)
    incoming = base / _INCOMING
    shutil.rmtree(incoming, ignore_errors=True)
    newest = newest_version(base)
    if newest is not None and same_files(model, base / str(newest)):
        return newest
    version = now if newest is None else max(now, newest + 1)
    shutil.copytree(model, incoming)
    for path in sorted(incoming.rglob("*")):
        _flush(path)
    _flush(incoming)
    incoming.rename(base / str(version))
    _flush(base)
    return version


def replace_file(source: Path, target: Path) -> None:
    """Copies a file so that readers of `target` see the old one or the whole new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    incoming = target.with_name(f"{_INCOMING}-{target.name}")
    shutil.copyfile(source, incoming)
    _flush(incoming)
    incoming.replace(target)
    _flush(target.parent)


def last_blessed(base: Path, model: Path) -> list[Path]:
    """Finds the model that a new one must not lose to.

    Args:
      base: the folder that holds a folder for each version.
      model: the Trainer's artifact of the model that is judged.

    Returns:
      The newest version that is not this very model, pushed by an earlier run. Then, where its artifact is still
      beside `model` and holds another model to be judged, that one: it has learned from fewer events. Nothing before
      the first push.
    """
    pushed = next((found for found in _folders(base) if not same_files(model / SERVED, found)), None)
    if pushed is None:
        return []
    made_of = next((found for found in sorted(model.parent.glob(f"*/{SERVED}")) if same_files(found, pushed)), None)
    if made_of is None:
        return [pushed]
    twin = made_of.with_name(JUDGED)
    return [pushed, twin] if twin.is_dir() and not same_files(made_of, twin) else [pushed]


def is_outdated(base: Path, model: Path, compared: str) -> bool:
    """Returns whether a model was judged beside another one than it would be today.

    Args:
      base: the folder that holds a folder for each version.
      model: the Trainer's artifact of the judged model.
      compared: the version's folder that was the last blessed one then; "" where there was none.
    """
    newest = next(iter(_folders(base)), None)
    if newest is None:
        return bool(compared)
    # What was pushed since then is most often this very model.
    return str(newest) != compared and not same_files(model / SERVED, newest)


def _folders(base: Path) -> list[Path]:
    return [base / str(version) for version in versions(base)]


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
