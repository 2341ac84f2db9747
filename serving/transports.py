"""How a client's calls travel: one method, and the way to a model that is loaded in the same process."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from serving.errors import Code, ServingError


class Transport(Protocol):
    """What carries calls."""

    def call(self, method: str, request: bytes, timeout_s: float) -> bytes:
        """Carries one call.

        Args:
          method: one of `serving.grpc_transport.SERVICES`.
          request: the serialised request.
          timeout_s: when to give up.

        Returns:
          The serialised response.

        Raises:
          ServingError: what the call was answered with; UNAVAILABLE if nobody answers.
        """

    def close(self) -> None:
        """Lets go of what the transport holds."""


class LocalTransport:
    """Calls a model loaded in this process, by the code that the embedded server runs. Loads TensorFlow.

    Args:
      path: a model's base path, of which the newest version is taken, or the folder of one version.
      name: the name that requests use.

    Raises:
      FileNotFoundError: if there is no version.
      ServingError: if it does not load.
    """

    def __init__(self, path: Path, name: str = "aisle") -> None:
        from serving.model_catalog import ModelCatalog
        from serving.model_store import ModelStore
        from serving.monitoring import Monitor
        from serving.service import ModelService
        from serving.versions import specific

        self.folder = find_version(path)
        self._store = ModelStore(name, self.folder.parent, policy=specific(int(self.folder.name)), warm=False)
        self._store.poll()
        if not self._store.available():
            raise ServingError(Code.DATA_LOSS, self._store.statuses()[0].message)
        service = ModelService(ModelCatalog([self._store]), Monitor())
        self._methods = _local_methods(service)

    def call(self, method: str, request: bytes, timeout_s: float) -> bytes:
        """Runs one call, as `Transport.call`."""
        run, request_class = self._methods[method]
        response: bytes = run(request_class.FromString(request), timeout_s).SerializeToString()
        return response

    def close(self) -> None:
        """Frees the model."""
        self._store.stop()


def find_version(path: Path) -> Path:
    """Finds the folder of the version that `path` means.

    Args:
      path: a version's folder, or a base path, of which the highest version is taken.

    Raises:
      FileNotFoundError: if there is none.
    """
    from serving.versions import VERSION_NAME, list_versions

    path = path.resolve()
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: is no folder; expected DIR/serving/NAME or one of its versions")
    if VERSION_NAME.fullmatch(path.name) and (path / "saved_model.pb").is_file():
        return path
    versions = list_versions(path)
    if not versions:
        raise FileNotFoundError(f"{path}: holds no version; expected folders with a number as their name")
    return next(iter(versions.values()))


def _local_methods(service: Any) -> dict[str, tuple[Any, Any]]:
    from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

    return {
        "Predict": (service.predict, predict_pb2.PredictRequest),
        "GetModelMetadata": (service.get_model_metadata, get_model_metadata_pb2.GetModelMetadataRequest),
        "GetModelStatus": (service.get_model_status, get_model_status_pb2.GetModelStatusRequest),
    }
