"""The client: typed calls to a model's signatures, on our server, the stock one, or in the same process.

    with Client(GrpcTransport("localhost:8500")) as client:
        for item in client.recommend(["4711"], k=5)[0]:
            print(item.item_id, item.score, item.title)

Loads no TensorFlow, unless a `LocalTransport` is asked for. `serving.async_client` has the same for asyncio.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Concatenate, ParamSpec

from serving.errors import Code, ServingError
from serving.facets import Facets, RangeCount, ValueCount
from serving.grpc_transport import GrpcTransport
from serving.hedging import HedgedTransport
from serving.question import Answer, Question
from serving.questions import Questions
from serving.requests import History, Moment, ScoredItem, VersionState, Why
from serving.retries import Retries
from serving.rules import Rules
from serving.transports import LocalTransport, Transport

__all__ = [
    "Client",
    "Code",
    "Facets",
    "GrpcTransport",
    "HedgedTransport",
    "History",
    "LocalTransport",
    "Moment",
    "RangeCount",
    "Rules",
    "ScoredItem",
    "ServingError",
    "Transport",
    "ValueCount",
    "VersionState",
    "Why",
]

Arguments = ParamSpec("Arguments")


def _asking(
    make: Callable[Concatenate[Questions, Arguments], Question[Answer]],
) -> Callable[Concatenate[Client, Arguments], Answer]:
    """Turns what makes a question into what asks it."""

    @functools.wraps(make)
    def ask(client: Client, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        return client.ask(make(client.questions, *args, **kwargs))

    return ask


class Client:
    """Asks one model. Its calls may come from several threads at once.

    Each call takes a batch: lists with one entry a row. Histories, queries, moments and exclusions may be left
    out; the model then uses its defaults. Rules hold for every row of the call.

    Args:
      transport: what carries the calls.
      model_name: the model's name on the server.
      version: the version to ask; None means the newest.
      label: the label of the version to ask, in place of `version`.
      deadline_s: when a call, its retries included, gives up.
      retries: how often a call for which nothing was done is tried again.
      backoff_s: pause before the first retry; it doubles each time, with jitter.
      sleep: what waits.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        model_name: str = "aisle",
        version: int | None = None,
        label: str | None = None,
        deadline_s: float = 10.0,
        retries: int = 5,
        backoff_s: float = 0.1,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.transport = transport
        self.questions = Questions(model_name, version, label)
        self.deadline_s = deadline_s
        self._retries = Retries(retries, backoff_s)
        self._sleep = sleep

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def model_name(self) -> str:
        """The model's name on the server."""
        return self.questions.model_name

    def close(self) -> None:
        """Closes the transport."""
        self.transport.close()

    recommend = _asking(Questions.recommend)
    search = _asking(Questions.search)
    facets = _asking(Questions.facets)
    similar = _asking(Questions.similar)
    rank = _asking(Questions.rank)
    embed = _asking(Questions.embed)
    predict = _asking(Questions.predict)
    inputs = _asking(Questions.inputs)
    versions = _asking(Questions.versions)

    def ask(self, question: Question[Answer]) -> Answer:
        """Carries a question to the server and its answer back.

        Raises:
          ServingError: what the server answered to the last attempt.
        """
        attempts = self._retries.begin(self.deadline_s if question.deadline_s is None else question.deadline_s)
        while True:
            try:
                response = self.transport.call(question.method, question.request, attempts.left_s())
                break
            except ServingError as error:
                pause_s = attempts.pause_s(error)
            self._sleep(pause_s)
        return question.answer(response)
