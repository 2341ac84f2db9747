"""REST gets what no client should send: whatever it is, the answer is soon there, well-formed, and no 500."""

import gzip
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fuzzing import assert_tells_nothing, fuzzed
from hypothesis import given
from hypothesis import strategies as st

MODELS = ("half_plus_two", "shop")
# All but `loop`, which does what it is asked to.
SIGNATURES = (
    "",
    "serving_default",
    "two_outputs",
    "echo",
    "number",
    "refuse",
    "recommend",
    "search",
    "similar_items",
    "rank",
)
INPUTS = ("x", "z", "text", "user_id", "query", "k", "item_id", "candidate_item_ids", "history_ages_days", "b64")
CLIENTS_FAULT = {400, 404, 405, 411, 413, 414, 429, 431, 501}

numbers = st.one_of(
    st.integers(),
    st.integers(-(2**66), 2**66),
    st.floats(),
    st.sampled_from([0, 1, -1, 2**31, 2**63, 1e308, float("inf")]),
)
leaves = st.one_of(
    numbers,
    st.none(),
    st.booleans(),
    st.text(max_size=20),
    st.binary(max_size=9).map(lambda raw: {"b64": raw.decode("latin-1")}),
    st.sampled_from([{"b64": "AA=="}, {"b64": 1}, {}]),
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(INPUTS), inner, max_size=3),
    max_leaves=12,
)
calls = st.fixed_dictionaries(
    {},
    optional={
        "signature_name": st.sampled_from(SIGNATURES) | st.text(max_size=10) | leaves,
        "instances": st.lists(values, max_size=4) | values,
        "inputs": values,
        "examples": st.lists(values, max_size=3),
        "context": values,
        "more": values,
    },
)
verbs = st.sampled_from(["predict", "classify", "regress"])


@pytest.fixture(scope="module")
def http(server: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{server.rest_address}", timeout=20) as client:
        yield client


def check(response: httpx.Response, sent: bytes) -> None:
    assert response.status_code == 200 or response.status_code in CLIENTS_FAULT, (response.status_code, response.text)
    text = response.content.decode("utf-8", errors="replace")
    assert_tells_nothing(text, sent.decode("utf-8", errors="replace"))
    if text and response.headers["content-type"] == "application/json":
        document = json.loads(text)
        assert response.status_code == 200 or list(document) == ["error"]


@given(document=calls | values, model=st.sampled_from(MODELS), verb=verbs)
@fuzzed(250)
def test_documents(http: httpx.Client, document: Any, model: str, verb: str) -> None:
    body = json.dumps(document).encode()
    check(http.post(f"/v1/models/{model}:{verb}", content=body), body)


GOOD = (
    b'{"signature_name": "two_outputs", "inputs": {"x": [1.0, 2.5], "z": [3, 4]}}',
    b'{"signature_name": "echo", "instances": [{"text": "a"}, {"text": {"b64": "w6k="}}]}',
    b'{"signature_name": "recommend", "inputs": {"user_id": ["a"], "k": [2], "history_item_ids": [["figs", ""]]}}',
)


@st.composite
def damaged(draw: Any) -> bytes:
    """A good body with some bytes cut, doubled or replaced."""
    body = draw(st.sampled_from(GOOD))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 12)))
        new = draw(st.binary(max_size=4) | st.just(body[start:end] * 2) | st.sampled_from([b"[", b'"', b"e9", b"\\u"]))
        body = body[:start] + new + body[end:]
    return body


@given(body=damaged(), model=st.sampled_from(MODELS), zipped=st.sampled_from(["no", "yes", "lie"]))
@fuzzed(200)
def test_damaged_bodies(http: httpx.Client, body: bytes, model: str, zipped: str) -> None:
    headers = {} if zipped == "no" else {"content-encoding": "gzip"}
    content = gzip.compress(body, mtime=0) if zipped == "yes" else body
    check(http.post(f"/v1/models/{model}:predict", content=content, headers=headers), body)


parts = st.sampled_from(
    ["v1", "V1", "models", "half_plus_two", "shop", "versions", "labels", "metadata", "1", "3", "x"]
)
segments = st.lists(
    parts
    | st.sampled_from(["..", "%2e%2e", "%2f", "", "9" * 30, "-1", "half_plus_two:predict", "%ff", "%00", ":predict"])
    | st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=6).map(
        lambda text: text.replace("#", "%23")
    ),
    max_size=6,
)


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]),
    path=segments.map(lambda found: "/" + "/".join(found)),
    version=st.sampled_from(["", "/v1/models/half_plus_two"]),
)
@fuzzed(250)
def test_paths(http: httpx.Client, method: str, path: str, version: str) -> None:
    url = http.base_url.copy_with(raw_path=(version + path).replace(" ", "%20").encode())
    check(http.request(method, url), path.encode())


NAMES = (
    b"authorization",
    b"x-request-id",
    b"content-encoding",
    b"content-length",
    b"transfer-encoding",
    b"expect",
    b"connection",
    b"upgrade",
    b"host",
    b"x-forwarded-for",
    b"range",
    b"origin",
)
VALUES = (b"", b"gzip", b"chunked", b"100-continue", b"websocket", b"-1", b"9" * 40, b"a" * 5000, b"*", b"bearer \xff")
METHODS = (b"POST", b"GET", b"OPTIONS", b"TRACE", b"CONNECT", b"post", b"")
VERSIONS = (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9.9", b"")
TARGETS = (b"/v1/models/shop:predict", b"/v1/models/shop", b"/readyz", b"*", b"http://a/v1/models/shop")
heads = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES) | st.binary(max_size=9)), max_size=4)


@given(
    line=st.tuples(st.sampled_from(METHODS), st.sampled_from(TARGETS), st.sampled_from(VERSIONS)).map(b" ".join),
    head=heads,
    body=st.sampled_from([b"", b'{"instances": [1]}', b"\x1f\x8b\x08"]),
)
@fuzzed(250)
def test_heads(server: Any, line: bytes, head: Any, body: bytes) -> None:
    fields = b"".join(name + b": " + value + b"\r\n" for name, value in head)
    fields += b"content-length: %d\r\n" % len(body) if body else b""
    sent = line + b"\r\nhost: x\r\n" + fields + b"\r\n" + body
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=0.3) as connection:
        connection.sendall(sent)
        try:
            answer = connection.recv(4000)
        except (TimeoutError, ConnectionResetError):
            return  # it waits for a body that was promised, or has closed at once
    assert not answer or answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4", b"HTTP/1.1 100")), answer
    assert_tells_nothing(answer.decode("latin-1"), sent.decode("latin-1"))


@pytest.mark.parametrize(
    "opening", [b'{"inputs": ' + b"[" * 50_000, b'{"inputs": ' + b'{"x":' * 50_000, b"[" * 2_000_000]
)
def test_deep_documents(http: httpx.Client, opening: bytes) -> None:
    response = http.post("/v1/models/half_plus_two:predict", content=opening)
    assert response.status_code == 400
    check(response, opening)


def test_the_server_answers_still(http: httpx.Client) -> None:
    response = http.post("/v1/models/half_plus_two:predict", json={"instances": [1.0]})
    assert response.json() == {"predictions": [2.5]}
