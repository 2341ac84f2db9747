"""Classify, Regress and MultiInference: signatures that take serialised tf.Examples. TensorFlow Serving's own rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

from serving.call import Call
from serving.errors import Code, ServingError
from serving.examples import INPUTS, serialised
from serving.predictor import DEFAULT_SIGNATURE, Predictor, Signature
from serving.service import ModelService, require_spec

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
CLASSES, SCORES, OUTPUTS = "classes", "scores", "outputs"


class ExampleService:
    """Answers the calls that bring Examples.

    Args:
      service: holds the models and runs their graphs.
    """

    def __init__(self, service: ModelService) -> None:
        self._service = service

    def classify(self, request: Any, timeout_s: float | None = None, call: Call | None = None) -> Any:
        """Gives each Example classes with scores.

        Args:
          request: a ClassificationRequest.
          timeout_s: when the client stops waiting; None means never.
          call: where to note what the request resolved to.

        Returns:
          A ClassificationResponse.

        Raises:
          ServingError: what the stock server would answer.
        """
        response = classification_pb2.ClassificationResponse()
        self._answer_one(request, CLASSIFY, response, timeout_s, call or Call())
        return response

    def regress(self, request: Any, timeout_s: float | None = None, call: Call | None = None) -> Any:
        """Gives each Example a number.

        Args:
          request: a RegressionRequest.
          timeout_s: when the client stops waiting; None means never.
          call: where to note what the request resolved to.

        Returns:
          A RegressionResponse.

        Raises:
          ServingError: what the stock server would answer.
        """
        response = regression_pb2.RegressionResponse()
        self._answer_one(request, REGRESS, response, timeout_s, call or Call())
        return response

    def multi_inference(self, request: Any, timeout_s: float | None = None, call: Call | None = None) -> Any:
        """Runs several signatures of one model on the same Examples.

        Args:
          request: a MultiInferenceRequest.
          timeout_s: when the client stops waiting; None means never.
          call: where to note what the request resolved to.

        Returns:
          A MultiInferenceResponse, one result a task.

        Raises:
          ServingError: what the stock server would answer.
        """
        call = call or Call()
        _check_tasks(request.tasks)
        response = inference_pb2.MultiInferenceResponse()
        with self._service.catalog.use(request.tasks[0].model_spec) as (version, predictor):
            call.version = version
            signatures = [_task_signature(predictor, task) for task in request.tasks]
            examples = serialised(request.input)
            for task, signature in zip(request.tasks, signatures, strict=True):
                outputs = self._run(task.model_spec.name, predictor, signature, examples, timeout_s)
                result = response.results.add()
                if task.method_name == CLASSIFY:
                    _write_classes(outputs, len(examples), result.classification_result)
                else:
                    _write_numbers(outputs, len(examples), result.regression_result)
                result.model_spec.name = task.model_spec.name
                result.model_spec.version.value = version
                result.model_spec.signature_name = signature.name
        return response

    def _answer_one(self, request: Any, method: str, response: Any, timeout_s: float | None, call: Call) -> None:
        require_spec(request)
        with self._service.catalog.use(request.model_spec) as (version, predictor):
            name = request.model_spec.signature_name or DEFAULT_SIGNATURE
            signature = predictor.signatures.get(name)
            if signature is None:
                raise _invalid(f"No signature was found with the name: {name}")
            call.version, call.signature = version, name
            _check_signature(signature, method)
            examples = serialised(request.input)
            outputs = self._run(request.model_spec.name, predictor, signature, examples, timeout_s)
        (_write_classes if method == CLASSIFY else _write_numbers)(outputs, len(examples), response.result)
        response.model_spec.name, response.model_spec.signature_name = request.model_spec.name, name
        response.model_spec.version.value = version

    def _run(
        self, model: str, predictor: Predictor, signature: Signature, examples: NDArray[Any], timeout_s: float | None
    ) -> Mapping[str, NDArray[Any]]:
        wanted = [alias for alias in (CLASSES, SCORES, OUTPUTS) if alias in signature.outputs]
        return self._service.run(
            model, predictor, signature, {INPUTS: examples}, output_filter=wanted, timeout_s=timeout_s
        )


def _check_tasks(tasks: Iterable[Any]) -> None:
    models, signatures = set(), set()
    for task in tasks:
        if not task.model_spec.name:
            raise _invalid("Found ModelSpec with an empty model name.")
        models.add(task.model_spec.name)
        if len(models) > 1:
            raise _invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in signatures:
            raise _invalid(f"Duplicate evaluation of signature: {name}")
        signatures.add(name)
    if not models:
        raise _invalid("Missing ModelSpec")


def _task_signature(predictor: Predictor, task: Any) -> Signature:
    name = task.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = predictor.signatures.get(name)
    if signature is None:
        raise _invalid(f"Requested signature not found in model graph: {name}")
    if task.method_name not in (CLASSIFY, REGRESS):
        raise ServingError(Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
    _check_signature(signature, task.method_name)
    return signature


def _check_signature(signature: Signature, method: str) -> None:
    kind = "classification" if method == CLASSIFY else "regression"
    definition = signature.definition
    if definition.method_name != method:
        raise _invalid(f"Expected {kind} signature method_name to be {method}. Was: {definition.method_name}")
    if len(definition.inputs) != 1:
        raise _invalid("Expected one input Tensor.")
    if method == CLASSIFY and len(definition.outputs) not in (1, 2):
        raise _invalid(f"Expected one or two output Tensors, found {len(definition.outputs)}")
    if method == REGRESS and len(definition.outputs) != 1:
        raise _invalid("Expected one output Tensor.")
    if INPUTS not in signature.inputs:
        raise _invalid(f"No {kind} inputs found in SignatureDef: {definition}")
    if method == REGRESS and OUTPUTS not in signature.outputs:
        raise _invalid(f"No regression outputs found in SignatureDef: {definition}")
    if method == CLASSIFY and not {CLASSES, SCORES} & signature.outputs.keys():
        raise _invalid(
            f'Expected classification signature outputs to contain at least one of "{CLASSES}" or "{SCORES}". '
            f"Signature was: {definition}"
        )


def _write_classes(outputs: Mapping[str, NDArray[Any]], count: int, result: Any) -> None:
    classes, scores = outputs.get(CLASSES), outputs.get(SCORES)
    if classes is not None:
        _check_table(CLASSES, classes, count, np.dtype(object), "DT_STRING")
    if scores is not None:
        _check_table(SCORES, scores, count, np.dtype(np.float32), "DT_FLOAT")
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        raise _invalid(
            f"Tensors class and score should match in dim_size(1). Got {classes.shape[1]} vs. {scores.shape[1]}"
        )
    given = classes if classes is not None else scores
    assert given is not None
    for row in range(count):
        classification = result.classifications.add()
        for column in range(given.shape[1]):
            one = classification.classes.add()
            if classes is not None:
                one.label = classes[row, column].decode("utf-8", errors="replace")
            if scores is not None:
                one.score = scores[row, column]


def _check_table(alias: str, value: NDArray[Any], count: int, dtype: np.dtype[Any], dtype_name: str) -> None:
    if value.ndim != 2:
        raise _invalid(f"Expected Tensor shape: [batch_size num_classes] but got {list(value.shape)}")
    if value.dtype != dtype:
        raise _invalid(f"Expected {alias} Tensor of {dtype_name}. Got: {value.dtype}")
    if len(value) != count:
        raise _invalid(f"Expected {alias} output batch size of {count}. Got: {len(value)}")


def _write_numbers(outputs: Mapping[str, NDArray[Any]], count: int, result: Any) -> None:
    value = outputs[OUTPUTS]
    if value.ndim != 1 and not (value.ndim == 2 and value.shape[1] == 1):
        raise _invalid(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {list(value.shape)}"
        )
    if len(value) != count:
        raise _invalid(f"Input batch size did not match output batch size: {count} vs. {len(value)}")
    if value.dtype != np.float32:
        raise _invalid(f"Expected output Tensor of DT_FLOAT.  Got: {value.dtype}")
    for number in value.ravel().tolist():
        result.regressions.add().value = number


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
