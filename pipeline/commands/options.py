"""The arguments that several commands share: CONFIG with --set, and --json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])


def config_argument(function: Function) -> Function:
    """Gives a command the argument CONFIG and the option --set, and passes it `config: Config`.

    A mistake in the file or in an override is wrong usage: exit status 2, with the key named.
    """
    return _with_config(function, required=True)


def optional_config_argument(function: Function) -> Function:
    """Does as `config_argument`, for a command that also works without: it gets `config: Config | None`."""
    return _with_config(function, required=False)


def _with_config(function: Function, *, required: bool) -> Function:
    overrides = click.option(
        "--set",
        "overrides",
        metavar="KEY.SUBKEY=VALUE",
        multiple=True,
        is_eager=True,
        expose_value=False,
        callback=_keep_overrides,
        help="Override a key of CONFIG; as often as needed.",
    )
    argument = click.argument(
        "config",
        type=click.Path(exists=True, dir_okay=False, readable=True),
        required=required,
        callback=_load_config,
    )
    return argument(overrides(function))


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document for programs.")


_OVERRIDES = "pipeline.commands.options.overrides"


def _keep_overrides(context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> None:
    context.meta[_OVERRIDES] = value


def _load_config(context: click.Context, _parameter: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    from pipeline.config import ConfigError, load_config

    try:
        return load_config(value, context.meta.get(_OVERRIDES, ()))
    except ConfigError as error:
        raise click.UsageError(str(error), context) from error
