"""What the stage learns from is what it is asked when it is served."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from ranked_shop import END, TYPES, interactions_of, random_histories, request_of, tower_scores
from served_shop import ServedShop, served_config
from shop_tables import CASE_SCHEMA, DAY, case

from pipeline.config import Config
from trainer.cases import case_inputs
from trainer.checkpoints import Progress
from trainer.exported_model import ExportedModel
from trainer.phase import TrainedModel
from trainer.ranking.knowledge import Wares
from trainer.ranking.stage import TwoStage
from trainer.ranking.training import PastWindow, RankingTraining, price_levels

DEPTH = 7  # candidates that the networks read
TREES = {"count": 12, "first": 2, "depth": 2, "learning_rate": 0.3}
RANKING = {
    "hidden": [8],
    "epochs": 2,
    "ensemble": 2,
    "depth": DEPTH,
    "history_length": 9,
    "dropout": 0.0,
    "trees": TREES,
}
CONFIG = served_config(ranking=RANKING)
ITEMS, CUSTOMERS = 48, 24
TEXTS = np.random.default_rng(6).normal(size=(ITEMS, 4)).astype(np.float32)
CANDIDATES = [[f"i{row:05}" for row in range(ITEMS)]] * CUSTOMERS


def cases_table() -> pa.Table:
    """Requests with histories of several lengths, some longer than the stage reads, with items that are not known."""
    generator = np.random.default_rng(4)
    cases = []
    for number in range(CUSTOMERS):
        length = (0, 3, 8, 14)[number % 4]
        met = {
            "history_item_ids": [f"i{row:05}" for row in generator.integers(ITEMS + 3, size=length)],
            "history_event_types": generator.choice(TYPES, length).tolist(),
            "history_ages_days": np.sort(generator.integers(0, 40, length) / 2).tolist(),
            "history_quantities": generator.integers(0, 4, length).astype(float).tolist(),
        }
        truth = [f"i{row:05}" for row in generator.integers(ITEMS, size=2)]
        cases.append(case(user_id=f"u{number}", timestamp=END, truth=truth, country="DE", **met))
    return pa.table({field.name: [each[field.name] for each in cases] for field in CASE_SCHEMA}, schema=CASE_SCHEMA)


def towers_of(shop: ServedShop) -> TrainedModel:
    return TrainedModel(shop.model, shop.item_vectors, TEXTS, Progress())


def training_of(shop: ServedShop, config: Config = CONFIG) -> RankingTraining:
    generator = np.random.default_rng(5)
    events = generator.integers([0, 0, 1], [24, ITEMS, 99], (300, 3)) * [1, 1, DAY]
    bought = interactions_of(events.tolist(), items=ITEMS)
    wares = Wares(price_levels(shop.catalogue), TEXTS)
    return RankingTraining(config, shop.catalogue, wares, bought, shop.event_graph)


@pytest.fixture(scope="module")
def learned(served_shop: ServedShop) -> TwoStage:
    towers = towers_of(served_shop)
    before = [np.array(variable) for variable in towers.model.variables]
    stage = training_of(served_shop).learn([PastWindow(cases_table(), towers)], END)
    assert stage is not None
    for variable, value in zip(towers.model.variables, before, strict=True):
        np.testing.assert_array_equal(np.array(variable), value)
    return stage


@pytest.fixture(scope="module")
def served(served_shop: ServedShop, learned: TwoStage, tmp_path_factory: pytest.TempPathFactory) -> ExportedModel:
    folder: Path = tmp_path_factory.mktemp("ranked") / "model"
    served_shop.export(folder, stage=learned, config=CONFIG)
    return ExportedModel(str(folder))


def expected_scores(shop: ServedShop, stage: TwoStage, depth: int = DEPTH) -> np.ndarray:
    """Scores by the path of the training, [cases, items]: every item is a candidate, the networks read the best."""
    lists = training_of(shop)._lists(PastWindow(cases_table(), towers_of(shop)))
    assert np.diff(lists.starts).tolist() == [ITEMS] * CUSTOMERS
    bins = stage._bins(lists.features.T)
    told = np.mean([network(bins).numpy() for network in stage._networks], axis=0)
    rough, rest = (part(tf.constant(lists.features.T)).numpy() for part in stage._trees)
    assert np.std(rough) > 0.01
    assert np.std(rest) > 0.01
    close = ((rough + rest + told) / 2).reshape(CUSTOMERS, ITEMS)
    rough = rough.reshape(CUSTOMERS, ITEMS)
    least = np.sort(rough, axis=1)[:, -depth, np.newaxis]
    read = rough >= least
    lowest = np.where(read, close, np.inf).min(axis=1, keepdims=True)
    return np.where(read, close, rough - least + lowest)


def asked() -> dict[str, Any]:
    return case_inputs(cases_table(), CONFIG.features.context)


def test_recommend_scores_as_the_training_does(
    served_shop: ServedShop, learned: TwoStage, served: ExportedModel
) -> None:
    expected = expected_scores(served_shop, learned)
    answer = served.ask("recommend", {**asked(), "k": [ITEMS]})
    rows = np.array([[int(each[1:]) for each in line] for line in answer["item_ids"]])
    assert (np.sort(rows, axis=1) == np.arange(ITEMS)).all()
    np.testing.assert_allclose(answer["scores"], np.take_along_axis(expected, rows, axis=1), rtol=1e-3, atol=1e-3)
    assert (np.diff(answer["scores"], axis=1) <= 0).all()
    assert np.std(expected, axis=1).min() > 0.01


@pytest.mark.parametrize("k", [3, DEPTH, ITEMS - 1])
def test_networks_read_the_same_best_by_the_trees_whatever_is_asked_for(
    k: int, served_shop: ServedShop, learned: TwoStage, served: ExportedModel
) -> None:
    expected = expected_scores(served_shop, learned)
    answer = served.ask("recommend", {**asked(), "k": [k]})
    rows = np.array([[int(each[1:]) for each in line] for line in answer["item_ids"]])
    best = -np.sort(-expected, axis=1)[:, :k]
    np.testing.assert_allclose(answer["scores"], best, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(answer["scores"], np.take_along_axis(expected, rows, axis=1), rtol=1e-3, atol=1e-3)
    whole = expected_scores(served_shop, learned, ITEMS)
    assert not np.allclose(-np.sort(-whole, axis=1)[:, :k], best, atol=1e-3)  # depth makes a difference here


def test_rank_reads_all_that_it_is_asked_about_whatever_stands_beside(
    served_shop: ServedShop, learned: TwoStage, served: ExportedModel
) -> None:
    candidates = ["i00040", "unknown", "i00003", "i00003"]
    scores = served.ask("rank", {**asked(), "candidate_item_ids": [candidates] * CUSTOMERS})["scores"]
    expected = expected_scores(served_shop, learned, ITEMS)
    np.testing.assert_allclose(scores[:, [0, 2, 3]], expected[:, [40, 3, 3]], rtol=1e-3, atol=1e-3)
    assert (scores[:, 1] == -np.inf).all()


def test_a_request_alone_is_answered_as_in_a_batch(served: ExportedModel) -> None:
    together = served.ask("recommend", {**asked(), "k": [ITEMS]})
    for line in (0, 3, 6):
        one = {name: values[line : line + 1] for name, values in asked().items()}
        alone = served.ask("recommend", {**one, "k": [ITEMS]})
        np.testing.assert_allclose(alone["scores"][0], together["scores"][line], rtol=1e-4, atol=1e-4)


def test_quantities_count_and_unknown_ones_are_single_pieces(served: ExportedModel) -> None:
    quantities = asked()["history_quantities"]
    asked_once, many = np.where(quantities > 0, quantities, 1.0), quantities * 3.0
    assert (quantities != asked_once).any()
    scores = [
        served.ask("rank", {**asked(), "candidate_item_ids": CANDIDATES, "history_quantities": each})["scores"]
        for each in (quantities, asked_once.astype(np.float32), many)
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.allclose(scores[0], scores[2], atol=1e-3)


def test_the_same_seed_learns_the_same_weights(served_shop: ServedShop, learned: TwoStage) -> None:
    towers = towers_of(served_shop)
    again = training_of(served_shop).learn([PastWindow(cases_table(), towers)], END)
    assert again is not None
    assert len(again._weights) == len(learned._weights) > 10
    for one, other in zip(again._weights, learned._weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    for few, others in zip(again._trees, learned._trees, strict=True):
        for one, other in zip(few.symmetric, others.symmetric, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())


def some_candidates() -> tf.Tensor:
    """Candidates of seven lines: none, one, some, and more than the networks read; pads anywhere."""
    generator = np.random.default_rng(11)
    lines = [
        generator.permutation(np.where(np.arange(ITEMS) < count, generator.permutation(ITEMS), -1))
        for count in (0, 1, DEPTH - 1, DEPTH, DEPTH + 1, 30, ITEMS)
    ]
    return tf.constant(np.stack(lines), tf.int64)


def test_lines_of_any_length_have_their_best_read(learned: TwoStage) -> None:
    request, rows = request_of(random_histories(1)), some_candidates()
    evidence = learned.look(request, tower_scores(request, ITEMS))
    whole, best = learned.scores(evidence, rows).numpy(), learned.scores(evidence, rows, best=True).numpy()
    places = tf.where(rows >= 0)
    rough = learned._trees[0](learned._lookout.features(evidence, places, rows)).numpy()
    for line in range(len(rows)):
        own = places[:, 0].numpy() == line
        columns = places[:, 1].numpy()[own]
        order = columns[np.argsort(-rough[own], kind="stable")]
        least = np.sort(rough[own])[-DEPTH:][:1]
        read = columns[rough[own] >= least] if len(columns) else columns
        assert len(read) >= min(DEPTH, len(columns))
        np.testing.assert_allclose(best[line, read], whole[line, read], rtol=1e-5, atol=1e-5)
        rest = order[len(read) :]
        assert (np.diff(best[line, rest]) <= 0).all()
        assert (best[line, rest] <= best[line, read].min(initial=np.inf)).all()


def test_without_trees_the_networks_say_all(served_shop: ServedShop) -> None:
    config = served_config(ranking={**RANKING, "trees": {"count": 0}})
    stage = training_of(served_shop, config).learn([PastWindow(cases_table(), towers_of(served_shop))], END)
    assert stage is not None
    assert stage._trees is None
    request, rows = request_of(random_histories(1)), some_candidates()
    evidence = stage.look(request, tower_scores(request, ITEMS))
    places = tf.where(rows >= 0)
    told = stage._told(stage._lookout.features(evidence, places, rows)).numpy()
    for best in (False, True):
        scores = stage.scores(evidence, rows, best=best).numpy()
        np.testing.assert_allclose(scores[tuple(places.numpy().T)], told, rtol=1e-6)
    assert np.std(told) > 0.01


def test_without_a_window_or_without_a_hit_there_is_no_stage(
    served_shop: ServedShop, caplog: pytest.LogCaptureFixture
) -> None:
    towers, training = towers_of(served_shop), training_of(served_shop)
    table = cases_table()
    nothing = pa.array([["gone"]] * len(table), pa.list_(pa.string()))
    gone = table.set_column(table.schema.get_field_index("truth"), "truth", nothing)
    assert training.learn([], END) is None
    assert training.learn([PastWindow(gone, towers)], END) is None
    assert sum("the towers rank alone" in record.getMessage() for record in caplog.records) == 2
