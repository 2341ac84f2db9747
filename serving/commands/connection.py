"""Where the commands that ask send their questions: the shared options, and what is known beside the model."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from serving.client import Client, ServingError
    from serving.contract import Contract

# The inputs of recommend and search that are no context columns.
REQUEST_INPUTS = {
    "user_id",
    "timestamp",
    "query",
    "history_item_ids",
    "history_event_types",
    "history_ages_days",
    "history_quantities",
    "k",
    "exclude_item_ids",
    "include_item_ids",
    "categories",
    "exclude_categories",
    "brands",
    "min_price",
    "max_price",
    "in_stock_only",
    "min_rating",
    "boost_item_ids",
    "boosts",
    "diversity",
    "max_per_category",
}


@dataclass(frozen=True)
class Target:
    """A model to ask.

    Args:
      client: asks it.
      folder: the folder of its version, where that is on this machine.
      contract: what it promises, where that is known.
    """

    client: Client
    folder: Path | None
    contract: Contract | None

    def context_columns(self, signature: str) -> list[str]:
        """Returns the context columns that a signature takes: by the contract, else by the model's own words."""
        taken = self.client.inputs(signature)
        return sorted(
            set(taken) - REQUEST_INPUTS if self.contract is None else taken.keys() & set(self.contract.context)
        )

    @property
    def histories(self) -> Path | None:
        """The histories.parquet of the run that pushed the model, if it is there: DIR of DIR/serving/NAME/VERSION."""
        if self.folder is None:
            return None
        file = self.folder.parents[2] / "histories.parquet"
        return file if file.is_file() else None


@dataclass(frozen=True)
class Connection:
    """What the options say about the model to ask."""

    server: str | None
    model: Path | None
    model_name: str
    deadline_s: float

    @contextlib.contextmanager
    def open(self) -> Iterator[Target]:
        """Opens the model, and turns its errors into messages with a hint.

        Raises:
          click.UsageError: unless exactly one of `server` and `model` is given.
          click.ClickException: if the model cannot be asked.
        """
        if (self.server is None) == (self.model is None):
            raise click.UsageError("give either --server HOST:PORT or --model DIR")
        from serving.client import Client, ServingError
        from serving.contract import ContractError, read_contract

        try:
            transport, folder = _open(self.server, self.model, self.model_name)
            with Client(transport, model_name=self.model_name, deadline_s=self.deadline_s) as client:
                if folder is None:
                    folder = _find_folder(client)
                yield Target(client, folder, None if folder is None else read_contract(folder))
        except ServingError as error:
            raise click.ClickException(_explain(error, self)) from error
        except (FileNotFoundError, ContractError) as error:
            raise click.ClickException(str(error)) from error


def connection_options(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --server, --model, --model-name and --deadline, passed on as `connection`."""

    @functools.wraps(function)
    def collected(*, server: str | None, model: Path | None, model_name: str, deadline_s: float, **others: Any) -> None:
        function(connection=Connection(server, model, model_name, deadline_s), **others)

    options = (
        click.option(
            "--server", metavar="HOST:PORT", help="Ask this gRPC server: `aisle serve` or TensorFlow Serving."
        ),
        click.option(
            "--model",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="Ask a pushed model in this process: DIR/serving/NAME or one of its versions.",
        ),
        click.option("--model-name", default="aisle", show_default=True, help="The model's name on the server."),
        click.option(
            "--deadline",
            "deadline_s",
            type=click.FloatRange(min=0, min_open=True),
            default=30.0,
            show_default=True,
            help="Seconds after which a call gives up.",
        ),
    )
    command: Callable[..., None] = collected
    for option in reversed(options):
        command = option(command)
    return command


def _open(server: str | None, model: Path | None, model_name: str) -> tuple[Any, Path | None]:
    from serving.client import GrpcTransport, LocalTransport

    if model is None:
        assert server is not None
        if not server.rpartition(":")[2].isdigit():
            raise click.UsageError(f"--server {server}: expected HOST:PORT, for example localhost:8500")
        return GrpcTransport(server), None
    quiet_tensorflow()
    # What it would say is in the error.
    logging.getLogger("aisle.serving").setLevel(logging.CRITICAL)
    transport = LocalTransport(model, model_name)
    return transport, transport.folder


def quiet_tensorflow() -> None:
    """Keeps TensorFlow's notes about the machine off the terminal; what goes wrong is raised. Before its import."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # TensorFlow imports Google's API client, which tells every user of Python 3.11 when it will end.
    warnings.filterwarnings("ignore", category=FutureWarning, module="google")


def _find_folder(client: Client) -> Path | None:
    """Looks under ./runs for the version that the server answers with: then its contract and histories are known."""
    available = [version.version for version in client.versions() if version.state == "AVAILABLE"]
    if not available:
        return None
    found = sorted(Path("runs").glob(f"*/serving/{client.model_name}/{available[0]}"))
    return found[0].resolve() if found else None


def _explain(error: ServingError, connection: Connection) -> str:
    from serving.client import Code

    name = connection.model_name
    if error.code == Code.UNAVAILABLE:
        start = f"aisle serve DIR/serving/{name}"
        return f"no server answers at {connection.server}; start one with `{start}` ({error.message})"
    if error.code == Code.DEADLINE_EXCEEDED:
        return f"no answer within the deadline; allow more time with --deadline SECONDS ({error.message})"
    if error.code == Code.NOT_FOUND:
        return f"the server has no model '{name}'; say which with --model-name NAME ({error.message})"
    if error.code == Code.FAILED_PRECONDITION and "signature" in error.message:
        return f"the model cannot answer this question: 'search' needs features.query in its CONFIG ({error.message})"
    return str(error)
