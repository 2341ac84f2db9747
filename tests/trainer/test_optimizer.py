"""Adam at two paces against NumPy, and the schedule."""

import keras
import numpy as np
import pytest

from pipeline.config.model import TrainingConfig
from trainer.optimizer import TwoPaceAdam, make_optimizer, make_schedule


def adam(gradients: list[float], rate: float, start: float) -> float:
    """Kingma and Ba, algorithm 1, with the epsilon as Keras has it."""
    mean = square = 0.0
    value = start
    for step, gradient in enumerate(gradients, 1):
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        pace = rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        value -= pace * mean / (np.sqrt(square) + 1e-7)
    return value


def test_each_variable_goes_at_its_own_pace() -> None:
    fast, slow = (keras.Variable(np.array([2.0], np.float32), name=name) for name in ("fast", "slow"))
    optimizer = TwoPaceAdam(0.1, slow_share=0.01, slow_variables=[slow])
    gradients = [0.5, -0.2, 0.9]
    for gradient in gradients:
        optimizer.apply([np.array([gradient], np.float32)] * 2, [fast, slow])
    assert fast.numpy()[0] == pytest.approx(adam(gradients, 0.1, 2.0), rel=1e-5)
    assert slow.numpy()[0] == pytest.approx(adam(gradients, 0.001, 2.0), rel=1e-6)
    assert abs(2.0 - slow.numpy()[0]) < 0.02 * abs(2.0 - fast.numpy()[0])


def test_the_schedule_rises_then_falls_as_half_a_cosine() -> None:
    schedule = make_schedule(TrainingConfig(learning_rate=0.2, warmup_share=0.1), 1000)
    rates = [float(schedule(step)) for step in range(0, 1001, 50)]
    assert rates[0] == 0.0
    assert rates[1] == pytest.approx(0.1)
    assert rates[2] == pytest.approx(0.2)
    expected = [0.1 * (1 + np.cos(np.pi * step / 900)) for step in range(0, 901, 50)]
    assert rates[2:] == pytest.approx(expected, abs=1e-6)


def test_without_warm_up_it_starts_at_the_top() -> None:
    schedule = make_schedule(TrainingConfig(learning_rate=0.2, warmup_share=0.0), 10)
    assert float(schedule(0)) == pytest.approx(0.2)
    assert float(schedule(10)) == pytest.approx(0.0, abs=1e-7)


def test_the_configured_rates_are_used() -> None:
    variable = keras.Variable(np.zeros(1, np.float32))
    training = TrainingConfig(learning_rate=0.01, encoder_learning_rate=0.0001, warmup_share=0.0)
    optimizer = make_optimizer(training, 100, [variable])
    assert optimizer.slow_share == pytest.approx(0.01)
    optimizer.apply([np.ones(1, np.float32)], [variable])
    assert variable.numpy()[0] == pytest.approx(-0.0001, rel=1e-3)
