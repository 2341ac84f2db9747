"""Bootstrap intervals: against a loop, by how often they cover, and paired."""

import numpy as np

from trainer import metrics


def test_bootstrap_interval_covers_the_mean_as_often_as_it_says() -> None:
    generator = np.random.default_rng(5)
    covered = np.zeros(2)
    for seed in range(200):
        draws = np.stack([generator.exponential(size=200), generator.normal(3.0, size=200)], axis=1)
        low, high = metrics.bootstrap_interval(draws, seed, samples=200)
        covered += (low <= [1.0, 3.0]) & (high >= [1.0, 3.0])
    assert ((covered / 200 >= 0.88) & (covered / 200 <= 0.99)).all()


def test_bootstrap_interval_depends_on_the_seed_alone() -> None:
    values = np.random.default_rng(6).random((50, 3))
    first, again = metrics.bootstrap_interval(values, 1), metrics.bootstrap_interval(values, 1)
    np.testing.assert_array_equal(first, again)
    assert (metrics.bootstrap_interval(values, 2)[0] != first[0]).any()
    assert (first[0] < values.mean(axis=0)).all()
    assert (values.mean(axis=0) < first[1]).all()
    np.testing.assert_allclose(metrics.bootstrap_interval(np.full((9, 1), 0.25), 1), 0.25)


def test_means_are_those_of_a_loop_over_resamples() -> None:
    values = np.random.default_rng(2).random((23, 4))
    generator = np.random.default_rng(9)
    expected = [values[row].mean(axis=0) for row in generator.integers(23, size=(40, 23))]
    np.testing.assert_allclose(metrics.resampled_means(values, 9, samples=40), expected, atol=1e-12)


def test_many_cases_are_drawn_in_blocks() -> None:
    values = np.random.default_rng(3).random((1_500_000, 1))
    means = metrics.resampled_means(values, 1, samples=5)
    assert means.shape == (5, 1)
    assert len(np.unique(means)) == 5
    np.testing.assert_allclose(means, 0.5, atol=0.002)


def test_a_paired_difference_is_narrower_than_what_it_is_the_difference_of() -> None:
    generator = np.random.default_rng(4)
    rival = generator.random(300)
    ours = rival + 0.01 + generator.normal(scale=0.02, size=300)
    means = metrics.resampled_means(np.stack([ours, rival], axis=1), 1)
    low, high = metrics.percentile_interval(means[:, :1] - means[:, 1:])
    assert 0 < low[0] < 0.01 < high[0]
    alone = metrics.bootstrap_interval((ours - rival)[:, np.newaxis], 1)
    np.testing.assert_allclose([low, high], alone, atol=1e-12)
    assert metrics.bootstrap_interval(ours[:, np.newaxis], 1)[0][0] < rival.mean()
