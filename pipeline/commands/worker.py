"""`aisle worker`: one more machine for the training of a run."""

from __future__ import annotations

import importlib
import json
import logging
import sys

import click

from pipeline.commands.options import json_option

WORKER_MODULE = "trainer.worker"


@click.command(epilog="Example: TF_CONFIG=... aisle worker --wait-s 7200, beside TF_CONFIG=... aisle run CONFIG")
@click.option(
    "--wait-s",
    type=click.FloatRange(min=1),
    default=3600.0,
    show_default=True,
    help="How long to wait for the training to begin, seconds.",
)
@json_option
def command(wait_s: float, as_json: bool) -> None:
    """Train along with a run of several machines.

    TF_CONFIG says which worker this is and where the others are; the first of them runs `aisle run`, all others this.
    They must see the run folder at the same path. It ends when the run needs no more training. Exit status 1 if another
    worker is gone: start all of them again, and the training goes on after its last finished epoch.
    """
    from pipeline import run_log
    from pipeline.step_process import StepProcessError, run_apart

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=run_log.FORMAT)
    try:
        finished = run_apart(lambda: int(importlib.import_module(WORKER_MODULE).work(wait_s)))
    except StepProcessError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps({"trainings": finished.value, "peak_mib": finished.peak_mib}))
    else:
        click.echo(f"took part in {finished.value} trainings, at most {finished.peak_mib:,} MiB of memory")
