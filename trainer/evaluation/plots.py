"""The report's plots, as SVG to put into a page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.gate import MODEL

_MODEL_COLOUR, _WORSE, _UNSURE = "#0b6e4f", "#b3261e", "#6b7280"
_COLOURS = (
    "#1f5f99",
    "#c77700",
    "#7a4fa3",
    "#8a6d3b",
    "#2f8f9d",
    "#b5578a",
    "#5b7f2b",
    "#444444",
    "#9a9a9a",
    "#d1495b",
)
# Text stays text, a dollar is no formula, and the same report gives the same bytes.
_STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "aisle", "text.parse_math": False, "font.size": 9.0}

Results = Mapping[str, Mapping[str, Mapping[str, float]]]


@matplotlib.rc_context(_STYLE)
def depth_curves(results: Results, metrics: Sequence[str], depths: Sequence[int]) -> str:
    """Draws metrics against the depth of the list, a line for each ranker, the model's with its interval."""
    figure = Figure(figsize=(3.4 * len(metrics) + 1.4, 3.0), layout="constrained")
    for axes, metric in zip(_row(figure, len(metrics)), metrics, strict=True):
        for (ranker, values), colour in zip(results.items(), _colours(results), strict=True):
            found = [values[f"{metric}@{depth}"] for depth in depths]
            width = 2.4 if ranker == MODEL else 1.2
            axes.plot(depths, [each["value"] for each in found], marker="o", ms=3, lw=width, color=colour, label=ranker)
            if ranker == MODEL:
                ends = [each["low"] for each in found], [each["high"] for each in found]
                axes.fill_between(depths, *ends, color=colour, alpha=0.15, lw=0)
        axes.set_xscale("log")
        axes.set_xticks(list(depths), [str(depth) for depth in depths])
        axes.minorticks_off()
        axes.set(title=metric, xlabel="first k of the list", ylim=(0, None))
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return _svg(figure, "metrics by depth")


@matplotlib.rc_context(_STYLE)
def differences(rows: Sequence[tuple[str, Mapping[str, float]]], metric: str) -> str:
    """Draws paired differences with their intervals, one line each: green above zero, red below, grey across.

    Args:
      rows: name and difference.
      metric: what differs.
    """
    figure = Figure(figsize=(7.2, 0.9 + 0.26 * len(rows)), layout="constrained")
    [axes] = _row(figure, 1)
    for place, (_, found) in enumerate(rows):
        colour = _MODEL_COLOUR if found["low"] > 0 else _WORSE if found["high"] < 0 else _UNSURE
        axes.plot([found["low"], found["high"]], [place, place], color=colour, lw=2)
        axes.plot([found["value"]], [place], marker="o", ms=4, color=colour)
    axes.axvline(0, color="#222222", lw=0.8)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.invert_yaxis()
    axes.set(xlabel=f"{metric} of the model minus that of the rival")
    return _svg(figure, f"differences of {metric}")


@matplotlib.rc_context(_STYLE)
def list_bars(lists: Mapping[str, Mapping[str, float | None]], metrics: Sequence[str]) -> str:
    """Draws what the lists are like, a group of bars for each metric that is defined."""
    shown = [name for name in metrics if any(values[name] is not None for values in lists.values())]
    figure = Figure(figsize=(2.4 * max(1, len(shown)), 0.9 + 0.26 * len(lists)), layout="constrained")
    for place, (axes, name) in enumerate(zip(_row(figure, len(shown)), shown, strict=True)):
        axes.barh(range(len(lists)), [values[name] or 0.0 for values in lists.values()], color=_colours(lists))
        axes.set_yticks(range(len(lists)), list(lists) if place == 0 else [""] * len(lists))
        axes.invert_yaxis()
        axes.set(title=name)
    return _svg(figure, "what the lists are like")


def _row(figure: Figure, count: int) -> list[Axes]:
    made = [figure.add_subplot(1, max(1, count), place + 1) for place in range(count)]
    for axes in made:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="both", lw=0.3)
        axes.set_axisbelow(True)
    return made


def _colours(rankers: Mapping[str, Any]) -> list[str]:
    rivals = [ranker for ranker in rankers if ranker != MODEL]
    return [_MODEL_COLOUR if each == MODEL else _COLOURS[rivals.index(each) % len(_COLOURS)] for each in rankers]


def _svg(figure: Figure, title: str) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Title": title})
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]  # a page takes neither the XML declaration nor the document type
