"""The section that says which settings the tuner tries."""

from __future__ import annotations

from typing import Annotated

import pydantic

from pipeline.config.tables import Section

_Rate = Annotated[float, pydantic.Field(gt=0)]


class TunerConfig(Section):
    """The search for better settings. The configuration's own values are always among those that are tried."""

    trials: int = pydantic.Field(0, ge=0, description="trainings to try, the configuration's own first; 0: no tuner")
    epochs: int | None = pydantic.Field(None, ge=1, description="of each trial; none: training.epochs")
    max_examples: int | None = pydantic.Field(
        None, ge=1, description="each trial learns from the newest so many; none: training.max_examples"
    )
    learning_rate: tuple[_Rate, _Rate] = pydantic.Field(
        (3e-4, 1e-2), description="lowest and highest training.learning_rate; drawn on a logarithmic scale"
    )
    dimensions: tuple[Annotated[int, pydantic.Field(ge=2)], ...] = pydantic.Field(
        (32, 64, 128), description="values of model.dimension"
    )
    temperatures: tuple[Annotated[float, pydantic.Field(gt=0)], ...] = pydantic.Field(
        (0.03, 0.05, 0.1, 0.2), description="values of model.temperature"
    )
    dropouts: tuple[Annotated[float, pydantic.Field(ge=0, lt=1)], ...] = pydantic.Field(
        (0.0, 0.1, 0.2, 0.4), description="values of model.dropout"
    )
    history_lengths: tuple[Annotated[int, pydantic.Field(ge=1)], ...] = pydantic.Field(
        (8, 16, 32, 64),
        description="values of features.history.used; those above features.history.length are left out, as examples "
        "hold no more events",
    )

    @pydantic.field_validator("learning_rate")
    @classmethod
    def _low_to_high(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError(f"expected the lowest rate, then the highest; got {value[0]:g} and {value[1]:g}")
        return value
