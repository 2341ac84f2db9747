"""The report at the end of a run: what it says, to the file and to whoever takes it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from executors import execute

from pipeline.components import run_status

SUCCEEDED = {"state": "COMPLETE", "pipelineTaskName": "tfx-dag", "error": {}}
FAILED = {"state": "FAILED", "pipelineTaskName": "tfx-dag", "error": {"message": "Trainer: out of memory"}}


def _report(folder: Path, final: dict[str, Any], url: str = "") -> dict[str, Any]:
    execute(
        run_status.Executor,
        {},
        {},
        folder,
        final_status=json.dumps(final),
        pipeline="tiny",
        run_name="tiny 1",
        run_id="id-1",
        destination=str(folder / "tiny" / "last-run.json"),
        url=url,
    )
    told: dict[str, Any] = json.loads((folder / "tiny" / "last-run.json").read_text())
    return told


def test_what_it_says(tmp_path: Path) -> None:
    told = _report(tmp_path, SUCCEEDED)
    assert told.pop("ended").endswith("+00:00")
    assert told == {
        "pipeline": "tiny",
        "run": "tiny 1",
        "run_id": "id-1",
        "succeeded": True,
        "state": "COMPLETE",
        "message": "",
    }
    told = _report(tmp_path, FAILED)
    assert (told["succeeded"], told["state"], told["message"]) == (False, "FAILED", "Trainer: out of memory")
    told = _report(tmp_path, {"state": "RUNNING"})
    assert (told["succeeded"], told["state"]) == (None, "RUNNING")
    assert _report(tmp_path, {})["state"] == "UNKNOWN"


@pytest.mark.parametrize("status", [204, 500])
def test_it_is_posted(tmp_path: Path, status: int) -> None:
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the base class calls it so
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/runs"
        if status == 204:
            _report(tmp_path, FAILED, url)
        else:
            with pytest.raises(OSError, match="500"):
                _report(tmp_path, FAILED, url)
        thread.join()
    assert bodies == [json.loads((tmp_path / "tiny" / "last-run.json").read_text())]
