"""`aisle compile`: the pipeline as a specification for Kubeflow, and the check of one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.commands.options import json_option, optional_config_argument

if TYPE_CHECKING:
    from pipeline.config import Config


@click.command(
    name="compile",
    epilog="Examples: aisle compile examples/simulated.yaml --output pipeline.yaml "
    "--set kubeflow.image=registry.example.com/aisle:1; aisle compile --check pipeline.yaml",
)
@optional_config_argument
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The specification to write; its name ends in .yaml.",
)
@click.option(
    "--check",
    "checked",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A specification to check, in place of CONFIG.",
)
@json_option
def command(config: Config | None, output: Path | None, checked: Path | None, as_json: bool) -> None:
    """Write the pipeline as a Kubeflow specification (schema 2.1.0), checked; or check one.

    What the pods get, the image and the storage stand in CONFIG under `kubeflow`.
    """
    if checked is not None and config is None and output is None:
        _check(checked, as_json=as_json, nodes=None)
        return
    if config is None or output is None or checked is not None:
        raise click.UsageError("expected CONFIG and --output FILE, or --check FILE alone")
    if output.suffix not in {".yaml", ".yml"}:
        raise click.BadParameter(
            f"'{output}' must end in .yaml: Kubeflow does not load TFX's JSON", param_hint="--output"
        )
    from pipeline.run_log import captured

    # What TensorFlow and TFX say while they are imported is of no use here; what goes wrong is raised.
    with captured(Path(os.devnull), sys.stdout):
        from pipeline.kubeflow.compilation import CompilationError, compile_pipeline

        try:
            nodes = compile_pipeline(config, output)
        except CompilationError as error:
            raise click.UsageError(str(error)) from error
    _check(output, as_json=as_json, nodes=nodes)


def _check(file: Path, *, as_json: bool, nodes: list[str] | None) -> None:
    """Checks a file, says what was found, and ends with 1 where Kubeflow would not run it."""
    from pipeline.run_log import captured

    with captured(Path(os.devnull), sys.stdout):
        from pipeline.kubeflow.checker import check_file

        findings = check_file(file)
    errors = [finding for finding in findings if finding.is_error]
    if as_json:
        told = [{"node": found.node, "text": found.text, "error": found.is_error} for found in findings]
        click.echo(json.dumps({"file": str(file), "nodes": nodes, "findings": told}, indent=2))
    else:
        for found in findings:
            click.echo(f"{'error' if found.is_error else 'warning'}: {found}", err=True)
        written = f"wrote {file}: {len(nodes)} steps" if nodes is not None else f"{file}"
        click.echo(f"{written}: {len(errors)} errors, {len(findings) - len(errors)} warnings")
    if errors:
        raise click.exceptions.Exit(1)
