"""Calls that come while the processors are busy run together: one run of the graph answers several.

Nobody waits for others to come: a call that finds a free thread runs at once, alone. What waits for a thread is
put together when one gets free, as far as the answers stay those of calls that run alone, and for as many rows as
pay. With a batching parameters file the stock server's rules hold instead.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from serving.batching_parameters import Batching
from serving.errors import Code, ServingError, WouldWaitError
from serving.merging import ContractMerger, Merger, PlainMerger
from serving.pace import Pace
from serving.predictor import Predictor, Signature

# Of calls that are put together unasked: beyond that the wait of the first costs more than is won.
MAX_ROWS = 64

Outputs = dict[str, NDArray[Any]]
Observer = Callable[[str, str, float], None]


@dataclass(eq=False)
class _Waiting:
    """A call on its way through. `turn` is set when it has an answer, or a thread of its own."""

    inputs: Mapping[str, NDArray[Any]]
    rows: int
    kind: Hashable
    deadline_s: float | None
    came_s: float
    turn: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    outputs: Outputs | None = None
    error: ServingError | None = None

    def left_s(self) -> float | None:
        """Returns how long the client still waits, seconds."""
        return None if self.deadline_s is None else self.deadline_s - time.monotonic()


@dataclass(frozen=True)
class _Lane:
    """One signature of one loaded model."""

    model: str
    predictor: Predictor
    signature: Signature
    output_filter: tuple[str, ...]
    merger: Merger
    pace: Pace


class Batcher:
    """Runs the calls of one server process.

    Args:
      batching: the operator's settings; None puts together what is worth it and surely gives the same answers.
      processors: how many runs go on at once, where the settings do not say; 0: one for each that the process may use.
      observe_batch: gets model, signature and rows of each run.
      observe_queue: gets model, signature and the seconds that a call has waited.
    """

    def __init__(
        self,
        batching: Batching | None = None,
        *,
        processors: int = 0,
        observe_batch: Callable[[str, str, int], None] = lambda _model, _signature, _rows: None,
        observe_queue: Observer = lambda _model, _signature, _seconds: None,
    ) -> None:
        self._asked = batching
        self._settings = batching or Batching(max_rows=MAX_ROWS, max_waiting_runs=2**31)
        self._observe_batch, self._observe_queue = observe_batch, observe_queue
        self._changed = threading.Condition()
        self._free = self._settings.threads or processors or len(os.sched_getaffinity(0))
        self._waiting: deque[_Waiting] = deque()
        self._gathering: list[Hashable] = []
        self._lanes: weakref.WeakKeyDictionary[Predictor, dict[str, tuple[Merger, Pace] | None]] = (
            weakref.WeakKeyDictionary()
        )

    def run(
        self,
        model: str,
        predictor: Predictor,
        signature: Signature,
        inputs: Mapping[str, NDArray[Any]],
        *,
        output_filter: Sequence[str] = (),
        timeout_s: float | None = None,
        at_once: bool = False,
    ) -> Outputs:
        """Runs a signature as `Predictor.predict` does, maybe together with other calls.

        Raises:
          ServingError: what the stock server would answer.
          WouldWaitError: if it must run at once and there is no free thread, or the operator has calls wait for others.
        """
        signature.check_inputs(inputs.keys())
        found = self._lane(predictor, signature)
        rows = found[0].rows(inputs) if found else 0
        if found is None or not rows:
            self._observe_batch(model, signature.name, max((len(v) for v in inputs.values() if v.ndim), default=1))
            return predictor.predict(signature, inputs, output_filter, timeout_s)
        merger, pace = found
        if self._asked and rows > self._settings.max_rows and not self._settings.splits:
            raise ServingError(
                Code.INVALID_ARGUMENT,
                f"Task size {rows} is larger than maximum input batch size {self._settings.max_rows}",
            )
        lane = _Lane(model, predictor, signature, tuple(output_filter), merger, pace)
        now_s = time.monotonic()
        kind = (id(predictor), signature.name, lane.output_filter, merger.kind(inputs))
        call = _Waiting(inputs, rows, kind, None if timeout_s is None else now_s + timeout_s, now_s)
        self._take_thread(call, may_wait=not at_once)
        if call.leads:
            self._lead(lane, call)
        if call.error is not None:
            raise call.error
        assert call.outputs is not None
        return call.outputs

    def _lane(self, predictor: Predictor, signature: Signature) -> tuple[Merger, Pace] | None:
        lanes = self._lanes.get(predictor)
        if lanes is None:
            lanes = self._lanes.setdefault(predictor, {})
        if signature.name not in lanes:
            merger: Merger | None = None
            if predictor.has_contract:
                merger = ContractMerger(signature)
            elif self._asked is not None:
                merger = PlainMerger(signature, pads=self._asked.pads)
            lanes[signature.name] = None if merger is None else (merger, Pace(self._settings.max_rows))
        return lanes[signature.name]

    def _take_thread(self, call: _Waiting, *, may_wait: bool) -> None:
        """Returns when the call leads a run, or when another has answered it."""
        with self._changed:
            if self._free and call.kind not in self._gathering and (may_wait or not self._settings.wait_s):
                self._free -= 1
                call.leads = True
                return
            if not may_wait:
                raise WouldWaitError
            waiting = sum(other.rows for other in self._waiting)
            if waiting + call.rows > self._settings.max_rows * self._settings.max_waiting_runs:
                raise ServingError(
                    Code.UNAVAILABLE,
                    f"The batch scheduling queue to which this task was submitted is full; {waiting} rows wait",
                )
            self._waiting.append(call)
            self._changed.notify_all()
        if call.turn.wait(call.left_s()):
            return
        with self._changed:
            if call in self._waiting:
                self._waiting.remove(call)
                raise ServingError(Code.RESOURCE_EXHAUSTED, "Run() timeout exceeded while waiting in batching queue")
            if call.leads:
                return  # the thread came at the last moment; the run itself sees that it is too late
        raise ServingError(Code.DEADLINE_EXCEEDED, "Timed out waiting for notification")

    def _lead(self, lane: _Lane, call: _Waiting) -> None:
        calls = [call]
        try:
            calls = self._gather(lane, call)
            self._run(lane, calls)
        finally:
            for each in calls[1:]:
                if each.outputs is None and each.error is None:
                    each.error = ServingError(Code.INTERNAL, "the run that was to answer this call has failed")
                each.turn.set()
            with self._changed:
                self._free += 1
                self._hand_out()

    def _gather(self, lane: _Lane, call: _Waiting) -> list[_Waiting]:
        """Takes what waits and may run with a call out of the queue; waits for more only if the operator says so."""
        most = self._settings.max_rows if self._asked else lane.pace.limit
        calls, rows = [call], call.rows
        with self._changed:
            end_s = call.came_s + self._settings.wait_s
            self._gathering.append(call.kind)
            while True:
                for other in [each for each in self._waiting if each.kind == call.kind]:
                    if rows + other.rows <= most:
                        self._waiting.remove(other)
                        calls.append(other)
                        rows += other.rows
                left_s = end_s - time.monotonic()
                if left_s <= 0 or rows >= most:
                    break
                self._changed.wait(left_s)
            self._gathering.remove(call.kind)
            self._hand_out()
        return calls

    def _run(self, lane: _Lane, calls: Sequence[_Waiting]) -> None:
        started_s = time.monotonic()
        name = lane.signature.name
        for call in calls:
            self._observe_queue(lane.model, name, started_s - call.came_s)
        rows = [call.rows for call in calls]
        filled = self._settings.filled(sum(rows))
        if len(calls) == 1 and filled == rows[0] and not self._asked:
            self._run_alone(lane, calls[0])
        else:
            self._run_together(lane, calls, rows, filled)
        self._observe_batch(lane.model, name, filled)
        if all(call.error is None for call in calls):  # what is refused ends early, and tells nothing of the others
            lane.pace.note(filled, time.monotonic() - started_s)

    def _run_together(self, lane: _Lane, calls: Sequence[_Waiting], rows: Sequence[int], filled: int) -> None:
        ends = [call.deadline_s for call in calls]
        left_s = None if None in ends else max(end for end in ends if end is not None) - time.monotonic()
        try:
            joined = lane.merger.join([call.inputs for call in calls], rows, filled)
            outputs = lane.predictor.predict(lane.signature, joined, lane.output_filter, left_s)
            parts = lane.merger.split(outputs, rows, filled)
        except ServingError as error:
            if len(calls) == 1:
                calls[0].error = error
                return
            # One of them is at fault, and only that one shall be told so.
            for call in calls:
                self._run_alone(lane, call)
            return
        for call, part in zip(calls, parts, strict=True):
            call.outputs = part

    def _run_alone(self, lane: _Lane, call: _Waiting) -> None:
        try:
            call.outputs = lane.predictor.predict(lane.signature, call.inputs, lane.output_filter, call.left_s())
        except ServingError as error:
            call.error = error

    def _hand_out(self) -> None:
        """Gives free threads to the calls that have waited longest, but not to those that a run is waiting for."""
        for call in [each for each in self._waiting if each.kind not in self._gathering][: self._free]:
            self._waiting.remove(call)
            self._free -= 1
            call.leads = True
            call.turn.set()
