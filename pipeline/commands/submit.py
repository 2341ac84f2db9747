"""`aisle submit`: the pipeline to Kubeflow, once or again and again."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from pipeline.commands.options import json_option


@click.command(
    name="submit",
    epilog="Examples: aisle submit pipeline.yaml --host http://127.0.0.1:8888 --parameter test_start=2025-06-01; "
    "aisle submit examples/simulated.yaml --host http://127.0.0.1:8888 --cron '0 0 3 * * 1'",
)
@click.argument("source", metavar="CONFIG|FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--host", required=True, envvar="KF_PIPELINES_ENDPOINT", help="The URL of Kubeflow Pipelines.")
@click.option("--set", "overrides", metavar="KEY.SUBKEY=VALUE", multiple=True, help="Override a key of CONFIG.")
@click.option("--parameter", "words", metavar="NAME=VALUE", multiple=True, help="A parameter of the run.")
@click.option("--name", help="The run's name.  [default: the pipeline's, with the time]")
@click.option("--experiment", default="Default", show_default=True, help="What Kubeflow files the run under.")
@click.option("--cron", metavar="FIELDS", help="Run at these times: six fields, seconds first.  [default: once, now]")
@click.option("--namespace", help="Your namespace, where many share a Kubeflow.")
@click.option("--pipeline-root", metavar="URI", help="The artifacts' folder.  [default: the cluster's]")
@click.option("--service-account", help="Whom the steps run as.  [default: the cluster's]")
@click.option(
    "--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file with a bearer token."
)
@json_option
def command(
    *,
    source: Path,
    host: str,
    overrides: tuple[str, ...],
    words: tuple[str, ...],
    token_file: Path | None,
    namespace: str | None,
    as_json: bool,
    **order: Any,
) -> None:
    """Submit CONFIG, compiled and checked first, or a compiled FILE to Kubeflow Pipelines."""
    with _compiled(source, overrides) as file:
        from pipeline.kubeflow import submission
        from pipeline.kubeflow.specification import SpecificationError, read_specification

        try:
            parameters = submission.read_parameters(read_specification(file), _pairs(words))
            token = token_file.read_text(encoding="utf-8").strip() if token_file is not None else None
            receipt = submission.submit(
                submission.Server(host, namespace, token), submission.Order(file, parameters=parameters, **order)
            )
        except submission.ParameterError as error:
            raise click.BadParameter(str(error), param_hint="--parameter") from error
        except (SpecificationError, submission.SubmissionError) as error:
            raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(receipt), indent=2))
    else:
        kind = "recurring run" if receipt.recurring else "run"
        click.echo(f"{kind} '{receipt.name}' ({receipt.run_id}): {receipt.url}")


def _pairs(words: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"expected NAME=VALUE, got '{word}'", param_hint="--parameter")
        found[name.strip()] = value
    return found


@contextlib.contextmanager
def _compiled(source: Path, overrides: tuple[str, ...]) -> Iterator[Path]:
    """Gives the file itself if it was compiled, else what CONFIG compiles to."""
    if _is_compiled(source):
        if overrides:
            raise click.UsageError(f"{source} is compiled: --set changes nothing in it; use --parameter, or CONFIG")
        yield source
        return
    from pipeline.config import ConfigError, load_config
    from pipeline.run_log import captured

    try:
        config = load_config(source, overrides)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pipeline.yaml")
        with captured(Path(os.devnull), sys.stdout):
            from pipeline.kubeflow.checker import check_file
            from pipeline.kubeflow.compilation import CompilationError, compile_pipeline

            try:
                compile_pipeline(config, file)
            except CompilationError as error:
                raise click.UsageError(str(error)) from error
            wrong = [str(finding) for finding in check_file(file) if finding.is_error]
        if wrong:
            raise click.ClickException("Kubeflow would not run it:\n" + "\n".join(wrong))
        yield file


def _is_compiled(source: Path) -> bool:
    with source.open(encoding="utf-8", errors="replace") as lines:
        return any(line.startswith("pipelineInfo:") for line in lines)
