"""Clients of a serving benchmark, in a process of their own: how many calls a second, and how long each took.

    python -m benchmarks.serving_load ADDRESS REQUESTS --clients 8 --seconds 2 [--rate 100] [--rest PATH]

REQUESTS holds one call a line, base64: serialised PredictRequests, or JSON bodies for REST. Each client has a
connection of its own and asks again once it is answered; with a rate, calls come at that rate whether others are
answered or not. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc
import numpy as np

from benchmarks import h2load

ROOT = Path(__file__).resolve().parents[1]
METHOD = "/tensorflow.serving.PredictionService/Predict"
# A pool of its own for each channel: else all clients of a process share one connection, and so one worker.
_OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1))
_WARM_S = 0.3
_DEADLINE_S = 30.0

Ask = Callable[[bytes], Awaitable[object]]


@dataclass(frozen=True)
class Load:
    """What clients have seen.

    Args:
      calls_per_s: answered.
      p50_ms: the median of how long they took.
      p99_ms: what one in a hundred took longer than.
      answered: calls with an answer, those of the warm-up among them.
      failed: calls without one.
    """

    calls_per_s: float
    p50_ms: float
    p99_ms: float
    answered: int
    failed: int


def measure(
    address: str, requests: Path, *, clients: int, seconds: float, rate: float = 0.0, rest_path: str = ""
) -> Load:
    """Runs clients in another process: h2load where all calls are the same, else clients in Python.

    Args:
      address: HOST:PORT.
      requests: file of calls.
      clients: how many ask at once; with a rate, how many connections there are.
      seconds: how long.
      rate: calls a second that come in any case; 0 asks again after each answer.
      rest_path: asks over REST there; "" asks over gRPC.
    """
    calls = read_requests(requests)
    if len(calls) == 1 and not rate:
        path, over_grpc = (rest_path, False) if rest_path else (METHOD, True)
        seen = h2load.ask(
            address, path, calls[0], clients=clients, seconds=seconds, warm_s=_WARM_S, over_grpc=over_grpc
        )
        return load_of(seen.taken_s, seconds, seen.answered, seen.failed)
    words = [address, str(requests), "--clients", str(clients), "--seconds", str(seconds), "--rate", str(rate)]
    command = [sys.executable, "-m", "benchmarks.serving_load", *words, "--rest", rest_path]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=seconds + 120)
    return Load(**json.loads(done.stdout))


def write_requests(file: Path, requests: Sequence[bytes]) -> Path:
    """Writes calls as `measure` reads them."""
    file.write_bytes(b"\n".join(map(base64.b64encode, requests)))
    return file


def read_requests(file: Path) -> list[bytes]:
    """Reads what `write_requests` has written."""
    return [base64.b64decode(line) for line in file.read_bytes().splitlines()]


def main() -> None:
    """Asks, and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("requests", type=Path)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--rest", default="")
    arguments = parser.parse_args()
    calls = read_requests(arguments.requests)
    if arguments.clients == 1 and not arguments.rate and not arguments.rest:
        load = _one_client(arguments.address, calls, arguments.seconds)
    else:
        load = asyncio.run(_clients(arguments, calls))
    print(json.dumps(asdict(load)))


def _one_client(address: str, calls: Sequence[bytes], seconds: float) -> Load:
    taken: list[float] = []
    with grpc.insecure_channel(address, options=_OWN_CONNECTION) as channel:
        ask = channel.unary_unary(METHOD)
        start, answered = time.perf_counter(), 0
        for call in itertools.cycle(calls):
            began = time.perf_counter()
            if began - start > _WARM_S + seconds:
                break
            ask(call, timeout=_DEADLINE_S)
            answered += 1
            if began - start > _WARM_S:
                taken.append(time.perf_counter() - began)
    return load_of(taken, seconds, answered, 0)


async def _clients(arguments: argparse.Namespace, calls: Sequence[bytes]) -> Load:
    asks: list[Ask] = []
    closes: list[Callable[[], Awaitable[None]]] = []
    for _ in range(arguments.clients):
        if arguments.rest:
            connection = await RestConnection.open(arguments.address, arguments.rest)
            asks.append(connection.ask)
            closes.append(connection.close)
        else:
            channel = grpc.aio.insecure_channel(arguments.address, options=_OWN_CONNECTION)
            asks.append(_over_grpc(channel))
            closes.append(channel.close)
    run = Run(arguments.seconds, itertools.cycle(calls))
    await (run.at_rate(asks, arguments.rate) if arguments.rate else run.in_turn(asks))
    for close in closes:
        await close()
    return load_of(run.taken, arguments.seconds, run.answered, run.failed)


def _over_grpc(channel: grpc.aio.Channel) -> Ask:
    method = channel.unary_unary(METHOD)
    return lambda call: method(call, timeout=_DEADLINE_S)


class Run:
    """One measurement.

    Args:
      seconds: how long, after a moment of warming up.
      calls: what is asked.
    """

    def __init__(self, seconds: float, calls: Iterator[bytes]) -> None:
        self.taken: list[float] = []
        self.answered = self.failed = 0
        self._calls = calls
        self._start = time.perf_counter() + _WARM_S
        self._end = self._start + seconds

    async def in_turn(self, asks: Sequence[Ask]) -> None:
        """Lets each client ask again once it is answered."""

        async def client(ask: Ask) -> None:
            while time.perf_counter() < self._end:
                await self._one(ask, time.perf_counter())

        await asyncio.gather(*map(client, asks))

    async def at_rate(self, asks: Sequence[Ask], rate: float) -> None:
        """Asks at a rate; what a call waits for its turn counts, as a visitor would wait too."""
        tasks = []
        begin = time.perf_counter()
        for number, ask in enumerate(itertools.cycle(asks)):
            due = begin + number / rate
            if due > self._end:
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(self._one(ask, due)))
        await asyncio.gather(*tasks)

    async def _one(self, ask: Ask, began: float) -> None:
        try:
            await ask(next(self._calls))
        except (grpc.aio.AioRpcError, OSError, ValueError):
            self.failed += 1
            return
        self.answered += 1
        if began > self._start:
            self.taken.append(time.perf_counter() - began)


class RestConnection:
    """One HTTP/1.1 connection that is kept open, no dearer than a gRPC channel."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        self._reader, self._writer, self._head = reader, writer, head

    @classmethod
    async def open(cls, address: str, path: str) -> RestConnection:
        """Connects to HOST:PORT."""
        host, port = address.rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        return cls(reader, writer, f"POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n")

    async def ask(self, call: bytes) -> bytes:
        """Sends a body and returns the answer's; a status other than 200 is a ValueError."""
        self._writer.write(f"{self._head}Content-Length: {len(call)}\r\n\r\n".encode() + call)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise ValueError(body.decode(errors="replace"))
        return body

    async def close(self) -> None:
        """Closes the connection."""
        self._writer.close()
        await self._writer.wait_closed()


def load_of(taken: Sequence[float], seconds: float, answered: int, failed: int) -> Load:
    """Sums up what calls took, seconds each, that came in a span of so many seconds."""
    if not taken:
        return Load(0.0, float("inf"), float("inf"), answered, failed)
    p50, p99 = np.percentile(taken, [50, 99]) * 1000
    return Load(len(taken) / seconds, float(p50), float(p99), answered, failed)


if __name__ == "__main__":
    main()
