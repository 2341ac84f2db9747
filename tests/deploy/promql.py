"""The metrics that PromQL expressions read."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml
from programs import ROOT

RULES = ROOT / "deploy/prometheus"
DASHBOARD = ROOT / "deploy/grafana/aisle.json"
# What stands beside metrics without being one: modifiers with their label lists, and words between operands.
_LABEL_LISTS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "sum", "max", "min", "count", "avg"})


def metrics_of(expression: str) -> set[str]:
    """Finds the names of metrics in an expression."""
    text = re.sub(r'"[^"]*"', '""', expression)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b\d[\d.]*(?:e\d+|[smhdw])?\b", " ", _LABEL_LISTS.sub(" ", text))
    return {
        found[1]
        for found in re.finditer(r"([a-zA-Z_:][\w:]*)\s*(\()?", text)
        if not found[2] and found[1] not in _WORDS
    }


def rules() -> Iterator[dict[str, Any]]:
    """Yields every rule of the rule files."""
    for file in sorted(RULES.glob("*.rules.yml")):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]


def dashboard_expressions() -> list[str]:
    """Returns every query of the dashboard, with its variables filled in."""
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    found = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    return [text.replace("$model", ".*").replace("$__rate_interval", "5m") for text in found]
