"""Weights & Biases beside TensorBoard: the same curves, and the configuration they were made by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config import Config

LOCK = "requirements-wandb.lock"


class TrackingError(RuntimeError):
    """A training cannot be tracked as the configuration wants; the message says what to do."""


class Tracker:
    """Sends one training's curves to Weights & Biases, or keeps them for `wandb sync`.

    Args:
      folder: of this training; the run is named after it and kept in `wandb` beside it.
      config: of the shop; all of it is shown with the run.

    Raises:
      TrackingError: if the package is not installed, or the service cannot be reached.
    """

    def __init__(self, folder: Path, config: Config) -> None:
        try:
            import wandb
        except ImportError as error:
            raise TrackingError(
                f"tracking.wandb is '{config.tracking.wandb}', but the package wandb is not installed; "
                f"install it with `uv pip install -r {LOCK}`, or set tracking.wandb to off"
            ) from error
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._run: Any = wandb.init(
                project=config.tracking.project,
                name=f"{config.name}-{folder.name}",
                group=config.name,
                mode=config.tracking.wandb,
                dir=str(folder.parent),
                config=config.model_dump(mode="json"),
                # Curves, configuration and the list of packages: no code, no console, nothing of the machine.
                settings=wandb.Settings(
                    console="off",
                    disable_code=True,
                    disable_git=True,
                    silent=True,
                    x_disable_meta=True,
                    x_disable_stats=True,
                ),
            )
        except wandb.Error as error:
            raise TrackingError(
                f"tracking.wandb: Weights & Biases did not take the run: {error}; log in with `wandb login` or set "
                "WANDB_API_KEY, or set tracking.wandb to offline"
            ) from error

    def write_epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        """Notes what was measured after an epoch."""
        self._run.log(dict(values), step=epoch)

    def close(self) -> None:
        """Ends the run."""
        self._run.finish()


def track(folder: Path, config: Config) -> Tracker | None:
    """Starts to track a training if the configuration wants it.

    Raises:
      TrackingError: if that cannot be done.
    """
    return None if config.tracking.wandb == "off" else Tracker(folder, config)
