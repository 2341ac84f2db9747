"""Metrics over the whole catalogue, in NumPy: of each case's ranking, of all lists together, and their intervals."""

from trainer.metrics.bootstrap import bootstrap_interval, percentile_interval, resampled_means
from trainer.metrics.lists import LIST_METRICS, ItemTraits, Lists, Past, measure_lists
from trainer.metrics.ranking import METRICS, Hits, Values, find_hits, measure, parse_metric

__all__ = [
    "LIST_METRICS",
    "METRICS",
    "Hits",
    "ItemTraits",
    "Lists",
    "Past",
    "Values",
    "bootstrap_interval",
    "find_hits",
    "measure",
    "measure_lists",
    "parse_metric",
    "percentile_interval",
    "resampled_means",
]
