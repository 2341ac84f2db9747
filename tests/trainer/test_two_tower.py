"""The model finds what was planted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from planted import (
    HISTORY,
    ITEMS,
    TASTE_WORDS,
    TASTES,
    PlantedShop,
    cases_of,
    is_new,
    planted_config,
    planted_phase,
    planted_shop,
    save_word_bag,
    taste_of,
)

from trainer import metrics
from trainer.phase import TrainedModel

ROWS = np.arange(ITEMS)


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_word_bag(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def shop() -> PlantedShop:
    return planted_shop()


@pytest.fixture(scope="module")
def trained(shop: PlantedShop, preset: str, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return planted_phase(shop, planted_config(preset), tmp_path_factory.mktemp("run")).run()


def query_vector(trained: TrainedModel, *, season: int = 0, taste: int | None = None, query: str = "") -> np.ndarray:
    history = np.zeros((1, HISTORY), np.int32)
    if taste is not None:
        history[0] = 1 + np.flatnonzero(taste_of(ROWS) == taste)[:HISTORY]
    features = {
        "history_types": tf.constant(np.where(history > 0, 4, 0), tf.int64),
        "history_ages": tf.constant(np.where(history > 0, 5, 0), tf.int64),
        "context_season": tf.constant([[season]], tf.int64),
    }
    model, items = trained.model, tf.constant(trained.item_vectors)
    text = model.encode_text(tf.constant([query])) if query else tf.zeros([1, model.encoder.width])
    return model.query_vectors(features, tf.constant(history), text, items).numpy()[0]


def ranking(trained: TrainedModel, **request: Any) -> np.ndarray:
    """All rows, best first."""
    return np.argsort(-trained.item_vectors @ query_vector(trained, **request))


def test_it_beats_popularity(trained: TrainedModel, shop: PlantedShop) -> None:
    popular = np.argsort(-shop.examples.item_counts(ITEMS), kind="stable")[:10]
    rankings = np.broadcast_to(popular, (len(shop.cases), 10))
    rival = metrics.measure(rankings, shop.cases.truth, ["ndcg@10"])["ndcg@10"].mean()
    assert trained.progress.best_metric is not None
    assert trained.progress.best_metric > 3 * rival


def test_a_history_brings_items_of_its_taste(trained: TrainedModel) -> None:
    for taste in range(TASTES):
        assert (taste_of(ranking(trained, taste=taste, season=1)[:4]) == taste).all()


def test_changing_only_the_context_changes_the_ranking_as_planted(trained: TrainedModel) -> None:
    for taste in range(TASTES):
        for season in (1, 2):
            sold = [row for row in ranking(trained, taste=taste, season=season) if not is_new(row)]
            assert [row % 2 for row in sold[:3]] == [season - 1] * 3


def test_a_new_item_with_a_fitting_text_ranks_in_the_top_decile_for_its_audience(trained: TrainedModel) -> None:
    for taste in range(TASTES):
        places = np.argsort(ranking(trained, taste=taste))
        fitting = is_new(ROWS) & (taste_of(ROWS) == taste)
        assert (places[fitting] < ITEMS // 10).all()
        assert np.median(places[is_new(ROWS) & ~fitting]) > ITEMS // 3


def test_an_item_outside_the_catalogue_gets_a_vector_from_its_text(trained: TrainedModel) -> None:
    features = {
        "category_index": tf.constant([[0]], tf.int64),
        "category_top_index": tf.constant([[0]], tf.int64),
        "price_bucket": tf.constant([[3]], tf.int64),
        "price_scaled": tf.constant([[0.0]]),
    }
    text = trained.model.encode_text(tf.constant(["cloth5 shape5 in a brand new colour"]))
    vector = trained.model.item_vectors(features, tf.constant([-1], tf.int64), text).numpy()[0]
    scores = [query_vector(trained, taste=taste) @ vector for taste in range(TASTES)]
    assert np.argmax(scores) == 5


def test_an_anonymous_search_finds_items_by_their_words(trained: TrainedModel) -> None:
    for taste, words in enumerate(TASTE_WORDS):
        assert (taste_of(ranking(trained, query=words)[:6]) == taste).all()


def test_a_request_that_says_nothing_gets_what_is_popular(trained: TrainedModel, shop: PlantedShop) -> None:
    counts = shop.examples.item_counts(ITEMS)
    sold = [row for row in ranking(trained) if not is_new(row)]
    assert counts[sold[:10]].mean() > 1.5 * counts[~is_new(ROWS)].mean()
    assert counts[sold[-20:]].mean() < counts[~is_new(ROWS)].mean()


def test_it_overfits_32_rows(shop: PlantedShop, preset: str, tmp_path: Path) -> None:
    examples = shop.examples.newest(32)
    few = PlantedShop(shop.catalogue, examples, cases_of(examples.take(np.arange(32)), examples.query_texts))
    training = {"epochs": 80, "batch_size": 32, "learning_rate": 0.03, "early_stopping_patience": 40}
    config = planted_config(preset, training=training, model={"temperature": 0.2}, gate={"metric": "recall@1"})
    trained = planted_phase(few, config, tmp_path).run()
    assert trained.progress.logs[0]["validation/recall@1"] < 0.2
    assert trained.progress.logs[-1]["validation/recall@1"] > 0.95


def test_every_variable_learns_and_the_frozen_encoder_does_not(shop: PlantedShop, preset: str, tmp_path: Path) -> None:
    config = planted_config(
        preset,
        features={"user_buckets": 10, "time": True, "item": {"brand": True}},
        model={"dropout": 0.1},
        training={"epochs": 1},
    )
    generator = np.random.default_rng(0)
    count = len(shop.examples)
    extra = {
        "user_bucket": generator.integers(0, 11, count).astype(np.int32),
        "hour": generator.integers(0, 24, count).astype(np.int32),
        "weekday": generator.integers(0, 7, count).astype(np.int32),
        "month": generator.integers(0, 12, count).astype(np.int32),
    }
    examples = replace(shop.examples, columns={**shop.examples.columns, **extra})
    catalogue = replace(
        shop.catalogue, features={**shop.catalogue.features, "brand_index": generator.integers(0, 2, ITEMS)}
    )
    shop = PlantedShop(catalogue, examples, None)
    start = planted_phase(shop, config, tmp_path / "start", epochs=0).run().model
    before = [variable.numpy() for variable in start.trainable_variables]
    model = planted_phase(shop, config, tmp_path / "trained").run().model
    names = [variable.path for variable in model.trainable_variables]
    assert not any("text_encoder" in name for name in names)
    for name, old, variable in zip(names, before, model.trainable_variables, strict=True):
        assert np.any(old != variable.numpy()), f"{name} did not change"
