"""The report's three forms: JSON for programs, one HTML file for people, curves for TensorBoard."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainer.board import Board
from trainer.evaluation.page import render_page
from trainer.gate import MODEL

JSON_FILE, HTML_FILE, CURVES = "evaluation.json", "evaluation.html", "evaluation"


def write_reports(report: Mapping[str, Any], folder: str) -> None:
    """Writes evaluation.json, evaluation.html and TensorBoard's folder; readers see old files or whole new ones.

    Args:
      report: what evaluation.json holds.
      folder: where they go; made if it is not there.
    """
    base = Path(folder)
    base.mkdir(parents=True, exist_ok=True)
    _replace(base / JSON_FILE, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    _replace(base / HTML_FILE, render_page(report))
    write_curves(report, base / CURVES)


def write_curves(report: Mapping[str, Any], folder: Path) -> None:
    """Writes one TensorBoard run for each ranker, in which the step is the depth k.

    Args:
      report: what evaluation.json holds.
      folder: of the runs; replaced.
    """
    shutil.rmtree(folder, ignore_errors=True)
    points: dict[str, dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for ranker, tag, depth, value in _points(report["tables"]):
        points[ranker][depth][tag] = value
    for ranker, depths in points.items():
        board = Board(folder / ranker)
        for depth in sorted(depths):
            board.write_epoch(depth, depths[depth])
        board.close()


def _points(tables: Mapping[str, Any]) -> Iterator[tuple[str, str, int, float]]:
    """Yields ranker, tag, depth and value."""
    for name, table in tables.items():
        yield from _compared(name, table)
        for ranker, values in table["lists"].items():
            yield from ((ranker, f"{name} lists/{tag}", k, value) for tag, k, value in _split(values))
        for part in table.get("slices", ()):
            yield from _compared(f"{name}, {part['by']} {part['name']}", part)


def _compared(name: str, entry: Mapping[str, Any]) -> Iterator[tuple[str, str, int, float]]:
    for ranker, results in entry["results"].items():
        means = {metric: found["value"] for metric, found in results.items()}
        yield from ((ranker, f"{name}/{tag}", k, value) for tag, k, value in _split(means))
    for rival, differences in entry["differences"].items():
        means = {metric: found["value"] for metric, found in differences.items()}
        yield from ((rival, f"{MODEL} ahead in {name}/{tag}", k, value) for tag, k, value in _split(means))


def _split(values: Mapping[str, float | None]) -> Iterator[tuple[str, int, float]]:
    for metric, value in values.items():
        tag, _, depth = metric.partition("@")
        if value is not None:
            yield tag, int(depth), value


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
