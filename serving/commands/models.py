"""`aisle models`: which version bears which label, and moving labels while servers run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from serving.model_config import ModelSettings

STABLE = "stable"
# A version is loaded before it gets its label, which takes its time.
LOAD_TIMEOUT_S = 120.0
RETRY_S = 0.5


@click.group(
    epilog="Example: aisle models promote runs/simulated/serving/aisle 7 && "
    "aisle models list runs/simulated/serving/aisle --json"
)
def command() -> None:
    """See and move the labels of versions: requests that name a label get its version.

    TARGET is DIR/serving/NAME, beside whose versions `model.config` is kept, or a model configuration file. `aisle
    serve` looks at it every second; the stock server reads it with --model_config_file and
    --model_config_file_poll_wait_seconds.
    """


def _common(function: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        (
            click.argument("target", type=click.Path(exists=True, path_type=Path)),
            click.option("--model-name", help="Which model of TARGET; of a folder, its name on the server."),
            click.option(
                "--server", metavar="HOST:PORT", help="A gRPC server to ask; it is told a change and has to agree."
            ),
            click.option("--token", default="", envvar="AISLE_TOKEN", help="Bearer token for it.  [env: AISLE_TOKEN]"),
            click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        )
    ):
        function = option(function)
    return function


@command.command("list")
@_common
def list_models(*, target: Path, model_name: str | None, server: str | None, token: str, as_json: bool) -> None:
    """List the versions of TARGET, their labels and, with --server, their states."""
    _, models = _read(target, model_name)
    chosen = [settings for settings in models if model_name in (None, settings.name)]
    _show([_described(settings, server, token) for settings in chosen], as_json=as_json)


@command.command()
@_common
@click.argument("version", type=click.IntRange(min=0))
@click.option("--label", default=STABLE, show_default=True, help="The label to give to the version.")
def promote(*, version: int, label: str, **common: Any) -> None:
    """Give a label to VERSION; from then on the versions with a label are served.

    The version that bore it before stays loaded as LABEL-before, for `rollback`.
    """
    from serving.promotion import promote as change

    _change(lambda settings, on_disk: change(settings, label, version, on_disk), **common)


@command.command()
@_common
@click.option("--label", default=STABLE, show_default=True, help="The label to give back.")
def rollback(*, label: str, **common: Any) -> None:
    """Give a label back to the version that bore it before the last promotion."""
    from serving.promotion import roll_back

    _change(lambda settings, on_disk: roll_back(settings, label, on_disk), **common)


def _change(
    change: Callable[[ModelSettings, list[int]], ModelSettings],
    *,
    target: Path,
    model_name: str | None,
    server: str | None,
    token: str,
    as_json: bool,
) -> None:
    from serving.promotion import PromotionError

    file, models = _read(target, model_name)
    old = _chosen(models, model_name, target)
    try:
        new = change(old, _on_disk(old))
        changed = [new if settings is old else settings for settings in models]
        _write(file, changed, lambda: None if server is None else tell(server, token, changed))
    except PromotionError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{file}: cannot be written: {error.strerror}") from error
    _show([_described(new, server, token)], as_json=as_json)


def _write(file: Path, models: Sequence[ModelSettings], agree: Callable[[], None]) -> None:
    """Writes a configuration, and what was there before if nobody agrees to it.

    It is written first: a server that looks at the file must not find the one before once it was told of this one.
    """
    from serving.model_config import write_config

    before = file.read_bytes() if file.exists() else None
    write_config(file, models)
    try:
        agree()
    except click.ClickException:
        if before is None:
            file.unlink()
        else:
            file.write_bytes(before)
        raise


def _read(target: Path, model_name: str | None) -> tuple[Path, Sequence[ModelSettings]]:
    """Returns the file that keeps the models of a target, and the models."""
    from serving.errors import ServingError
    from serving.model_config import CONFIG_BESIDE, read_config
    from serving.serving_folder import find_model

    try:
        if target.is_dir():
            settings = find_model(target)
            return target / CONFIG_BESIDE, [replace(settings, name=model_name or settings.name)]
        return target, read_config(target)
    except (OSError, ServingError) as error:
        raise click.ClickException(str(error)) from error


def _chosen(models: Sequence[ModelSettings], name: str | None, target: Path) -> ModelSettings:
    found = [settings for settings in models if name in (None, settings.name)]
    if len(found) != 1:
        names = ", ".join(settings.name for settings in models) or "none"
        raise click.UsageError(f"{target}: say which model with --model-name; there are: {names}")
    return found[0]


def _on_disk(settings: ModelSettings) -> list[int]:
    from serving.versions import list_versions

    try:
        return list(list_versions(settings.base_path))
    except OSError as error:
        raise click.ClickException(f"{settings.base_path}: cannot be listed: {error.strerror}") from error


def tell(server: str, token: str, models: Sequence[ModelSettings]) -> None:
    """Has a server take over a configuration; waits while it loads what the labels need.

    Args:
      server: HOST:PORT of its gRPC API.
      token: the bearer token that it asks for; "" for none.
      models: all that it shall serve.

    Raises:
      click.ClickException: if it does not agree.
    """
    from google.protobuf import text_format

    from serving.errors import Code, ServingError
    from serving.grpc_transport import GrpcTransport
    from serving.messages import ReloadConfigRequest
    from serving.model_config import config_text

    request = ReloadConfigRequest()
    text_format.Parse(config_text(models), request.config)
    transport = GrpcTransport(server, token=token)
    end_s = time.monotonic() + LOAD_TIMEOUT_S
    try:
        while True:
            try:
                transport.call("HandleReloadConfigRequest", request.SerializeToString(), LOAD_TIMEOUT_S)
                return
            except ServingError as error:
                if error.code != Code.FAILED_PRECONDITION or time.monotonic() > end_s:
                    raise click.ClickException(f"{server} does not agree, nothing was changed: {error}") from error
            time.sleep(RETRY_S)
    finally:
        transport.close()


def _described(settings: ModelSettings, server: str | None, token: str) -> dict[str, Any]:
    states = _states(settings.name, server, token) if server is not None else {}
    versions = []
    for number in _on_disk(settings):
        labels = sorted(label for label, version in settings.labels.items() if version == number)
        version: dict[str, Any] = {"version": number, "labels": labels}
        if server is not None:
            version["state"] = states.get(number, "NOT LOADED")
        versions.append(version)
    return {"name": settings.name, "base_path": str(settings.base_path), "versions": versions}


def _states(name: str, server: str, token: str) -> dict[int, str]:
    from serving.client import Client
    from serving.errors import ServingError
    from serving.grpc_transport import GrpcTransport

    try:
        with Client(GrpcTransport(server, token=token), model_name=name) as client:
            return {version.version: version.state for version in client.versions()}
    except ServingError as error:
        raise click.ClickException(f"{server}: {error}") from error


def _show(models: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"models": models}))
        return
    for model in models:
        click.echo(f"{model['name']}  {model['base_path']}")
        for version in model["versions"]:
            labels = ", ".join(version["labels"]) or "-"
            click.echo(f"  {version['version']:>12}  {labels:<24}  {version.get('state', '')}".rstrip())
