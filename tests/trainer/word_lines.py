"""Lines of the graph as Python's lists."""

from typing import Any

from trainer.lexical.lines import Lines


def lists(lines: Lines) -> list[list[Any]]:
    """Writes the values of each line, bytes as text."""
    found: list[list[Any]] = [[] for _ in range(int(lines.count))]
    for value, row in zip(lines.values.numpy().tolist(), lines.rows.numpy().tolist(), strict=True):
        found[row].append(value.decode() if isinstance(value, bytes) else value)
    return found
