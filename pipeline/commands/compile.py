"""`aisle compile`: the pipeline as a specification for Kubeflow."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.commands.options import config_argument, json_option

if TYPE_CHECKING:
    from pipeline.config import Config


@click.command(
    name="compile",
    epilog="Example: aisle compile examples/simulated.yaml --output pipeline.yaml --image registry.example.com/aisle:1",
)
@config_argument
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The specification to write; its name ends in .yaml.",
)
@click.option("--image", default="aisle:latest", show_default=True, help="The image that every step runs in.")
@click.option(
    "--root", default="/mnt/aisle", show_default=True, help="The storage that all steps share; NAME is added."
)
@json_option
def command(config: Config, output: Path, image: str, root: str, as_json: bool) -> None:
    """Write the pipeline as a Kubeflow specification (schema 2.1.0)."""
    if output.suffix not in {".yaml", ".yml"}:
        raise click.BadParameter(
            f"'{output}' must end in .yaml: Kubeflow does not load TFX's JSON", param_hint="--output"
        )
    from pipeline.run_log import captured

    # What TensorFlow and TFX say while they are imported is of no use here; what goes wrong is raised.
    with captured(Path(os.devnull), sys.stdout):
        from pipeline.kubeflow_runner import compile_pipeline

        nodes = compile_pipeline(config, output, image=image, root=f"{root.rstrip('/')}/{config.name}")
    if as_json:
        click.echo(json.dumps({"output": str(output), "image": image, "nodes": nodes}, indent=2))
    else:
        click.echo(f"wrote {output}: {len(nodes)} steps in {image}")
