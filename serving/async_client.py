"""The client for asyncio: the calls of `serving.client`, awaited.

async with AsyncClient(AsyncGrpcTransport("localhost:8500")) as client:
    [items] = await client.recommend(["4711"], k=5)
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec

from serving.async_transports import AsyncGrpcTransport, AsyncHedgedTransport, AsyncTransport
from serving.errors import ServingError
from serving.question import Answer, Question
from serving.questions import Questions
from serving.retries import Retries

__all__ = ["AsyncClient", "AsyncGrpcTransport", "AsyncHedgedTransport", "AsyncTransport"]

Arguments = ParamSpec("Arguments")


def _asking(
    make: Callable[Concatenate[Questions, Arguments], Question[Answer]],
) -> Callable[Concatenate[AsyncClient, Arguments], Coroutine[Any, Any, Answer]]:
    """Turns what makes a question into what asks it."""

    @functools.wraps(make)
    async def ask(client: AsyncClient, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        return await client.ask(make(client.questions, *args, **kwargs))

    return ask


class AsyncClient:
    """Asks one model, with any number of calls under way at once; all of them in one event loop.

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
        transport: AsyncTransport,
        *,
        model_name: str = "aisle",
        version: int | None = None,
        label: str | None = None,
        deadline_s: float = 10.0,
        retries: int = 5,
        backoff_s: float = 0.1,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.transport = transport
        self.questions = Questions(model_name, version, label)
        self.deadline_s = deadline_s
        self._retries = Retries(retries, backoff_s)
        self._sleep = sleep

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the transport."""
        await self.transport.close()

    recommend = _asking(Questions.recommend)
    search = _asking(Questions.search)
    facets = _asking(Questions.facets)
    similar = _asking(Questions.similar)
    rank = _asking(Questions.rank)
    embed = _asking(Questions.embed)
    predict = _asking(Questions.predict)
    inputs = _asking(Questions.inputs)
    versions = _asking(Questions.versions)

    async def ask(self, question: Question[Answer]) -> Answer:
        """Carries a question to the server and its answer back.

        Raises:
          ServingError: what the server answered to the last attempt.
        """
        attempts = self._retries.begin(self.deadline_s if question.deadline_s is None else question.deadline_s)
        while True:
            try:
                response = await self.transport.call(question.method, question.request, attempts.left_s())
                break
            except ServingError as error:
                pause_s = attempts.pause_s(error)
            await self._sleep(pause_s)
        return question.answer(response)
