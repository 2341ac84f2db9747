"""The Markdown table of ablations, and its place in a document."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.quality_tables import BOOTSTRAP_SEED, markdown_table, short
from trainer.metrics.bootstrap import bootstrap_interval

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One variation.

    Args:
      title: what it is called.
      settings: KEY=VALUE that make it.
      values: by table and metric, the value of each case, [cases].
      minutes: how long its training took.
      base: what it is compared with; None where others are compared with it.
    """

    title: str
    settings: Sequence[str]
    values: Mapping[tuple[str, str], Values]
    minutes: float
    base: Row | None = None

    def cell(self, key: tuple[str, str]) -> str:
        """Returns a mean and, below it, the paired difference to the base with its interval."""
        mean = short(self.values[key].mean())
        if self.base is None:
            return mean
        differences = self.values[key] - self.base.values[key]
        low, high = (float(end[0]) for end in bootstrap_interval(differences[:, np.newaxis], BOOTSTRAP_SEED))
        difference = signed(float(differences.mean()))
        if low > 0 or high < 0:
            difference = f"**{difference}**"
        return f"{mean}<br>{difference} ({signed(low)} to {signed(high)})"


def signed(value: float) -> str:
    """Writes +.0418 for 0.0418."""
    return f"{value:+.4f}".replace("0.", ".", 1)


def markdown(rows: Sequence[Row]) -> str:
    """Writes the table.

    Args:
      rows: at least one; all of the same cases.
    """
    keys = list(rows[0].values)
    lines = [
        [
            "<br>".join([row.title, *(f"`{setting}`" for setting in row.settings)]),
            *(row.cell(key) for key in keys),
            f"{row.minutes:.1f}",
        ]
        for row in rows
    ]
    return markdown_table(["variation", *(f"{table}: {metric}" for table, metric in keys), "trained in, min"], lines)


def write_section(document: Path, name: str, text: str) -> None:
    """Puts a text between the markers of a section of a document, in place of what stands there.

    Args:
      document: a Markdown file with the two markers.
      name: of the section.
      text: Markdown.

    Raises:
      ValueError: if the markers are not there, once each and in their order.
    """
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before = document.read_text(encoding="utf-8")
    parts = re.split(f"{re.escape(start)}\n(?:.*\n)?{re.escape(end)}", before, flags=re.DOTALL)
    if len(parts) != 2 or before.count(start) != 1:
        raise ValueError(f"{document}: expected one line '{start}' and after it one line '{end}'; write them there")
    document.write_text(f"{parts[0]}{start}\n\n{text}\n\n{end}{parts[1]}", encoding="utf-8")
