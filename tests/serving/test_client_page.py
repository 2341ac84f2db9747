"""The code on the client's page runs."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import Authority

from serving.model_store import ModelStore
from serving.server import Server

PAGE = Path(__file__).parents[2] / "docs/client.md"
MOST_LINES = 160


@pytest.fixture
def aisle(run_path: Path) -> Iterator[Server]:
    with Server([ModelStore("aisle", run_path / "serving/shop")]) as server:
        yield server


def test_every_block_runs(
    aisle: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ca.pem").write_text(Authority().certificate)
    page = PAGE.read_text(encoding="utf-8")
    assert len(page.splitlines()) <= MOST_LINES
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    assert code.count("localhost:8500") >= 4
    code = code.replace("localhost:8500", aisle.grpc_address).replace("localhost:8501", str(aisle.rest_address))
    exec(compile(code, str(PAGE), "exec"), {})
    said = capsys.readouterr().out
    assert "apple 0.6" in said
    assert re.search("^INVALID_ARGUMENT .*k must be at least 1", said, re.MULTILINE)
    assert "[[b'apple' b'bread' b'cheese' b'dates']]" in said
    assert "[[3.0, 2.5]]" in said
