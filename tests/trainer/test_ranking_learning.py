"""The stage finds what was planted: customers buy an item again when its time has come."""

from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf
from ranked_shop import ITEMS, Event, interactions_of, knowledge_of, ranked_config, request_of
from shop_tables import DAY

from pipeline.config import Config
from trainer.ranking.fitting import fit_network
from trainer.ranking.lists import CandidateLists, join
from trainer.ranking.network import RankingNetwork
from trainer.ranking.stage import Lookout

CUSTOMERS, STAPLES, EVERY_DAYS, ORDERS = 160, 6, 20, 4
LEARNERS = 100


def rebuyers() -> tuple[list[list[Event]], list[set[int]]]:
    """Histories of customers who buy each of their staples every 20 days; what they buy next is what is due."""
    generator = np.random.default_rng(0)
    histories, truth = [], []
    for _ in range(CUSTOMERS):
        staples = generator.choice(ITEMS, STAPLES, replace=False)
        since = generator.uniform(1, EVERY_DAYS, STAPLES)
        events = [
            (int(row), "purchase", float(last + order * EVERY_DAYS))
            for row, last in zip(staples, since, strict=True)
            for order in range(ORDERS)
        ]
        histories.append(sorted(events, key=lambda event: event[2]))
        truth.append({int(row) for row in staples[np.argsort(-since)[:2]]})
    return histories, truth


def ranked_by_due(**changes: object) -> Config:
    return ranked_config(**{"epochs": 12, "learning_rate": 0.01, "batch_requests": 16, **changes})


@cache
def shop() -> tuple[CandidateLists, CandidateLists, np.ndarray]:
    """Lists to learn from, lists to judge by, and the towers' scores of these: they know whose staples are whose."""
    histories, truth = rebuyers()
    events = [(user, row, int(age * DAY)) for user, line in enumerate(histories) for row, _, age in line]
    config = ranked_by_due()
    lookout = Lookout(knowledge_of(interactions_of(events, users=CUSTOMERS), config), config)
    request = request_of(histories)
    own = np.array([np.isin(np.arange(ITEMS), [event[0] for event in line]) for line in histories])
    towers = (own + np.random.default_rng(1).normal(scale=0.1, size=own.shape)).astype(np.float32)
    rows = tf.constant(np.tile(np.arange(ITEMS), (CUSTOMERS, 1)))
    features = lookout.features(lookout.look(request, tf.constant(towers)), tf.where(rows >= 0), rows).numpy()
    features = features.T.reshape(CUSTOMERS, ITEMS, -1)
    bought = np.array([np.isin(np.arange(ITEMS), list(items)) for items in truth])
    parts = [_lists(features[part], bought[part]) for part in (slice(LEARNERS), slice(LEARNERS, None))]
    return parts[0], parts[1], towers[LEARNERS:]


def _lists(features: np.ndarray, bought: np.ndarray) -> CandidateLists:
    starts = np.arange(len(bought) + 1) * ITEMS
    return CandidateLists(features.reshape(-1, features.shape[-1]), bought.ravel(), starts)


def ndcg(scores: np.ndarray, lists: CandidateLists) -> float:
    """The mean NDCG@2; every list has two hits."""
    found = []
    for line, hits in zip(scores.reshape(-1, ITEMS), lists.labels.reshape(-1, ITEMS), strict=True):
        first, second = hits[np.argsort(-line, kind="stable")[:2]]
        found.append((first + second / np.log2(3)) / (1 + 1 / np.log2(3)))
    return float(np.mean(found))


@pytest.fixture(scope="module")
def network() -> RankingNetwork:
    return fit_network(shop()[0], ranked_by_due().ranking, 1)


def test_what_is_due_comes_first(network: RankingNetwork) -> None:
    _, judged, towers = shop()
    alone, ranked = ndcg(towers, judged), ndcg(network(tf.constant(judged.features)).numpy(), judged)
    assert 0.2 < alone < 0.6
    assert ranked > 0.9


def test_scores_are_log_odds(network: RankingNetwork) -> None:
    judged = shop()[1]
    chances = tf.sigmoid(network(tf.constant(judged.features))).numpy()
    assert chances.mean() == pytest.approx(judged.labels.mean(), rel=0.3)
    assert chances[judged.labels].mean() > 5 * chances[~judged.labels].mean()


def test_every_trainable_weight_has_moved(network: RankingNetwork) -> None:
    starts = []
    for _ in range(2):
        keras.utils.set_random_seed(1)
        start = RankingNetwork(shop()[0].features.shape[1], ranked_by_due().ranking, 1)
        start(tf.constant(shop()[0].features[:1]))
        starts.append(start)
    learned = zip(network.trainable_variables, *(start.trainable_variables for start in starts), strict=True)
    for variable, one, other in learned:
        np.testing.assert_array_equal(np.array(one), np.array(other))
        assert not np.array_equal(np.array(variable), np.array(one)), variable.path


def test_the_same_seed_gives_the_same_weights_and_another_one_others() -> None:
    config = ranked_by_due(epochs=1, dropout=0.2).ranking
    some = CandidateLists(shop()[0].features[: 20 * ITEMS], shop()[0].labels[: 20 * ITEMS], shop()[0].starts[:21])
    one, same, other = (fit_network(some, config, seed) for seed in (3, 3, 4))
    for left, right in zip(one.variables, same.variables, strict=True):
        np.testing.assert_array_equal(np.array(left), np.array(right), err_msg=left.path)
    assert not np.array_equal(np.array(one.vectors), np.array(other.vectors))


def test_lists_without_a_hit_teach_nothing() -> None:
    lists = shop()[0]
    none = CandidateLists(lists.features, np.zeros_like(lists.labels), lists.starts)
    with pytest.raises(ValueError, match="nothing to learn a ranking from"):
        fit_network(none, ranked_by_due().ranking, 1)
    half = CandidateLists(lists.features, lists.labels & (np.arange(len(lists.labels)) < 50 * ITEMS), lists.starts)
    assert half.with_hits().tolist() == list(range(50))
    assert len(join([none, half])) == 2 * len(half)
    assert join([none, half]).with_hits().tolist() == list(range(len(none), len(none) + 50))


def test_batches_give_every_list_with_a_hit_once_in_another_order_each_time() -> None:
    generator = np.random.default_rng(3)
    lengths = generator.integers(1, 6, 20)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    features = np.repeat(np.arange(20), lengths)[:, np.newaxis].astype(np.float32)
    lists = CandidateLists(features, generator.random(starts[-1]) < 0.4, starts)
    seen = []
    for seed in (1, 2):
        order: list[int] = []
        for batch in lists.batches(6, seed):
            numbers = batch["features"][:, 0].astype(int)
            firsts = np.flatnonzero(np.diff(batch["lists"], prepend=-1))
            assert len(firsts) == batch["lists"].max() + 1 <= 6
            for first in firsts:
                mine = batch["lists"] == batch["lists"][first]
                assert (numbers[mine] == numbers[first]).all()
                assert mine.sum() == lengths[numbers[first]]
                part = slice(starts[numbers[first]], starts[numbers[first] + 1])
                assert batch["labels"][mine].tolist() == lists.labels[part].astype(float).tolist()
            order += numbers[firsts].tolist()
        assert sorted(order) == lists.with_hits().tolist()
        seen.append(order)
    assert seen[0] != seen[1]
