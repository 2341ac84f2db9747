"""A simulated shop: tables with effects that are planted, and so known.

`simulate(Plan(users=1000, items=500, events=50000, seed=7), folder)` writes users, items and events
under the canonical column names, and beside them the truth. The same plan gives the same bytes.
"""

from pipeline.simulator.plan import Plan, SimulationError
from pipeline.simulator.truth import Context, Truth, read_truth, true_preferences
from pipeline.simulator.writer import FORMATS, Format, simulate

__all__ = [
    "FORMATS",
    "Context",
    "Format",
    "Plan",
    "SimulationError",
    "Truth",
    "read_truth",
    "simulate",
    "true_preferences",
]
