"""The JSON of classify and regress requests: objects to tf.Examples, by TensorFlow Serving's rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.errors import ServingError
from serving.json_documents import decode_base64, encode_text, invalid, is_base64, show, signature_name

_KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def read_examples(document: Mapping[str, Any], request: Any) -> None:
    """Fills a ClassificationRequest or RegressionRequest from a JSON object.

    Args:
      document: `{"examples": [{feature: value or list}], "context": {...}, "signature_name": ...}`.
      request: gets the signature's name and the Examples.

    Raises:
      ServingError: INVALID_ARGUMENT, in the stock server's words.
    """
    request.model_spec.signature_name = signature_name(document)
    target = request.input.example_list
    if "context" in document:
        target = request.input.example_list_with_context
        target.SetInParent()
        _fill(document["context"], target.context)
    if "examples" not in document:
        raise invalid(f"{show(document)} When method is classify, key 'examples' is expected and was not found")
    examples = document["examples"]
    if not isinstance(examples, list):
        raise invalid(f"{show(document)} Expecting 'examples' value to be an list/array")
    if not examples:
        raise invalid(f"{show(document)} 'examples' value is an empty array")
    for value in examples:
        _fill(value, target.examples.add())


def _fill(value: Any, example: Any) -> None:
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {_kind(value)}")
    for name, content in value.items():
        encode_text(name)
        feature = example.features.feature[name]
        for element in content if isinstance(content, list) else [content]:
            _add(element, name, feature)


def _add(element: Any, name: str, feature: Any) -> None:
    field, value = _typed(element, name)
    taken = feature.WhichOneof("kind")
    if taken not in (None, field):
        raise invalid(f"Unexpected element type in feature: {name} expecting type: {_KINDS[taken]}")
    try:
        getattr(feature, field).value.append(value)
    except (ValueError, OverflowError) as error:
        raise invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.") from error


def _typed(element: Any, name: str) -> tuple[str, Any]:
    """Returns the field of a Feature that takes a JSON value, and the value for it."""
    if isinstance(element, bool | int):
        return "int64_list", int(element)
    if isinstance(element, float):
        return "float_list", element
    if isinstance(element, str):
        return "bytes_list", encode_text(element)
    if is_base64(element):
        return "bytes_list", decode_base64(element)
    raise _unexpected(element, name)


def _unexpected(element: Any, name: str) -> ServingError:
    return invalid(f"Feature: {name} has element with unexpected JSON type: {_kind(element)}")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return str(value)
    return {dict: "Object", list: "Array", str: "String", type(None): "Null"}.get(type(value), "Number")
