"""TensorFlow Serving's REST API and its JSON, asked over HTTP, and held against gRPC."""

import gzip
import json
import math
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from serving.client import Client, GrpcTransport

HALF = "/v1/models/half_plus_two"


@pytest.fixture(scope="module")
def http(endpoint: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{endpoint.rest_address}", timeout=20) as client:
        yield client


def predict(http: httpx.Client, body: Any, path: str = HALF) -> Any:
    response = http.post(f"{path}:predict", content=body if isinstance(body, bytes) else json.dumps(body))
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return json.loads(response.text)


def error(http: httpx.Client, body: Any, path: str = HALF) -> tuple[int, str]:
    response = http.post(f"{path}:predict", content=body if isinstance(body, bytes) else json.dumps(body))
    assert list(response.json()) == ["error"]
    return response.status_code, response.json()["error"]


def test_rows_and_columns(http: httpx.Client) -> None:
    assert predict(http, {"instances": [1.0, 2.0, 5.0]}) == {"predictions": [2.5, 3.0, 4.5]}
    assert predict(http, {"instances": [{"x": 1.0}, {"x": 2.0}]}) == {"predictions": [2.5, 3.0]}
    assert predict(http, {"inputs": [1.0, 2.0]}) == {"outputs": [2.5, 3.0]}
    assert predict(http, {"inputs": {"x": [1.0]}}) == {"outputs": [2.5]}


def test_several_inputs_and_outputs(http: httpx.Client) -> None:
    body = {"signature_name": "two_outputs", "inputs": {"x": [2, 4], "z": [7, 8]}}
    assert predict(http, body) == {"outputs": {"sum": 6.0, "y": [3.0, 4.0], "z": [7.0, 8.0]}}
    rows = {"signature_name": "two_outputs", "instances": [{"x": 2, "z": 7}]}
    assert error(http, rows) == (400, "Tensor name: sum has no shape information ")


def test_version_in_the_path_and_any_case(http: httpx.Client) -> None:
    assert predict(http, {"instances": [1]}, f"{HALF}/versions/1") == {"predictions": [2.5]}
    assert http.post("/V1/Models/half_plus_two:PREDICT", json={"instances": [1]}).json() == {"predictions": [2.5]}
    assert error(http, {"instances": [1]}, f"{HALF}/versions/9") == (
        404,
        "Servable not found for request: Specific(half_plus_two, 9)",
    )
    assert error(http, {"instances": [1]}, f"{HALF}/labels/x") == (400, "Unrecognized servable version label: x")


def test_numbers_are_written_as_the_stock_server_does(http: httpx.Client) -> None:
    third = float(np.float32(0.5 / 3 + 2))
    body = {"signature_name": "two_outputs", "inputs": {"x": [0.0], "z": [third]}}
    text = http.post(f"{HALF}:predict", content=json.dumps(body)).text
    assert '"y": [2.0]' in text
    assert '"z": [2.16666675]' in text
    body["inputs"] = {"x": [0.0], "z": [1e20]}
    assert '"z": [1e+20]' in http.post(f"{HALF}:predict", content=json.dumps(body)).text


def test_nan_and_infinity_pass(http: httpx.Client) -> None:
    answer = predict(http, b'{"inputs": [NaN, Infinity, -Infinity]}')["outputs"]
    assert math.isnan(answer[0])
    assert answer[1:] == [math.inf, -math.inf]
    assert predict(http, b'{"inputs": [1e39]}') == {"outputs": [math.inf]}


def test_bytes_travel_as_base64_and_only_bytes_outputs_come_back_so(http: httpx.Client) -> None:
    body = {"signature_name": "echo", "instances": [{"b64": "w6k="}, "plain", {"b64": "w6k"}]}
    assert predict(http, body)["predictions"] == [
        {"raw_bytes": {"b64": "w6k="}, "text": "é"},
        {"raw_bytes": {"b64": "cGxhaW4="}, "text": "plain"},
        {"raw_bytes": {"b64": "w6k="}, "text": "é"},
    ]
    assert error(http, {"signature_name": "echo", "inputs": [{"b64": "!"}]}) == (400, "Unable to base64 decode")
    assert error(http, {"signature_name": "echo", "inputs": [{"b65": "x"}]})[0] == 400


def test_bytes_that_are_no_text_survive(http: httpx.Client) -> None:
    response = http.post(f"{HALF}:predict", content=b'{"signature_name": "echo", "inputs": ["\xff"]}')
    assert b'"text": ["\xff"]' in response.content
    assert b'{"b64": "/w=="}' in response.content


def test_gzip_bodies_are_accepted(http: httpx.Client) -> None:
    body = gzip.compress(b'{"instances": [1.0]}')
    response = http.post(f"{HALF}:predict", content=body, headers={"content-encoding": "gzip"})
    assert response.json() == {"predictions": [2.5]}
    response = http.post(f"{HALF}:predict", content=b"no", headers={"content-encoding": "gzip"})
    assert response.status_code == 400


ERRORS = {
    "nothing": (b"", "JSON Parse error: The document is empty"),
    "no JSON": (b"{", "JSON Parse error: "),
    "deep": (b"[" * 100_000, "JSON Parse error: "),
    "no object": (b"[1]", "JSON Value: [1] Is not object"),
    "no key": ({"x": 1}, "Missing 'inputs' or 'instances' key"),
    "both keys": ({"inputs": [1], "instances": [1]}, "expecting only one of 'inputs' or 'instances' keys to exist "),
    "no list": ({"instances": 1}, "Expecting 'instances' to be an list/array"),
    "no rows": ({"instances": []}, "No values in 'instances' array"),
    "signature of a wrong type": ({"signature_name": 1, "inputs": [1]}, "'signature_name' key must be a string value."),
    "unknown signature": (
        {"signature_name": "s", "inputs": [1]},
        'Serving signature name: "s" not found in signature def',
    ),
    "wrong type": ({"inputs": ["a"]}, 'JSON Value: "a" Type: String is not of expected type: float'),
    "bool is no number": ({"inputs": [True]}, "is not of expected type: float"),
    "float for int": ({"signature_name": "loop", "inputs": [1.0]}, "Type: Number is not of expected type: int64"),
    "uneven": ({"inputs": [[1, 2], [3]]}, "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
    "mixed levels": ({"inputs": [[1], 2]}, "found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
    "uneven rows": (
        {"instances": [[1, 2], [3]]},
        "element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 2 but got: 1",
    ),
    "unknown input": (
        {"instances": [{"q": 1}]},
        "Failed to process element: 0 key: q of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have "
        "named input: q",
    ),
    "missing input": (
        {"signature_name": "two_outputs", "instances": [{"x": 1}]},
        """JSON object: {"x": 1} keys must be equal to: x,z""",
    ),
    "missing column": (
        {"signature_name": "two_outputs", "inputs": {"x": [1]}},
        "Missing named input: z in 'inputs' object.",
    ),
    "plain values for several inputs": (
        {"signature_name": "two_outputs", "instances": [1]},
        "instances is a plain list, but expecting list of objects",
    ),
    "objects and values": ({"instances": [{"x": 1}, 2]}, "Expecting object but got list at item 1 of input list"),
    "huge integer": (b'{"inputs": [1' + b"0" * 400 + b"]}", "Number too big to be stored in double."),
    "enormous integer": (b'{"inputs": [1' + b"0" * 9000 + b"]}", "Number too big to be stored in double."),
    "integer beyond its type": (
        {"signature_name": "loop", "inputs": [2**63]},
        "JSON Value: 9223372036854775808 Type: Number is not of expected type: int64",
    ),
    "null": ({"inputs": [None]}, "JSON Value: null Type: Null is not of expected type: float"),
    "surrogate": (b'{"signature_name": "echo", "inputs": ["\\ud800"]}', "JSON Parse error: The surrogate pair"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_a_clients_fault_is_400_with_the_stock_servers_words(http: httpx.Client, case: str) -> None:
    body, message = ERRORS[case]
    status, text = error(http, body)
    assert status == 400
    assert message in text


def test_errors_of_the_graph_keep_their_code(http: httpx.Client) -> None:
    status, text = error(http, {"signature_name": "refuse", "inputs": [1.0]})
    assert status == 400
    assert "m" * 2000 in text


def test_unknown_model_is_404(http: httpx.Client) -> None:
    assert error(http, {"instances": [1]}, "/v1/models/m") == (404, "Servable not found for request: Latest(m)")
    response = http.get("/v1/models/m")
    assert (response.status_code, response.json()) == (404, {"error": "Could not find any versions of model m"})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nonsense", 400), ("PUT", "/v1/models/shop", 400), ("POST", "/v1/models/shop", 400)],
)
def test_malformed_paths(http: httpx.Client, method: str, path: str, status: int) -> None:
    response = http.request(method, path)
    assert (response.status_code, response.json()) == (status, {"error": f"Malformed request: {method} {path}"})


def test_paths_of_nobody_are_404(http: httpx.Client) -> None:
    assert http.get("/").status_code == 404


def test_status_and_metadata(http: httpx.Client) -> None:
    status = {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert http.get("/v1/models/shop").json() == {"model_version_status": [status]}
    assert http.get("/v1/models/shop/versions/3").json() == {"model_version_status": [status]}
    metadata = http.get("/v1/models/shop/metadata").json()
    assert metadata["model_spec"] == {"name": "shop", "version": "3", "signature_name": ""}
    signature = metadata["metadata"]["signature_def"]["signature_def"]["search"]
    assert signature["inputs"]["query"]["dtype"] == "DT_STRING"
    assert signature["inputs"]["query"]["tensor_shape"] == {
        "dim": [{"size": "-1", "name": ""}],
        "unknown_rank": False,
    }


def test_rest_and_grpc_answer_the_same(http: httpx.Client, endpoint: Any) -> None:
    user_ids = np.array([b"anna", b"bert"], object)
    with Client(GrpcTransport(endpoint.grpc_address), model_name="shop") as client:
        taken = client.inputs("recommend")
        over_grpc = client.predict("recommend", {"user_id": user_ids})
    row = {"timestamp": 0, "k": 4, "max_price": 0.0, "boosts": [0.0]}
    row |= {"history_ages_days": [0.0], "history_quantities": [0.0]}
    lists = ("history_item_ids", "history_event_types", "exclude_item_ids", "include_item_ids", "boost_item_ids")
    row |= {key: [""] for key in lists}
    row |= dict.fromkeys(taken.keys() - row.keys(), "")
    rows = [row | {"user_id": user_id.decode()} for user_id in user_ids]
    answers = predict(http, {"signature_name": "recommend", "instances": rows}, "/v1/models/shop")["predictions"]
    for answer, ids, scores in zip(answers, over_grpc["item_ids"], over_grpc["scores"], strict=True):
        assert [item.encode() for item in answer["item_ids"]] == ids.tolist()
        assert np.float32(answer["scores"]).tolist() == scores.tolist()


def test_metrics_have_the_stock_servers_names(http: httpx.Client) -> None:
    predict(http, {"instances": [1.0]})
    error(http, {"instances": [1.0]}, "/v1/models/never-heard-of")
    page = http.get("/monitoring/prometheus/metrics").text
    assert '\n:tensorflow:serving:request_count{model_name="half_plus_two",status="OK"} ' in page
    assert "# TYPE :tensorflow:serving:request_count counter" in page
    assert (
        ':tensorflow:serving:request_latency_count{API="predict",entrypoint="REST",model_name="half_plus_two"}' in page
    )
    assert ':tensorflow:serving:runtime_latency_bucket{API="Predict",le="10.0",model_name="half_plus_two"' in page
    assert "never-heard-of" not in page
    assert "request_count_total" not in page
    assert "_created" not in page
