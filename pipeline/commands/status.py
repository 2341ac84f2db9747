"""`aisle status`: what the last run did and what is pushed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.commands.options import json_option

if TYPE_CHECKING:
    from pipeline.run_folder import RunFolder


@click.command(epilog="Example: aisle status runs/simulated")
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
def command(directory: Path, as_json: bool) -> None:
    """Show what the last run in DIR has done and what it has pushed."""
    from pipeline.run_folder import RunFolder

    folder = RunFolder(directory)
    steps = folder.last_steps()
    if not steps:
        raise click.ClickException(f"no run has been started in {directory}; start one with `aisle run CONFIG`")
    found = {"running": folder.is_locked(), **steps, **_pushed(folder), "last_complete": folder.account()}
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _print(folder, found)


def _pushed(folder: RunFolder) -> dict[str, Any]:
    """The versions of each model that servers see, oldest first."""
    models = sorted(folder.serving.iterdir()) if folder.serving.is_dir() else []
    versions = {
        model.name: sorted(int(entry.name) for entry in model.iterdir() if entry.name.isdecimal()) for model in models
    }
    return {"versions": versions}


def _print(folder: RunFolder, found: dict[str, Any]) -> None:
    from rich.console import Console

    from pipeline.progress import Step, print_step
    from pipeline.run_summary import print_summary

    console = Console()
    console.print(f"run of {found['run']}" + (", in progress" if found["running"] else ""), highlight=False)
    for step in found["steps"]:
        print_step(console, Step(**step))
    for model, versions in found["versions"].items():
        console.print(f"pushed  {model}: {', '.join(map(str, versions)) or 'nothing'}", highlight=False)
    if found["last_complete"]:
        print_summary(console, found["last_complete"], folder.read_reports())
