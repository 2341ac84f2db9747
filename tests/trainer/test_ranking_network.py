"""The network and its loss, against NumPy."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from ranked_shop import ranked_config

from trainer.ranking import network as networks
from trainer.ranking.fitting import list_loss
from trainer.ranking.network import BINS, Bins, CrossLayer, RankingNetwork

FEATURES = 6


def training_values(rows: int = 400) -> np.ndarray:
    """Skewed, two-valued, constant and missing columns, beside two ordinary ones."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=(rows, FEATURES)).astype(np.float32)
    values[:, 1] = np.exp(3 * values[:, 1])
    values[:, 2] = values[:, 2] > 0
    values[:, 3] = 2.0
    values[:, 4] = np.nan
    values[generator.random(rows) < 0.3, 5] = np.nan
    return values


def spread(network: RankingNetwork) -> RankingNetwork:
    """Gives every weight a value that shows."""
    generator = np.random.default_rng(1)
    for variable in network.trainable_variables:
        variable.assign(generator.normal(scale=0.3, size=variable.shape))
    return network


def made_network(seed: int = 0, **changes: object) -> RankingNetwork:
    network = RankingNetwork(FEATURES, ranked_config(**changes).ranking, seed)
    network.bins.adapt(training_values())
    network(tf.zeros([1, FEATURES]))
    return spread(network)


def slow_bins(trained: np.ndarray, value: float) -> list[float]:
    if not np.isfinite(value):
        return [0.0] * BINS + [1.0]
    known = np.sort(trained[np.isfinite(trained)].astype(np.float64))
    edges: list[float] = []
    for place in range(BINS + 1 if len(known) else 0):
        quantile = float(np.quantile(known, place / BINS))
        if not edges or quantile > edges[-1]:
            edges.append(quantile)
    reach = [min(max((value - start) / (end - start), 0.0), 1.0) for start, end in itertools.pairwise(edges)]
    return reach + [0.0] * (BINS - len(reach)) + [0.0]


def test_bins_are_a_piecewise_linear_encoding_by_quantiles() -> None:
    trained = training_values()
    bins = Bins(FEATURES)
    bins.adapt(trained)
    asked = np.concatenate([trained[:60], np.full((1, FEATURES), np.nan), [[-1e6, 1e6, 0.5, 2.5, 7.0, 0.0]]])
    found = bins(tf.constant(asked.T, tf.float32)).numpy().transpose(2, 0, 1)
    assert found.shape == (62, FEATURES, BINS + 1)
    for row in range(len(asked)):
        for place in range(FEATURES):
            expected = slow_bins(trained[:, place], np.float32(asked[row, place]))
            np.testing.assert_allclose(found[row, place], expected, atol=1e-4, err_msg=f"{row} {place}")
    assert not found[-1, 3].any()


def test_infinite_values_are_missing_ones() -> None:
    bins = Bins(1)
    bins.adapt(np.array([[0.0], [1.0], [np.inf]], np.float32))
    found = bins(tf.constant([[np.inf, -np.inf, np.nan]])).numpy()
    np.testing.assert_array_equal(found, np.repeat(np.eye(BINS + 1)[-1:, :, np.newaxis], 3, axis=2))


def test_the_factorisation_term_is_a_sum_over_pairs() -> None:
    vectors = np.random.default_rng(2).normal(size=(9, 5, 3)).astype(np.float32)
    found = networks._factorisation(tf.constant(vectors.transpose(1, 2, 0))).numpy()
    pairs = np.array([sum(one[a] @ one[b] for a in range(5) for b in range(a)) for one in vectors])
    factor = found[0] / pairs[0]
    assert factor > 0
    np.testing.assert_allclose(found, pairs * factor, rtol=1e-3, atol=1e-5)


def test_a_cross_layer_multiplies_the_input_with_a_low_rank_map() -> None:
    generator = np.random.default_rng(3)
    start, state = generator.normal(size=(2, 7, 10)).astype(np.float32)
    layer = CrossLayer(4, "cross")
    layer(tf.constant(start), tf.constant(state))
    layer.up.bias.assign(generator.normal(size=10))
    down, up = layer.down.kernel.numpy(), layer.up.kernel.numpy()
    assert (down.shape, up.shape) == ((10, 4), (4, 10))
    expected = start * (state @ down @ up + layer.up.bias.numpy()) + state
    np.testing.assert_allclose(layer(tf.constant(start), tf.constant(state)), expected, rtol=1e-4, atol=1e-5)


def test_log_odds_do_not_depend_on_the_batch_and_stay_finite_where_all_is_missing() -> None:
    network, values = made_network(), training_values(20)
    together = network(tf.constant(values)).numpy()
    assert together.shape == (20,)
    alone = [float(network(tf.constant(values[row : row + 1]))[0]) for row in range(20)]
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    assert np.isfinite(network(tf.fill([1, FEATURES], np.float32(np.nan)))).all()


@pytest.mark.parametrize("changes", [{"cross_layers": 0}, {"hidden": ()}, {"cross_layers": 3, "hidden": (8, 4)}])
def test_parts_may_be_left_out(changes: dict[str, object]) -> None:
    network, values = made_network(**changes), tf.constant(training_values(9))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(network(values, training=True))
    names = [variable.path for variable in network.trainable_variables]
    gradients = tape.gradient(total, [variable.value for variable in network.trainable_variables])
    assert [name for name, gradient in zip(names, gradients, strict=True) if gradient is None] == []


def test_a_saved_network_gives_the_same_scores(tmp_path: Path) -> None:
    network, values = made_network(), tf.constant(training_values(30))
    module = tf.Module()
    module.weights = [variable.value for variable in network.variables]
    module.score = tf.function(network.__call__, input_signature=[tf.TensorSpec([None, FEATURES])], autograph=False)
    expected = module.score(values).numpy()
    tf.saved_model.save(module, str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_array_equal(loaded.score(values), expected)
    assert np.std(expected) > 0.1


def slow_loss(scores: np.ndarray, labels: np.ndarray, lists: np.ndarray) -> tuple[float, float]:
    """The part of the lists and that of the candidates."""
    ranked, odds = [], []
    for one in sorted(set(lists.tolist())):
        inside, bought = scores[lists == one].astype(np.float64), labels[lists == one] > 0
        shares = inside - inside.max() - np.log(np.exp(inside - inside.max()).sum())
        if bought.any():
            ranked.append(-shares[bought].mean())
    for score, label in zip(scores.astype(np.float64), labels, strict=True):
        odds.append(np.logaddexp(0.0, -score if label else score))
    return float(np.mean(ranked)) if ranked else 0.0, float(np.mean(odds))


def loss(scores: np.ndarray, labels: np.ndarray, lists: np.ndarray) -> float:
    count = tf.constant(int(lists.max()) + 1)
    given = (tf.constant(scores, tf.float32), tf.constant(labels, tf.float32), tf.constant(lists, tf.int32))
    return float(list_loss(*given, count))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 6), min_size=1, max_size=6), st.sampled_from([0.0, 0.3, 1.0]))
def test_the_loss_is_what_loops_find(seed: int, lengths: list[int], share: float) -> None:
    generator = np.random.default_rng(seed)
    lists = np.repeat(np.arange(len(lengths)), lengths)
    scores = generator.normal(scale=20, size=len(lists)).astype(np.float32)
    labels = (generator.random(len(lists)) < share).astype(np.float32)
    ranked, odds = slow_loss(scores, labels, lists)
    weight = _weight_of_odds()
    assert loss(scores, labels, lists) == pytest.approx(ranked + weight * odds, rel=1e-4, abs=1e-4)


def _weight_of_odds() -> float:
    """How much the second part counts: of one candidate alone the first part is nothing."""
    return loss(np.zeros(1), np.ones(1), np.zeros(1)) / float(np.log(2))


@pytest.mark.parametrize("shift", [-40.0, 3.0, 100.0])
def test_a_constant_added_to_a_list_changes_only_the_part_of_the_candidates(shift: float) -> None:
    generator = np.random.default_rng(7)
    lists = np.repeat([0, 1, 2], [4, 5, 3])
    scores, labels = generator.normal(size=12), (generator.random(12) < 0.4).astype(float)
    moved = scores + np.where(lists == 1, shift, 0.0)
    weight = _weight_of_odds()
    parts = [loss(each, labels, lists) - weight * slow_loss(each, labels, lists)[1] for each in (scores, moved)]
    assert parts[0] == pytest.approx(parts[1], abs=2e-4)


def test_the_gradient_is_finite_for_extreme_scores_and_lists_without_a_hit() -> None:
    scores = tf.constant([1e4, -1e4, 0.0, 50.0, 60.0])
    labels, lists = tf.constant([0.0, 1.0, 0.0, 0.0, 0.0]), tf.constant([0, 0, 0, 1, 1])
    with tf.GradientTape() as tape:
        tape.watch(scores)
        value = list_loss(scores, labels, lists, tf.constant(2))
    gradient = tape.gradient(value, scores).numpy()
    assert np.isfinite(gradient).all()
    assert gradient[1] < 0 < gradient[0]
