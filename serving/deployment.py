"""A server as its command line describes it, and one process that is it. What describes it loads no TensorFlow."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.model_config import CONFIG_BESIDE, ModelSettings, read_config, settings_beside, write_config
from serving.options import ServerOptions
from serving.peers import Peers

if TYPE_CHECKING:
    from serving.model_catalog import ModelCatalog
    from serving.model_store import ModelStore
    from serving.server import Server

SHARED_POLL_S = 0.2


@dataclass(frozen=True)
class Deployment:
    """What one process of a server needs to know.

    Args:
      host: the address to listen on.
      grpc_port: 0 takes a free one.
      rest_port: 0 takes a free one; None serves no REST.
      model: the one model, with what lies beside it; None where there is a configuration file.
      config_file: names the models; None where there is one.
      config_poll_s: pause between two looks at the configuration; 0 looks once.
      shared_config: where processes of one server tell each other of a configuration that a client brought.
      peers: the processes of one server; None where it is one process.
      options: everything else about the server.
      version_poll_s: pause between two looks for new versions; 0 looks once.
      threads: how many threads one call may use; 0 leaves it to TensorFlow.
      warm: whether versions are warmed up.
      labels_ahead: whether a new label may name a version that does not answer yet.
    """

    host: str
    grpc_port: int
    rest_port: int | None
    model: ModelSettings | None
    config_file: Path | None = None
    config_poll_s: float = 0.0
    shared_config: Path | None = None
    peers: Peers | None = None
    options: ServerOptions = field(default_factory=ServerOptions)
    version_poll_s: float = 1.0
    threads: int = 0
    warm: bool = True
    labels_ahead: bool = False

    @property
    def source(self) -> Path:
        """The file that says which models shall be served; with one model there may be none."""
        if self.config_file is not None:
            return self.config_file
        assert self.model is not None
        return self.model.base_path / CONFIG_BESIDE

    def models(self) -> Sequence[ModelSettings]:
        """Reads which models shall be served now.

        Raises:
          OSError: if a configuration cannot be read.
          ServingError: INVALID_ARGUMENT if one is wrong.
        """
        if self.config_file is not None:
            return read_config(self.config_file)
        assert self.model is not None
        return [settings_beside(self.model)]

    def told(self) -> Sequence[ModelSettings] | None:
        """Reads what another process of this server was told; None if none was told anything."""
        if self.shared_config is None or not self.shared_config.is_file():
            return None
        return read_config(self.shared_config)

    def tell(self, models: Sequence[ModelSettings]) -> None:
        """Tells the other processes of this server which models a client wants."""
        if self.shared_config is not None:
            write_config(self.shared_config, models)


@contextlib.contextmanager
def running(deployment: Deployment) -> Iterator[Server]:
    """Serves in this process. Loads TensorFlow.

    Yields:
      The server; what could be loaded has been.

    Raises:
      PortTakenError: if a port cannot be had.
      OSError: if a configuration or the log cannot be opened.
      ServingError: INVALID_ARGUMENT if a configuration is wrong.
    """
    from serving.config_watch import ConfigWatch
    from serving.model_catalog import ModelCatalog

    _allow_many_connections()
    models = deployment.models()
    catalog = ModelCatalog(
        [_store(deployment, settings) for settings in models],
        make_store=lambda settings: _store(deployment, settings),
        labels_ahead=deployment.labels_ahead,
    )
    watches = [ConfigWatch(catalog, deployment.source, deployment.models, deployment.config_poll_s)]
    if deployment.shared_config is not None:
        watches.append(ConfigWatch(catalog, deployment.shared_config, deployment.told, SHARED_POLL_S))
    if deployment.options.share_port:
        # Who listens on a shared port is asked at once, whatever it has loaded.
        catalog.start()
        for watch in watches:
            watch.look()
    with _server(deployment, catalog) as server, contextlib.ExitStack() as ending:
        for watch in watches:
            watch.start()
            ending.callback(watch.stop)
        yield server


def describe(server: Server) -> dict[str, Any]:
    """Returns where a server answers, and what: `grpc`, `rest`, `models`, and of the first of these all once more."""
    models = [
        {"name": store.name, "version": store.available()[0], "base_path": str(store.base_path)}
        for store in server.stores
        if store.available()
    ]
    return {**models[0], "grpc": server.grpc_address, "rest": server.rest_address, "models": models}


def _server(deployment: Deployment, catalog: ModelCatalog) -> Server:
    from serving.server import Server

    return Server(
        host=deployment.host,
        grpc_port=deployment.grpc_port,
        rest_port=deployment.rest_port,
        options=deployment.options,
        catalog=catalog,
        on_reload=deployment.tell,
        peers=deployment.peers,
    )


def _store(deployment: Deployment, settings: ModelSettings) -> ModelStore:
    from serving.model_store import ModelStore

    return ModelStore(
        settings.name,
        settings.base_path,
        policy=settings.policy,
        poll_interval_s=deployment.version_poll_s,
        threads=deployment.threads,
        warm=deployment.warm,
    )


def _allow_many_connections() -> None:
    """Each connection takes a file; most systems allow 1,024 unless asked for more."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
