"""The infrastructure check of the pipeline: a model must be served before it is pushed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from serving.errors import ServingError
from serving.grpc_transport import GrpcTransport
from serving.model_store import ModelStore
from serving.op_gate import OpGateError, check_ops
from serving.server import Server
from serving.warmup import WARMUP_FILE, read_requests

VERSION = 1
CALL_TIMEOUT_S = 60.0


class CheckError(Exception):
    """The model must not be pushed; the message says why and where."""


def check_model(model_dir: str, name: str) -> None:
    """Checks every op, serves the model on a free loopback port, and asks it its warm-up requests over gRPC.

    Args:
      model_dir: the SavedModel's folder.
      name: the name that the warm-up requests ask for.

    Raises:
      CheckError: naming the op and where it is used, or the request that failed.
    """
    try:
        check_ops(model_dir)
        requests = read_requests(Path(model_dir))
    except (OpGateError, ServingError) as error:
        raise CheckError(str(error)) from error
    if not requests:
        raise CheckError(f"{model_dir}: brings no warm-up requests; expected {WARMUP_FILE} with at least one")
    with tempfile.TemporaryDirectory(prefix="aisle-check-") as folder:
        base_path = Path(folder)
        (base_path / str(VERSION)).symlink_to(Path(model_dir).resolve(), target_is_directory=True)
        store = ModelStore(name, base_path)
        with Server([store], rest_port=None) as server:
            if not store.available():
                raise CheckError(f"{model_dir}: is not served: {store.statuses()[0].message}")
            _ask(server.grpc_address, requests, name)


def _ask(address: str, requests: list[Any], name: str) -> None:
    transport = GrpcTransport(address)
    try:
        for position, request in enumerate(requests):
            request.model_spec.name = name
            request.model_spec.ClearField("version_choice")
            try:
                transport.call("Predict", request.SerializeToString(), CALL_TIMEOUT_S)
            except ServingError as error:
                signature = request.model_spec.signature_name or "serving_default"
                raise CheckError(
                    f"warm-up request {position} (signature '{signature}', inputs {', '.join(sorted(request.inputs))}) "
                    f"was answered with {error}"
                ) from error
    finally:
        transport.close()
