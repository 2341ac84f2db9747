"""`aisle run`: the pipeline, from tables to a pushed model."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.commands.options import config_argument, json_option

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.config import Config
    from pipeline.run_folder import RunFolder


@click.command(epilog="Example: aisle run examples/simulated.yaml --set training.epochs=5")
@config_argument
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="The run folder; runs/NAME by default, with the name of CONFIG.",
)
@json_option
def command(config: Config, output: Path | None, as_json: bool) -> None:
    """Run the pipeline: from tables to a pushed model.

    Steps whose data, settings and code are unchanged since the last run in the same folder are taken from
    the cache. A run that was interrupted goes on where it was when it is started again. Exit status 1 if a
    step fails, or if the model is not good enough to be pushed; the model pushed before stays.
    """
    from rich.console import Console

    from pipeline.run_folder import RunFolder, RunFolderError
    from pipeline.run_log import captured

    folder = RunFolder(output if output is not None else Path("runs") / config.name)
    try:
        with folder.locked(), captured(folder.log, sys.stderr if as_json else sys.stdout) as stream:
            account, failure = _run(config, folder, Console(file=stream))
    except RunFolderError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(account, indent=2))
    if failure:
        raise click.ClickException(f"{failure}\nThe log is {folder.log}")


def _run(config: Config, folder: RunFolder, console: Console) -> tuple[dict[str, Any], str]:
    """Runs and prints the summary.

    Returns:
      (what `run.json` holds, or the steps of a run that failed; why the run failed, or "").
    """
    started = time.monotonic()
    with console.status("loading TensorFlow and TFX"):
        from pipeline import local_runner, run_report
        from pipeline.progress import StepLines
    try:
        run = local_runner.run(config, folder, StepLines(console))
    except local_runner.StepError as error:
        return {"failed": str(error), **folder.last_steps()}, str(error)
    from pipeline.run_summary import print_summary

    run.seconds = time.monotonic() - started  # with the loading, which a person waits for too
    account = run_report.write(config, folder, run)
    print_summary(console, account, folder.read_reports())
    if account["blessed"]:
        return account, ""
    return account, "not pushed: " + "; ".join(account["failures"])
