"""A Kubeflow Pipelines API on a port of this machine: records each call, read into kfp's own models."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api

_API = "/apis/v2beta1"


@dataclass
class _Body:
    """What kfp's client deserialises: anything with `data`."""

    data: str


@dataclass
class KubeflowApi:
    """What was asked of the server, and whom it lets in.

    Args:
      host: its URL.
      token: what it wants to be shown; None where it asks for nothing.
      calls: (method, path) of every call.
      runs: the bodies of new runs.
      recurring_runs: the bodies of new recurring runs.
      experiments: by name.
    """

    host: str = ""
    token: str | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)
    runs: list[kfp_server_api.V2beta1Run] = field(default_factory=list)
    recurring_runs: list[kfp_server_api.V2beta1RecurringRun] = field(default_factory=list)
    experiments: dict[str, kfp_server_api.V2beta1Experiment] = field(default_factory=dict)

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: str) -> Any:
        """Does what the API server does, with names for ids."""
        if (method, path) == ("GET", f"{_API}/healthz"):
            return kfp_server_api.V2beta1GetHealthzResponse(multi_user=False)
        if (method, path) == ("GET", f"{_API}/experiments"):
            [wanted] = json.loads(query["filter"][0])["predicates"]
            found = self.experiments.get(wanted["stringValue"])
            return kfp_server_api.V2beta1ListExperimentsResponse(experiments=[found] if found else None)
        if (method, path) == ("POST", f"{_API}/experiments"):
            made = read(body, "V2beta1Experiment")
            made.experiment_id = f"experiment-{len(self.experiments)}"
            self.experiments[made.display_name] = made
            return made
        if (method, path) == ("POST", f"{_API}/runs"):
            run = read(body, "V2beta1Run")
            run.run_id = f"run-{len(self.runs)}"
            self.runs.append(run)
            return run
        if (method, path) == ("POST", f"{_API}/recurringruns"):
            recurring = read(body, "V2beta1RecurringRun")
            recurring.recurring_run_id = f"recurring-{len(self.recurring_runs)}"
            self.recurring_runs.append(recurring)
            return recurring
        return None


def read(body: str, kind: str) -> Any:
    """Reads JSON into a model of kfp's client; what it does not know is refused."""
    made = kfp_server_api.ApiClient().deserialize(_Body(body), kind)
    known = set(getattr(kfp_server_api, kind).attribute_map.values())
    assert set(json.loads(body)) <= known, f"{kind} has no {set(json.loads(body)) - known}"
    return made


@contextmanager
def kubeflow_api(token: str | None = None) -> Iterator[KubeflowApi]:
    """Serves until the end of the block."""
    api = KubeflowApi(token=token)

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            address = urlsplit(self.path)
            api.calls.append((self.command, address.path))
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            if api.token is not None and self.headers.get("Authorization") != f"Bearer {api.token}":
                self._send(401, {"message": "who are you?"})
                return
            answer = api.answer(self.command, address.path, parse_qs(address.query), body)
            if answer is None:
                self._send(404, {"message": f"no {self.command} {address.path}"})
                return
            self._send(200, kfp_server_api.ApiClient().sanitize_for_serialization(answer))

        do_GET = do_POST = _serve  # noqa: N815  # the base class calls them so

        def _send(self, status: int, value: Any) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class calls it so
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    api.host = f"http://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
