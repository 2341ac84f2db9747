"""The section that says who else keeps a training's curves, beside TensorBoard."""

from __future__ import annotations

from typing import Literal

import pydantic

from pipeline.config.tables import Section


class TrackingConfig(Section):
    """Experiment tracking beside TensorBoard."""

    wandb: Literal["off", "offline", "online"] = pydantic.Field(
        "off",
        description="Weights & Biases: `offline` keeps runs in a folder for `wandb sync`, `online` sends them at once; "
        "both need the packages of requirements-wandb.lock",
    )
    project: str = pydantic.Field("aisle", pattern=r"^[A-Za-z0-9_\-.]+$", description="its project there")
