"""What the tuner tries: KerasTuner's search space, and an oracle that begins with the settings at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from pipeline.config import Config
from trainer.tuning import settings


def search_space(config: Config) -> keras_tuner.HyperParameters:
    """Describes the values to try.

    Args:
      config: its section `tuner` says the values; its own ones are added where they are not among them.

    Returns:
      One hyperparameter for each key of `settings.own_values`, with the configuration's own value as default.
    """
    tuner, own = config.tuner, settings.own_values(config)
    space = keras_tuner.HyperParameters()
    rate = own[settings.LEARNING_RATE]
    low, high = min(rate, *tuner.learning_rate), max(rate, *tuner.learning_rate)
    space.Float(settings.LEARNING_RATE, low, high, sampling="log", default=rate)
    lengths = [length for length in tuner.history_lengths if length <= config.features.history.length]
    choices: dict[str, Sequence[Any]] = {
        settings.DIMENSION: tuner.dimensions,
        settings.TEMPERATURE: tuner.temperatures,
        settings.DROPOUT: tuner.dropouts,
        settings.HISTORY_USED: lengths,
    }
    for key, values in choices.items():
        space.Choice(key, sorted({*values, own[key]}), default=own[key])
    return space


class DefaultFirstOracle(keras_tuner.oracles.RandomSearchOracle):
    """Tries the configuration's own values first, then values drawn by the seed.

    So the best trial is never worse than the configuration as it is. Where trials are equally good the earliest is
    the best, and so the configuration's own before all others.

    Args:
      config: section `tuner`, seed and the gate's metric.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(
            objective=keras_tuner.Objective(config.gate.metric, direction="max"),
            max_trials=config.tuner.trials,
            # KerasTuner takes a seed of 0 for none.
            seed=config.seed + 1,
            hyperparameters=search_space(config),
            allow_new_entries=False,
        )

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Says the values of a trial."""
        if self.start_order:
            return super().populate_space(trial_id)
        return {"status": TrialStatus.RUNNING, "values": {part.name: part.default for part in self.get_space().space}}

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """Returns the best trials that have ended, best first."""
        ended = [trial for trial in self.trials.values() if trial.status == TrialStatus.COMPLETED]
        return sorted(ended, key=lambda trial: (-trial.score, trial.trial_id))[:num_trials]
