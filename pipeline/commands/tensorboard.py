"""`aisle tensorboard`: TensorBoard on the training of a run folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

HOST = "127.0.0.1"
_STEPS = ("Trainer", "Tuner")


@click.command(epilog="Example: aisle tensorboard runs/simulated --port 6006")
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=6006, show_default=True, help="0 takes any free one.")
def command(directory: Path, port: int) -> None:
    """Open TensorBoard on the run folder DIR: trainings, the tuner's trials, evaluations; Ctrl-C ends it."""
    if not any((directory / "pipeline" / step).is_dir() for step in _STEPS):
        raise click.ClickException(f"{directory} holds no training yet; start one with `aisle run CONFIG`")
    program = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(directory),
        "--host",
        HOST,
        "--port",
        str(port),
    ]
    try:
        raise SystemExit(subprocess.run(program, check=False).returncode)
    except KeyboardInterrupt:
        raise SystemExit(0) from None
