"""What heads learn on a planted shop, what they must not know, and what `rank` answers of them."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from headed_shop import END, ITEMS, USERS, attributes, events, goods, headed_config, request_of
from served_shop import ServedShop, served_config
from shop_tables import DAY

from pipeline.config import ConfigError
from trainer.contract import PRICE, RATING
from trainer.exported_model import ExportedModel
from trainer.heads.diary import Diary
from trainer.heads.goods import describe_goods
from trainer.heads.head import LearnedHead
from trainer.heads.linear import Linear
from trainer.heads.regression import Pairs, Recipe, choose, fit, plainest, rmse
from trainer.heads.training import HeadTraining, targets_of

CONFIG = headed_config()
CUT = END - 28 * DAY


@pytest.fixture(scope="module")
def training() -> HeadTraining:
    return HeadTraining(CONFIG, goods(), events())


@pytest.fixture(scope="module")
def heads(training: HeadTraining) -> dict[str, LearnedHead]:
    return training.learn(CUT)


def _asked(head: LearnedHead, training: HeadTraining) -> np.ndarray:
    """What a head says of all users and items at CUT, [users, items]."""
    request = Diary(training.events).request(np.arange(USERS), CUT, 512)
    return head(request, tf.constant(np.tile(np.arange(ITEMS), (USERS, 1)))).numpy()


@pytest.mark.parametrize("name", [RATING, PRICE])
def test_heads_beat_their_rivals_after_the_cut(
    name: str, training: HeadTraining, heads: dict[str, LearnedHead]
) -> None:
    happened = targets_of(name, training.events.since(CUT), training.goods, CONFIG)
    request = Diary(training.events).request(np.arange(USERS), CUT, 512)
    rival = heads[name].head.rival(request, tf.constant(np.tile(np.arange(ITEMS), (USERS, 1)))).numpy()
    answers = _asked(heads[name], training)
    said = answers[happened.users, happened.rows]
    said = np.log(said) if name == PRICE else said
    assert rmse(said, happened.values) < 0.5 * rmse(rival[happened.users, happened.rows], happened.values)


def test_answers_are_stars_and_prices(training: HeadTraining, heads: dict[str, LearnedHead]) -> None:
    stars, prices = _asked(heads[RATING], training), _asked(heads[PRICE], training)
    assert (stars >= 1).all()
    assert (stars <= 5).all()
    assert (prices > 0).all()
    assert prices[:, 0] == pytest.approx(np.exp(0), rel=0.5)  # its price is not known; the brand's is
    stranger = request_of([""], np.full((1, 1), -1), [[""]])
    for head in heads.values():
        assert np.isfinite(head(stranger, tf.constant([[-1, 3, 5]], tf.int64))).all()


def test_heads_do_not_look_ahead(training: HeadTraining, heads: dict[str, LearnedHead]) -> None:
    log = training.events
    late = log.timestamps >= CUT
    changed = dataclasses.replace(
        log, values=np.where(late, 1.0, log.values), item_rows=np.where(late, 7, log.item_rows)
    )
    again = HeadTraining(CONFIG, goods(), changed).learn(CUT)
    for name, head in heads.items():
        np.testing.assert_array_equal(_asked(again[name], training), _asked(head, training))
    older = [HeadTraining(CONFIG, goods(), each).pairs(RATING, CUT - 28 * DAY, CUT) for each in (log, changed)]
    assert older[0] is not None
    assert older[1] is not None
    np.testing.assert_array_equal(older[0].features, older[1].features)


def test_a_shop_without_ratings_or_prices_has_no_heads(caplog: pytest.LogCaptureFixture) -> None:
    log = events(500)
    silent = dataclasses.replace(log, values=np.full(len(log), np.nan))
    free = describe_goods(dataclasses.replace(attributes(), prices=np.zeros(ITEMS, np.float32)), None)
    with caplog.at_level("WARNING"):
        assert HeadTraining(CONFIG, free, silent).learn(END) == {}
    assert "the rating head is left out" in caplog.text
    assert "the price head is left out" in caplog.text


def test_only_named_heads_are_made() -> None:
    config = headed_config(heads=["purchase", "price"])
    assert list(HeadTraining(config, goods(), events(800)).learn(END)) == [PRICE]
    for wrong in (["rating"], ["purchase", "price", "price"], []):
        with pytest.raises(ConfigError, match="'purchase' must be there"):
            headed_config(heads=wrong)


def _pairs(count: int, seed: int, *, bent: bool = False, noise: float = 0.0) -> Pairs:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(count, 4)).astype(np.float32)
    told = features[:, 0] - features[:, 1] + (2.0 * np.abs(features[:, 2]) * (features[:, 3] > 0) if bent else 0.0)
    features[::7, 1] = np.nan
    zeros = np.zeros(count, np.float32)
    targets = (told + noise * generator.normal(size=count)).astype(np.float32)
    return Pairs(features, zeros, zeros, targets, np.arange(count) % 9)


def test_a_network_is_taken_where_a_line_is_not_enough() -> None:
    ranking = CONFIG.ranking
    bent = choose(_pairs(3000, 0, bent=True), _pairs(800, 1, bent=True), ranking, seed=3)
    assert bent.epochs > 0
    line = fit(_pairs(3000, 0, bent=True), dataclasses.replace(bent, epochs=0), ranking, 3)
    curve = fit(_pairs(3000, 0, bent=True), bent, ranking, 3)
    unseen = _pairs(800, 2, bent=True)
    errors = [rmse(each(tf.constant(unseen.features)).numpy(), unseen.targets) for each in (line, curve)]
    assert errors[1] < 0.7 * errors[0]
    again = fit(_pairs(3000, 0, bent=True), bent, ranking, 3)(tf.constant(unseen.features))
    np.testing.assert_array_equal(curve(tf.constant(unseen.features)), again)
    longer = fit(_pairs(3000, 0, bent=True), dataclasses.replace(bent, epochs=1), ranking, 3)
    assert any((a.numpy() != b.numpy()).any() for a, b in zip(longer._weights, curve._weights, strict=True))


def test_noise_is_not_learned() -> None:
    noise = dataclasses.replace(_pairs(300, 0), targets=np.random.default_rng(5).normal(size=300).astype(np.float32))
    recipe = choose(noise, _pairs(300, 1, noise=1.0), CONFIG.ranking, seed=3)
    assert recipe.epochs == 0
    assert recipe == dataclasses.replace(
        Recipe(), penalty=recipe.penalty, error=recipe.error, rival_error=recipe.rival_error
    )


def test_the_plainest_of_what_is_equally_good() -> None:
    generator = np.random.default_rng(0)
    best = generator.random(500).astype(np.float32)
    as_good, worse = best + generator.normal(0, 0.1, 500).astype(np.float32), best + 0.1
    assert plainest([worse, as_good, best]) == (
        1 if (as_good - best).mean() <= (as_good - best).std() / 500**0.5 else 2
    )
    assert plainest([worse, best, worse]) == 1
    assert plainest([best]) == 0


def test_linear_is_a_ridge_regression() -> None:
    pairs = _pairs(200, 0, noise=0.3)
    values = np.where(np.isnan(pairs.features), np.nan, pairs.features).astype(np.float64)
    scaled = np.nan_to_num((values - np.nanmean(values, axis=0)) / np.nanstd(values, axis=0))
    rest = pairs.targets - pairs.targets.mean()
    weights = np.linalg.solve(scaled.T @ scaled + 10 * np.eye(4), scaled.T @ rest)
    found = Linear(pairs.features, pairs.targets, 10.0)(tf.constant(pairs.features))
    near = np.abs(scaled).max(axis=1) < 4
    np.testing.assert_allclose(found.numpy()[near], (scaled @ weights + pairs.targets.mean())[near], atol=1e-4)


def test_rank_answers_the_heads(served_shop: ServedShop, tmp_path: Path) -> None:
    training = HeadTraining(
        CONFIG,
        describe_goods(dataclasses.replace(attributes(), **_longer(len(served_shop.catalogue))), None),
        dataclasses.replace(events(), items=len(served_shop.catalogue)),
    )
    heads = training.learn(CUT)
    served_shop.export(
        tmp_path / "model", heads=heads, config=served_config(ranking={"heads": list(CONFIG.ranking.heads)})
    )
    model = ExportedModel(str(tmp_path / "model"))
    assert list(model.contract["signatures"]["rank"]["outputs"]) == ["scores", RATING, PRICE]
    assert model.contract["heads"] == [RATING, PRICE]
    rows, types, ages = Diary(training.events).histories(np.array([3, 4]), CUT, 9)
    ids = [[f"i{row:05}" for row in line] for line in rows]
    names = [[["view", "click", "cart", "purchase", "rate", "search"][kind] for kind in line] for line in types]
    asked = {"user_id": ["u3", "u4"], "timestamp": [CUT, CUT], "history_item_ids": ids, "history_event_types": names}
    candidates = [["i00001", "nothing", "i00007"], ["i00030", "i00002", ""]]
    answer = model.ask(
        "rank", {**asked, "history_ages_days": ages, "candidate_item_ids": candidates, "max_price": [25.0]}
    )
    wanted = tf.constant([[1, 0, 7], [30, 2, 0]], tf.int64)
    request = Diary(training.events).request(np.array([3, 4]), CUT, 9)
    allowed = np.isfinite(answer["scores"])
    assert allowed.tolist() == [[True, False, True], [False, True, False]]
    for name, head in heads.items():
        np.testing.assert_allclose(answer[name], np.where(allowed, head(request, wanted), 0.0), rtol=1e-4)


def _longer(count: int) -> dict[str, Any]:
    """The attributes, repeated for more items."""
    known = attributes()
    return {f.name: np.resize(getattr(known, f.name), count) for f in dataclasses.fields(known)}
