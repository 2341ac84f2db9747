"""Adam with warm-up and cosine decay, and a slower pace for the pretrained encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from pipeline.config import TrainingConfig


class TwoPaceAdam(keras.optimizers.Adam):
    """Adam (Kingma and Ba, 2015) in which some variables have a learning rate of their own.

    Both rates follow the same schedule; that of the slow variables is a constant share of the other.

    Args:
      learning_rate: a rate or a schedule.
      slow_share: rate of the slow variables as a share of `learning_rate`.
      slow_variables: the variables that learn at it.
    """

    def __init__(
        self,
        learning_rate: Any,
        *,
        slow_share: float = 1.0,
        slow_variables: Sequence[Any] = (),
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate, **settings)
        self.slow_share = slow_share
        self._slow_keys = frozenset(self._var_key(variable) for variable in slow_variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable; Keras calls this for each."""
        if self._var_key(variable) in self._slow_keys:
            learning_rate = learning_rate * self.slow_share
        super().update_step(gradient, variable, learning_rate)


def make_schedule(training: TrainingConfig, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Makes the schedule: a linear rise over `warmup_share` of the steps, then half a cosine down to 0.

    Args:
      training: rate and share.
      steps: of the whole training, were it not stopped early.
    """
    if round(training.warmup_share * steps) == 0:
        return keras.optimizers.schedules.CosineDecay(training.learning_rate, max(steps, 1))
    return warmed_cosine(training.learning_rate, steps, training.warmup_share)


def warmed_cosine(rate: float, steps: int, share: float) -> keras.optimizers.schedules.LearningRateSchedule:
    """Makes a schedule that rises to `rate` over a share of the steps, at least one, then falls as half a cosine to 0.

    Args:
      rate: the highest.
      steps: of the whole training.
      share: of the steps that rise, 0 to 1.
    """
    warmup = max(1, round(share * steps))
    return keras.optimizers.schedules.CosineDecay(0.0, max(1, steps - warmup), warmup_target=rate, warmup_steps=warmup)


def make_optimizer(training: TrainingConfig, steps: int, encoder_variables: Sequence[tf.Variable]) -> TwoPaceAdam:
    """Makes the optimizer of a training.

    Args:
      training: rates and warm-up.
      steps: of the whole training, were it not stopped early.
      encoder_variables: what learns at `encoder_learning_rate`.
    """
    return TwoPaceAdam(
        make_schedule(training, steps),
        slow_share=training.encoder_learning_rate / training.learning_rate,
        slow_variables=encoder_variables,
    )
