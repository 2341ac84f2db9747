"""JSON objects as clients send them: what may stand in them, and the stock server's words for what may not."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from serving.errors import Code, ServingError

TOO_BIG = "Number too big to be stored in double."
_MAX_SHOWN = 256
# A string, whole or broken off. It gives nothing back once matched, so that no text takes long.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS = bytes(set(range(256)) - _STEPS.keys())


def parse_object(body: bytes, most_levels: int = 0) -> dict[str, Any]:
    """Reads a JSON object; NaN, Infinity and -Infinity are numbers, what follows the object is ignored.

    Args:
      body: JSON in UTF-8.
      most_levels: how deep its brackets may be; 0 leaves that to the parser.

    Raises:
      ServingError: INVALID_ARGUMENT if it is none.
    """
    text = body.decode("utf-8", errors="surrogateescape").lstrip("\ufeff \t\r\n")
    if not text:
        raise ServingError(Code.INVALID_ARGUMENT, "JSON Parse error: The document is empty")
    _check_depth(body, most_levels)
    try:
        document, _ = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError as error:
        raise ServingError(Code.INVALID_ARGUMENT, f"JSON Parse error: {error.msg} at offset: {error.pos}") from error
    except RecursionError as error:
        raise ServingError(Code.INVALID_ARGUMENT, "JSON Parse error: nested too deeply") from error
    except ValueError as error:  # Python refuses integers of more than some thousand digits
        raise ServingError(Code.INVALID_ARGUMENT, f"JSON Parse error: {TOO_BIG}") from error
    if not isinstance(document, dict):
        raise invalid(f"{show(document)} Is not object")
    return document


def signature_name(document: Mapping[str, Any]) -> str:
    """Returns the signature that a request names, "" for the default one.

    Raises:
      ServingError: INVALID_ARGUMENT if it is no text.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(f"{show(document)} not formatted correctly. 'signature_name' key must be a string value.")
    encode_text(name)
    return name


def encode_text(value: str) -> bytes:
    """Returns the bytes of a string, also of one that stands for bytes that are no UTF-8.

    Raises:
      ServingError: INVALID_ARGUMENT for half a surrogate pair.
    """
    try:
        return value.encode("utf-8", errors="surrogateescape")
    except UnicodeEncodeError as error:
        raise ServingError(
            Code.INVALID_ARGUMENT,
            f"JSON Parse error: The surrogate pair in string is invalid. at offset: {error.start}",
        ) from error


def decode_base64(value: Mapping[str, Any]) -> bytes:
    """Returns the bytes of `{"b64": text}`.

    Raises:
      ServingError: INVALID_ARGUMENT if it is not that.
    """
    if not is_base64(value):
        raise invalid(f"{show(value)} not formatted correctly for base64 data")
    text = "".join(value["b64"].split()).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ServingError(Code.INVALID_ARGUMENT, "Unable to base64 decode") from error


def is_base64(value: Any) -> bool:
    """Returns whether a value is `{"b64": text}`."""
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def shown(value: Any) -> str:
    """Returns the beginning of a value as JSON."""
    return json.dumps(value)[:_MAX_SHOWN]


def show(value: Any) -> str:
    """Returns the beginning of a value, for an error message."""
    return f"JSON Value: {shown(value)}"


def invalid(message: str) -> ServingError:
    """Makes the error of a client's fault."""
    return ServingError(Code.INVALID_ARGUMENT, message)


def _check_depth(body: bytes, most: int) -> None:
    """Looks only at brackets outside of strings: cheap, and before any of Python's own limits is met."""
    if most and body.count(b"[") + body.count(b"{") > most:
        brackets = _STRING.sub(b"", body).translate(None, _NO_BRACKETS)
        if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > most:
            raise invalid(f"JSON Parse error: nested too deeply; this server reads {most} levels")
