"""Category paths as numbers: which path an item has, and which categories a path lies in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline import schema


@dataclass(frozen=True)
class CategoryTree:
    """The categories of a catalogue; "A > B" lies in "A" and in itself.

    Args:
      names: str [categories], every path and every prefix of one, each once.
      path_of_items: int32 [items], the number of each item's path, -1 where it has none.
      ancestors: int32 [paths, depth], the places in `names` of all that a path lies in, -1 pads; at least one path.
    """

    names: tuple[str, ...]
    path_of_items: npt.NDArray[np.int32]
    ancestors: npt.NDArray[np.int32]


def category_tree(paths: npt.NDArray[np.object_]) -> CategoryTree:
    """Numbers the categories of items.

    Args:
      paths: str [items], parts joined by ' > '; "" where unknown.
    """
    distinct, numbers = np.unique(np.array([clean_path(path) for path in paths], object), return_inverse=True)
    known = [path for path in distinct if path]
    prefixes = {path: _prefixes(path) for path in known}
    names = tuple(sorted({prefix for some in prefixes.values() for prefix in some}))
    places = {name: place for place, name in enumerate(names)}
    depth = max(map(len, prefixes.values()), default=1)
    ancestors = np.full((max(len(known), 1), depth), -1, np.int32)
    for line, path in enumerate(known):
        ancestors[line, : len(prefixes[path])] = [places[prefix] for prefix in prefixes[path]]
    # The path "" sorts first where it is there.
    path_of_items = numbers.reshape(-1) - (len(distinct) - len(known))
    return CategoryTree(names, path_of_items.astype(np.int32), ancestors)


def clean_path(path: str) -> str:
    """Joins the parts of a path by ' > ' whatever the spaces around '>' are."""
    parts = (part.strip() for part in path.split(schema.CATEGORY_SEPARATOR.strip()))
    return schema.CATEGORY_SEPARATOR.join(part for part in parts if part)


def _prefixes(path: str) -> list[str]:
    parts = path.split(schema.CATEGORY_SEPARATOR)
    return [schema.CATEGORY_SEPARATOR.join(parts[: end + 1]) for end in range(len(parts))]
