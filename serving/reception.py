"""What every call passes, however it came: who asks, whether it may, how it ended, and a line about it."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from typing import TypeVar

from serving.access_log import AccessLog
from serving.admission import Admission
from serving.border import CallBorder
from serving.call import Call
from serving.errors import Code, ServingError
from serving.monitoring import Monitor
from serving.service import ModelService

REQUEST_ID = "x-request-id"
_GOOD_ID = re.compile(r"[\x21-\x7e]{1,128}")
_SHOWN = 200
Answer = TypeVar("Answer")


class Reception:
    """Lets calls in, and notes how they ended.

    Args:
      service: knows which models there are.
      admission: decides who may ask.
      monitor: what counts the calls.
      log: gets a line a call, if there is one.
    """

    def __init__(
        self, service: ModelService, admission: Admission, monitor: Monitor, log: AccessLog | None = None
    ) -> None:
        self.service = service
        self.admission = admission
        self.monitor = monitor
        self._log = log

    @property
    def names_calls(self) -> bool:
        """Whether calls have ids: where a log tells of them."""
        return self._log is not None

    def request_id(self, sent: str) -> str:
        """Returns the id of a call in the log and in the answer: the client's own if it is a good one."""
        return sent if _GOOD_ID.fullmatch(sent) else secrets.token_hex(8)

    def answer(self, call: Call, model: str, authorization: str, work: Callable[[], Answer]) -> Answer:
        """Runs the work of a call if it may come in.

        Args:
          call: what is known of it.
          model: the name of the model that it asks for.
          authorization: what the client sent as such.
          work: makes the answer.

        Returns:
          What the work returns.

        Raises:
          ServingError: what the call is answered with.
          WouldWaitError: if it cannot be answered at once, as it asks for; it may be tried again elsewhere.
        """
        # Metrics must not grow by what clients think up.
        call.model = self.service.known_name(model)
        try:
            with CallBorder():
                if not call.admitted:
                    call.client = self.admission.client(call.client, authorization)
                    self.admission.check_rate(call.client)
                    call.admitted = True
                made = work()
        except ServingError as error:
            self.note(call, error.code, error.message)
            raise
        self.note(call)
        return made

    def note(self, call: Call, code: Code = Code.OK, message: str = "") -> None:
        """Notes how a call ended."""
        seconds = time.perf_counter() - call.started_s
        self.monitor.count(call.model, code)
        if code == Code.OK:
            self.monitor.observe(call.model, call.method, call.api, seconds)
        if call.signature:
            self.monitor.observe_call(call.model, call.signature, code, seconds)
        if self._log is not None:
            self._log.write(
                time=round(time.time(), 6),
                request_id=call.request_id,
                api=call.api,
                method=call.method,
                client=call.client,
                model=call.model,
                version=call.version,
                signature=call.signature,
                status=code.name,
                milliseconds=round(seconds * 1000, 3),
                message=message[:_SHOWN],
            )
