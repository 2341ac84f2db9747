"""What a step's result depends on beside its inputs: the source files, our code, its part of the configuration.

ML Metadata reuses a step's outputs when its inputs and execution properties are what they were. These
texts go into the properties, so that a changed table or a changed line of code runs the step again, and
a changed setting runs only the steps that read it.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.config import Config, parse_config
from pipeline.sources.files import find_files
from pipeline.sources.source import TableError

_PACKAGES = ("pipeline", "trainer", "serving")


def of_sources(config: Config) -> str:
    """Names every file of the shop's tables with its size and its time of change.

    Args:
      config: the shop's configuration; paths may be globs.

    Returns:
      A SHA-256 in hexadecimal; files that are not there yet count as missing.
    """
    digest = hashlib.sha256()
    for table in (config.tables.events, config.tables.items, config.tables.users):
        for pattern in (table.path, table.queries_path) if table is not None else ():
            for path in _matching(pattern) if pattern else ():
                stat = path.stat()
                digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
            digest.update(b"\0\n")
    return digest.hexdigest()


def of_code(*modules: str) -> str:
    """Hashes the source of our modules and of everything of ours that they import, without importing them.

    Args:
      *modules: dotted names of modules or packages; a package stands for all files in it.

    Returns:
      A SHA-256 in hexadecimal.
    """
    found: dict[str, bytes] = {}
    waiting = [name for module in modules for name in _with_submodules(module)]
    while waiting:
        name = waiting.pop()
        path = _source_of(name)
        if path is None or name in found:
            continue
        found[name] = path.read_bytes()
        waiting.extend(_imports_of(found[name], str(path)))
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(name.encode() + b"\0" + hashlib.sha256(found[name]).digest())
    return digest.hexdigest()


def narrowed(config: Config, keys: Sequence[str]) -> str:
    """Gives the configuration as JSON with every other key at its default.

    Args:
      config: the shop's configuration.
      keys: what to keep, such as `split` or `features.history`. Keys that have no default but are not
        kept get a fixed stand-in; `name` is always kept.

    Returns:
      JSON that `parse_config` reads.
    """
    tree: dict[str, Any] = config.model_dump(mode="json")
    kept: dict[str, Any] = {
        "name": tree["name"],
        "tables": {"events": {"path": "-"}, "items": {"from_events": True}},
        "split": {"test_start": "1970-01-01"},
    }
    for key in keys:
        _copy_branch(tree, kept, key.split("."))
    return parse_config(kept).model_dump_json()


def _matching(pattern: str) -> list[Path]:
    try:
        return [Path(name) for name in find_files(pattern, key="tables")]
    except TableError:
        return []  # the import will say what is missing


def _copy_branch(source: dict[str, Any], target: dict[str, Any], parts: list[str]) -> None:
    head, *rest = parts
    if head not in source:
        raise KeyError(f"the configuration has no key '{head}'; it has {', '.join(source)}")
    if not rest:
        target[head] = source[head]
        return
    _copy_branch(source[head], target.setdefault(head, {}), rest)


def _source_of(name: str) -> Path | None:
    if name.split(".", maxsplit=1)[0] not in _PACKAGES:
        return None
    root = importlib.util.find_spec(name.split(".", maxsplit=1)[0])
    if root is None or not root.submodule_search_locations:
        return None
    base = Path(root.submodule_search_locations[0]).joinpath(*name.split(".")[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _with_submodules(name: str) -> Iterator[str]:
    yield name
    path = _source_of(name)
    if path is not None and path.name == "__init__.py":
        for inner in sorted(path.parent.rglob("*.py")):
            parts = inner.relative_to(path.parent).with_suffix("").parts
            yield ".".join((name, *parts)).removesuffix(".__init__")


def _imports_of(source: bytes, filename: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source, filename=filename)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            # `from pipeline import tables` names a module, `from pipeline.tables import x` does not: both are tried.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
