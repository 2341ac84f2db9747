"""Classify, Regress and MultiInference, over gRPC and REST, on a TF1 model with the signatures they need."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from serving.model_store import ModelStore
from serving.server import Server
from serving.warmup import WARMUP_FILE

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
TIMEOUT_S = 20
v1 = tf.compat.v1


def save_examples_model(folder: Path) -> None:
    """Feature x is the score of "yes", one less that of "no"; twice x + offset is the regression."""
    with tf.Graph().as_default(), v1.Session() as session:
        serialised = v1.placeholder(tf.string, [None])
        features = {"x": tf.io.FixedLenFeature([1], tf.float32), "offset": tf.io.FixedLenFeature([1], tf.float32, 0.0)}
        parsed = tf.io.parse_example(serialised, features)
        scores = tf.concat([parsed["x"], 1 - parsed["x"]], axis=1)
        classes = tf.tile([["yes", "no"]], [tf.shape(serialised)[0], 1])
        number = 2 * parsed["x"] + parsed["offset"]
        make = v1.saved_model.signature_def_utils
        signatures = {
            "serving_default": make.classification_signature_def(serialised, classes, scores),
            "scores": make.classification_signature_def(serialised, None, scores),
            "regress": make.regression_signature_def(serialised, number),
            "flat": make.classification_signature_def(serialised, classes[:, 0], None),
            "wide": make.regression_signature_def(serialised, scores),
            "plain": make.predict_signature_def({"inputs": serialised}, {"outputs": number}),
        }
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, [tf.saved_model.SERVING], signatures)
        builder.save()


@pytest.fixture(scope="module")
def examples_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("examples")
    save_examples_model(folder / "4")
    with Server([ModelStore("m", folder)]) as server:
        yield server


@pytest.fixture(scope="module")
def stub(examples_server: Server) -> Iterator[Any]:
    with grpc.insecure_channel(examples_server.grpc_address) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def http(examples_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{examples_server.rest_address}", timeout=TIMEOUT_S) as client:
        yield client


def example(**features: float) -> Any:
    made = tf.train.Example()
    for name, value in features.items():
        made.features.feature[name].float_list.value.append(value)
    return made


def fill(request: Any, *examples: Any, signature: str = "") -> Any:
    request.model_spec.name, request.model_spec.signature_name = "m", signature
    request.input.example_list.examples.extend(examples)
    return request


def classification(*examples: Any, signature: str = "") -> Any:
    return fill(classification_pb2.ClassificationRequest(), *examples, signature=signature)


def regression(*examples: Any, signature: str = "regress") -> Any:
    return fill(regression_pb2.RegressionRequest(), *examples, signature=signature)


def error_of(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code().name, caught.value.details()


def test_classify(stub: Any) -> None:
    response = stub.Classify(classification(example(x=0.25), example(x=1.0)), timeout=TIMEOUT_S)
    pairs = [[(one.label, one.score) for one in row.classes] for row in response.result.classifications]
    assert pairs == [[("yes", 0.25), ("no", 0.75)], [("yes", 1.0), ("no", 0.0)]]
    assert (response.model_spec.signature_name, response.model_spec.version.value) == ("serving_default", 4)
    response = stub.Classify(classification(example(x=0.25), signature="scores"), timeout=TIMEOUT_S)
    assert [(one.label, one.score) for one in response.result.classifications[0].classes] == [("", 0.25), ("", 0.75)]


def test_regress_with_a_context(stub: Any) -> None:
    response = stub.Regress(regression(example(x=0.5), example(x=2.0)), timeout=TIMEOUT_S)
    assert [one.value for one in response.result.regressions] == [1.0, 4.0]
    request = regression()
    given = input_pb2.ExampleListWithContext(examples=[example(x=0.5), example(x=1.0, offset=1.0)])
    given.context.CopyFrom(example(offset=10.0))
    request.input.example_list_with_context.CopyFrom(given)
    # What an Example has itself goes before the context.
    assert [one.value for one in stub.Regress(request, timeout=TIMEOUT_S).result.regressions] == [11.0, 3.0]


def tasks(*named: tuple[str, str], model: str = "m") -> Any:
    request = inference_pb2.MultiInferenceRequest()
    for signature, method in named:
        task = request.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = model, signature
    request.input.example_list.examples.append(example(x=0.5))
    return request


def test_multi_inference(stub: Any) -> None:
    response = stub.MultiInference(tasks(("", CLASSIFY), ("regress", REGRESS)), timeout=TIMEOUT_S)
    first, second = response.results
    assert [one.score for one in first.classification_result.classifications[0].classes] == [0.5, 0.5]
    assert [one.value for one in second.regression_result.regressions] == [1.0]
    assert [result.model_spec.signature_name for result in response.results] == ["serving_default", "regress"]


ERRORS: dict[str, tuple[str, Callable[[], Any], str]] = {
    "unknown signature": (
        "Classify",
        lambda: classification(example(x=1), signature="s"),
        "No signature was found with the name: s",
    ),
    "no input": ("Classify", classification, "Input is empty."),
    "of another method": (
        "Classify",
        lambda: classification(example(x=1), signature="regress"),
        f"Expected classification signature method_name to be {CLASSIFY}. Was: {REGRESS}",
    ),
    "of predict": (
        "Regress",
        lambda: regression(example(x=1), signature="plain"),
        f"Expected regression signature method_name to be {REGRESS}. Was: tensorflow/serving/predict",
    ),
    "flat classes": (
        "Classify",
        lambda: classification(example(x=1), signature="flat"),
        "Expected Tensor shape: [batch_size num_classes] but got [1]",
    ),
    "wide numbers": (
        "Regress",
        lambda: regression(example(x=1), signature="wide"),
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [1, 2]",
    ),
    "no spec": ("Regress", regression_pb2.RegressionRequest, "Missing ModelSpec"),
    "no name": (
        "MultiInference",
        lambda: tasks(("", CLASSIFY), model=""),
        "Found ModelSpec with an empty model name.",
    ),
    "no task": ("MultiInference", tasks, "Missing ModelSpec"),
    "asked twice": (
        "MultiInference",
        lambda: tasks(("", CLASSIFY), ("serving_default", CLASSIFY)),
        "Duplicate evaluation of signature: serving_default",
    ),
    "not there": (
        "MultiInference",
        lambda: tasks(("s", CLASSIFY)),
        "Requested signature not found in model graph: s",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(stub: Any, case: str) -> None:
    method, make, message = ERRORS[case]
    assert error_of(lambda: getattr(stub, method)(make(), timeout=TIMEOUT_S)) == ("INVALID_ARGUMENT", message)


def test_other_methods_in_a_task_are_unimplemented(stub: Any) -> None:
    code, message = error_of(lambda: stub.MultiInference(tasks(("", "x")), timeout=TIMEOUT_S))
    assert (code, message) == ("UNIMPLEMENTED", "Unsupported signature method_name: x")


def test_an_example_without_its_feature_is_the_graphs_error(stub: Any) -> None:
    code, message = error_of(lambda: stub.Regress(regression(example(y=1)), timeout=TIMEOUT_S))
    assert (code, "Feature: x (data type: float) is required" in message) == ("INVALID_ARGUMENT", True)


def test_warm_up_runs_every_kind_of_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_examples_model(tmp_path / "1")
    (tmp_path / "1/assets.extra").mkdir()
    logs = [prediction_log_pb2.PredictionLog() for _ in range(3)]
    logs[0].classify_log.request.CopyFrom(classification(example(x=1)))
    logs[1].regress_log.request.CopyFrom(regression(example(x=1)))
    logs[2].multi_inference_log.request.CopyFrom(tasks(("", CLASSIFY), ("regress", REGRESS)))
    with tf.io.TFRecordWriter(str(tmp_path / "1" / WARMUP_FILE)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())
    store = ModelStore("m", tmp_path)
    with caplog.at_level("INFO", logger="aisle.serving"):
        store.poll()
    assert "3 warm-up requests" in caplog.text
    store.stop()


def post(http: httpx.Client, method: str, body: Any) -> Any:
    return http.post(f"/v1/models/m:{method}", json=body).json()


def test_rest(http: httpx.Client) -> None:
    body = {"examples": [{"x": 0.25}, {"x": [1.0]}]}
    assert post(http, "classify", body) == {"results": [[["yes", 0.25], ["no", 0.75]], [["yes", 1.0], ["no", 0.0]]]}
    body = {"signature_name": "regress", "context": {"offset": 10.0}, "examples": [{"x": 0.5, "extra": "text"}]}
    assert post(http, "regress", body) == {"results": [11.0]}
    response = http.post("/v1/models/m/versions/4:Regress", json=body)
    assert response.text == '{\n    "results": [11.0]\n}'


REST_ERRORS = {
    "no examples": ({}, "When method is classify, key 'examples' is expected and was not found"),
    "no list": ({"examples": 1}, "Expecting 'examples' value to be an list/array"),
    "empty": ({"examples": []}, "'examples' value is an empty array"),
    "no object": ({"examples": [1]}, "Example must be JSON object but got JSON Number"),
    "null": ({"examples": [{"x": None}]}, "Feature: x has element with unexpected JSON type: Null"),
    "nested": ({"examples": [{"x": [[1]]}]}, "Feature: x has element with unexpected JSON type: Array"),
    "mixed": ({"examples": [{"x": [1.0, "a"]}]}, "Unexpected element type in feature: x expecting type: float"),
    "huge": ({"examples": [{"x": 2**64}]}, "Feature: x has uint64_t element. Only int64_t is supported."),
    "name": ({"signature_name": 1, "examples": [{}]}, "'signature_name' key must be a string value."),
}


@pytest.mark.parametrize("case", REST_ERRORS)
def test_rest_errors(http: httpx.Client, case: str) -> None:
    body, message = REST_ERRORS[case]
    response = http.post("/v1/models/m:classify", json=body)
    assert response.status_code == 400
    assert message in response.json()["error"]
