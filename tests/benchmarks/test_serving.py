"""What the serving benchmark says of what its clients saw."""

import asyncio
import base64
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving_load import Load, RestConnection, Run, load_of, write_requests
from benchmarks.serving_rivals import _json
from benchmarks.serving_table import Measured


@pytest.mark.parametrize(
    ("measured", "kept", "row"),
    [
        (Measured("a", 0.5, "ms", most=0.6), True, ("a", "0.50 ms", "<= 0.6", "")),
        (Measured("a", 0.7, "ms", most=0.6), False, ("a", "0.70 ms", "<= 0.6", "missed")),
        (Measured("a", 1499.0, "/s", least=1500), False, ("a", "1,499 /s", ">= 1500", "missed")),
        (Measured("a", 0.0, most=0), True, ("a", "0.00", "<= 0", "")),
        (Measured("a", 3.0, "x"), True, ("a", "3.00 x", "", "")),
    ],
)
def test_a_number_stands_beside_its_limit(measured: Measured, kept: bool, row: tuple[str, ...]) -> None:
    assert (measured.kept, measured.row()) == (kept, row)


def test_a_load_is_summed_up() -> None:
    found = load_of([0.001] * 98 + [0.1] * 2, 2.0, 120, 3)
    assert (found.calls_per_s, found.answered, found.failed) == (50.0, 120, 3)
    assert found.p50_ms == pytest.approx(1.0)
    assert found.p99_ms == pytest.approx(100.0)
    assert load_of([], 2.0, 0, 7) == Load(0.0, float("inf"), float("inf"), 0, 7)


def test_calls_come_at_their_rate_even_if_answers_are_late() -> None:
    """A client that waited for each answer before asking again would hide how late they are."""

    async def late(_call: bytes) -> None:
        await asyncio.sleep(0.2)

    async def broken(_call: bytes) -> None:
        raise OSError

    run = Run(0.5, itertools.cycle([b"call"]))
    asyncio.run(run.at_rate([late], 50.0))
    assert 35 <= run.answered <= 41  # 0.8 s, the warm-up in it
    assert min(run.taken) >= 0.2
    failing = Run(0.1, itertools.cycle([b"call"]))
    asyncio.run(failing.at_rate([broken], 50.0))
    assert (failing.answered, failing.failed > 10) == (0, True)


def test_a_rest_connection_asks_again_and_again() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for status in ("200 OK", "200 OK", "500 Oops"):
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body.upper())
        writer.close()

    async def ask() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            connection = await RestConnection.open(f"{host}:{port}", "/")
            assert [await connection.ask(b"one"), await connection.ask(b"three")] == [b"ONE", b"THREE"]
            with pytest.raises(ValueError, match="OOPS"):
                await connection.ask(b"oops")
            await connection.close()

    asyncio.run(ask())


def test_requests_are_kept_a_line_each(tmp_path: Path) -> None:
    file = write_requests(tmp_path / "calls", [b"\n\x00", b"two"])
    assert [base64.b64decode(line) for line in file.read_bytes().splitlines()] == [b"\n\x00", b"two"]


def test_the_rival_is_asked_the_same() -> None:
    inputs = {"ids": np.array([[b"a", "Ä".encode()]], object), "k": np.array([20], np.int32)}
    assert json.loads(_json(inputs)) == {"ids": [["a", "Ä"]], "k": [20]}
