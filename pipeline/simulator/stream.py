"""The stream of all events of a simulated shop, in the order of time, in bounded memory.

Time is cut into units of equal numbers of events. A unit draws from its own random stream, so what it
holds depends on nothing but the plan and the units before it. What reaches beyond a unit (late clicks,
ratings, things used up) waits until its time comes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.simulator.arrays import Floats, Ints
from pipeline.simulator.events import Events, Rebuys
from pipeline.simulator.plan import Plan
from pipeline.simulator.sessions import MEAN_EVENTS, Visitors
from pipeline.simulator.world import World

_STREAM = 4  # of the seed
_UNIT_EVENTS = 8_192  # at most
_UNIT_DAYS = 7  # about, at most


def stream_events(world: World) -> Iterator[Events]:
    """Yields exactly `plan.events` events in pieces, sorted by time across all of them."""
    plan = world.plan
    edges = _unit_edges(world)
    budgets = np.diff(np.arange(len(edges)) * plan.events // (len(edges) - 1))
    visitors = Visitors(world)
    waiting, rebuys, sessions = Events.join([]), Rebuys.none(), 0
    for unit, budget in enumerate(budgets.tolist()):
        rng = np.random.default_rng([plan.seed, _STREAM, unit])
        until = int(edges[unit + 1]) if unit + 1 < len(budgets) else plan.end_s
        due = rebuys.due_s < until
        clock = _clock(world, edges[unit], edges[unit + 1])
        drawn, sessions = _draw(
            visitors, plan, budget=budget, due=rebuys.where(due), clock=clock, sessions=sessions, rng=rng
        )
        later = visitors.used_up(drawn, rng)
        rebuys = rebuys.where(~due).join(later.where((later.due_s >= until) & (later.due_s < plan.end_s)))
        waiting = Events.join([waiting, drawn])
        waiting = waiting.take(np.argsort(waiting.timestamp, kind="stable"))
        ready = int(np.searchsorted(waiting.timestamp, until, side="left"))
        yield waiting.take(slice(0, ready))
        waiting = waiting.take(slice(ready, None))


def _draw(
    visitors: Visitors,
    plan: Plan,
    *,
    budget: int,
    due: Rebuys,
    clock: tuple[Floats, Floats],
    sessions: int,
    rng: np.random.Generator,
) -> tuple[Events, int]:
    """Draws sessions until they hold `budget` events, cuts what is too much; also returns the next session number."""
    parts, count = [], 0
    if len(due.due_s):
        parts.append(_before_end(visitors.rebuys(due, sessions, rng), plan))
        sessions, count = sessions + len(due.due_s), len(parts[0])
    volume, hour_s = clock
    while count < budget:
        number = int((budget - count) / MEAN_EVENTS * 1.1) + 2
        # Sessions come in the order in which they are drawn, not by time: cutting the last ones is fair.
        start = np.interp(rng.uniform(volume[0], volume[-1], number), volume, hour_s).astype(np.int64)
        parts.append(_before_end(visitors.fresh(start, sessions, rng), plan))
        sessions, count = sessions + number, count + len(parts[-1])
    return Events.join(parts).take(slice(0, budget)), sessions


def _before_end(events: Events, plan: Plan) -> Events:
    return events.take(events.timestamp < plan.end_s)


def _unit_edges(world: World) -> Floats:
    """Returns the times `[units + 1]` between which equal shares of all events fall."""
    plan = world.plan
    units = max(1, -(-plan.events // _UNIT_EVENTS), min(-(-plan.days // _UNIT_DAYS), plan.events))
    volume, hour_s = _whole_clock(world)
    return np.interp(np.linspace(0.0, volume[-1], units + 1), volume, hour_s)


def _clock(world: World, first_s: float, last_s: float) -> tuple[Floats, Floats]:
    """Returns (volume so far, time) at the corners between two times."""
    volume, hour_s = _whole_clock(world)
    inside = hour_s[(hour_s > first_s) & (hour_s < last_s)]
    times = np.concatenate([[first_s], inside, [last_s]])
    return np.interp(times, hour_s, volume), times


def _whole_clock(world: World) -> tuple[Floats, Floats]:
    volume = np.concatenate([[0.0], np.cumsum(world.almanac.volume)])
    hour_s: Ints = world.plan.start_s + 3600 * np.arange(len(volume))
    return volume, hour_s.astype(np.float64)
