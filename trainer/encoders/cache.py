"""Text vectors on disk, by content: a text is encoded once, however often a shop is trained."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.array_file import write_arrays
from trainer.encoders.text import Texts

Vectors = npt.NDArray[np.float32]
Keys = npt.NDArray[np.bytes_]
KEY_TYPE = "S32"
_AT_ONCE = 2_048  # texts that a killed process may lose; the more are known, the more at once


class VectorCache:
    """The vectors of one encoder, in one file.

    Args:
      folder: where the file lies; made if it is not there.
      fingerprint: says which encoder and which settings made the vectors; another fingerprint is another file.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._file = folder / f"text-{fingerprint[:32]}.npz"

    def encode(self, texts: Texts, encode: Callable[[Texts, int, int], Vectors]) -> Vectors:
        """Answers the vector of each text, computing only those that no earlier call has seen.

        Args:
          texts: [n] strings or [n, tokens] token ids.
          encode: turns distinct texts into vectors, told how many were encoded before these, and how many are to be in
            all; what it has done is on disk before it is called again.

        Returns:
          [n, width].
        """
        keys = content_keys(texts)
        known_keys, known = self._read()
        distinct, first, places = np.unique(keys, return_index=True, return_inverse=True)
        missing = first[~np.isin(distinct, known_keys)]
        total = len(missing)
        while len(missing):
            before = total - len(missing)
            now, missing = np.split(missing, [max(_AT_ONCE, len(known_keys))])
            fresh = encode(texts[now], before, total)
            known_keys = np.concatenate([known_keys, keys[now]])
            known = np.concatenate([known.reshape(-1, fresh.shape[1]), fresh])
            self._write(known_keys, known)
        order = np.argsort(known_keys)
        found = order[np.searchsorted(known_keys, distinct, sorter=order)] if len(distinct) else order[:0]
        return known[found][places]

    def _read(self) -> tuple[Keys, Vectors]:
        if not self._file.exists():
            return np.zeros(0, KEY_TYPE), np.zeros((0, 0), np.float32)
        with np.load(self._file) as stored:
            return stored["keys"], stored["vectors"]

    def _write(self, keys: Keys, vectors: Vectors) -> None:
        write_arrays(self._file, {"keys": keys, "vectors": vectors})


def content_keys(texts: Texts) -> Keys:
    """Returns a key for each text that depends on nothing but what it says, [n]."""
    if texts.ndim == 2:
        # Trailing padding says nothing.
        rows = np.ascontiguousarray(texts, np.int32)
        lengths = rows.shape[1] - np.argmax(rows[:, ::-1] != 0, axis=1)
        content = [row[:length].tobytes() for row, length in zip(rows, lengths, strict=True)]
    else:
        content = [str(text).encode() for text in texts]
    return np.array([hashlib.sha256(part).hexdigest()[:32] for part in content], KEY_TYPE)


def fingerprint(source: str, **settings: object) -> str:
    """Says which encoder makes the vectors: the content of a local one, else its name, and the settings.

    Args:
      source: a folder or a name.
      **settings: what else the vectors depend on.

    Returns:
      Hexadecimal digits.
    """
    digest = hashlib.sha256(repr(sorted(settings.items())).encode())
    folder = Path(source)
    if not folder.is_dir():
        digest.update(source.encode())
        return digest.hexdigest()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(file.relative_to(folder)).encode())
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def fingerprint_of_weights(weights: Mapping[str, npt.NDArray[Any]], **settings: object) -> str:
    """Says which encoder makes the vectors by its weights as they are now, wherever they came from.

    Args:
      weights: by name.
      **settings: what else the vectors depend on.

    Returns:
      Hexadecimal digits.
    """
    digest = hashlib.sha256(repr(sorted(settings.items())).encode())
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(weights[name]).tobytes())
    return digest.hexdigest()
