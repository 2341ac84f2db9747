"""What heads read, against loops: histories, biases, medians of others, tastes; and what they must not read."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from headed_shop import END, ITEMS, USERS, attributes, events, goods, request_of, texts
from hypothesis import given, settings
from hypothesis import strategies as st
from shop_tables import DAY

from pipeline import schema
from trainer.heads.diary import Diary
from trainer.heads.goods import describe_goods, medians_of_others
from trainer.heads.price import PriceHead
from trainer.heads.rating import RatingHead
from trainer.heads.stars import ratings, star_biases
from trainer.heads.taste import KINDS, STEPS, Taste, funnel_rates
from trainer.interactions import Interactions

NAMES = np.array([*schema.EVENT_TYPES, ""])
ROWS = np.array([[3, 7, 3, -1, -1], [5, 5, 0, 9, -1], [-1, -1, -1, -1, -1]])
TYPES = [["view", "click", "purchase", "", ""], ["view", "rate", "view", "cart", ""], ["view", "", "", "", ""]]
CANDIDATES = np.array([[3, 0, 11], [5, 9, 1], [2, 3, 4]])


@pytest.mark.parametrize("length", [1, 4, 500])
@pytest.mark.parametrize("moment", [END - 400 * DAY, END - 30 * DAY, END, END + DAY])
def test_histories_are_the_newest_events_before_the_moment(moment: int, length: int) -> None:
    log, users = events(300), np.array([4, -1, 9])
    rows, types, ages = Diary(log).histories(users, moment, length)
    for line, user in enumerate(users):
        own = np.flatnonzero((log.users == user) & (log.timestamps < moment))
        own = own[np.argsort(-log.timestamps[own], kind="stable")][:length]
        assert rows[line][rows[line] >= 0].tolist() == log.item_rows[own].tolist()
        assert types[line][: len(own)].tolist() == log.types[own].tolist()
        np.testing.assert_allclose(ages[line][: len(own)], (moment - log.timestamps[own]) / DAY)
        assert (rows[line][len(own) :] == -1).all()
        assert (NAMES[types[line][len(own) :]] == "").all()


def test_a_diary_without_events() -> None:
    rows, types, _ = Diary(events(50).before(0)).histories(np.array([0, -1]), END, 9)
    assert (rows == -1).all()
    assert (types == -1).all()


def test_biases_are_those_of_a_ridge_regression() -> None:
    rated = ratings(events(2000))
    biases = star_biases(rated)
    matrix = np.zeros((len(rated), USERS + ITEMS))
    matrix[np.arange(len(rated)), rated.users] = matrix[np.arange(len(rated)), USERS + rated.item_rows] = 1.0
    rest = rated.values - rated.values.mean()
    solved = np.linalg.solve(matrix.T @ matrix + 5.0 * np.eye(USERS + ITEMS), matrix.T @ rest)
    np.testing.assert_allclose(np.concatenate([biases.users, biases.items]), solved, atol=1e-3)
    strangers = biases.of(np.array([-1, 2]), np.array([3, 3]))
    np.testing.assert_allclose(strangers, np.clip(biases.mean + biases.items[3] + [0, biases.users[2]], 1, 5))


def test_only_stars_are_ratings() -> None:
    log = events(50)
    odd = dataclasses.replace(log, values=np.where(np.arange(50) % 2, 9.0, log.values))
    assert len(ratings(odd)) == (ratings(log).values.size and int(((log.types == 4) & (np.arange(50) % 2 == 0)).sum()))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 3), st.one_of(st.just(np.nan), st.floats(-5, 5))), max_size=25))
def test_medians_of_others_leave_the_own_value_out(places: list[tuple[int, float]]) -> None:
    groups = np.array([group for group, _ in places], np.int64)
    values = np.array([value for _, value in places], np.float64)
    expected = np.full(len(places), np.nan)
    for place, group in enumerate(groups):
        others = [v for n, v in enumerate(values) if n != place and groups[n] == group >= 0 and not np.isnan(v)]
        expected[place] = np.median(others) if others else np.nan
    np.testing.assert_allclose(medians_of_others(values, groups), expected)


def test_tastes_are_what_loops_find() -> None:
    ware, log = goods(), events(400)
    taste = Taste(ware, log, 4)
    met = taste.look(request_of(["a", "b", "c"], ROWS, TYPES))
    rows = tf.constant(CANDIDATES)
    likeness, familiarity = taste.likeness(met, rows), taste.familiarity(met, rows)
    spending, activity = taste.spending(met, rows), taste.activity(met, rows)
    for kind, name in enumerate(KINDS):
        for line in range(3):
            own = [r for r, t in zip(ROWS[line, :4], TYPES[line], strict=False) if r >= 0 and name in (t, "all")]
            for place, row in enumerate(CANDIDATES[line]):
                near = sum(ware.tastes[each] @ ware.tastes[row] for each in own) / (len(own) + 10)
                elsewhere = [each for each in own if ware.categories[each] != ware.categories[row]]
                dear = [ware.dearness[each] for each in elsewhere if each != 0]
                assert activity[kind].numpy()[line, place] == pytest.approx(np.log1p(len(own)))
                assert familiarity[kind].numpy()[line, place] == pytest.approx(np.log1p(own.count(row)))
                share = [ware.categories[each] == ware.categories[row] for each in own]
                found = [likeness[kind], familiarity[len(KINDS) + kind], spending[kind]]
                expected = [near if own else np.nan, np.mean(share) if own else np.nan]
                expected.append(sum(dear) / (len(dear) + 10) if dear else np.nan)
                assert [each.numpy()[line, place] for each in found] == pytest.approx(expected, abs=1e-5, nan_ok=True)


def test_funnel_rates_are_shares_drawn_towards_the_usual() -> None:
    log = events(400)
    counts = {name: np.bincount(log.item_rows[NAMES[log.types] == name], minlength=ITEMS) for name in STEPS}
    rates = funnel_rates(log)
    assert not counts["click"].any()
    np.testing.assert_allclose(rates[:, 0], 0.0)
    assert np.isnan(rates[:, 1]).all()
    assert np.isnan(rates[:, 2]).all()


def _price_features(head: PriceHead) -> np.ndarray:
    request, rows = request_of(["a", "b", "c"], ROWS, TYPES), tf.constant(CANDIDATES)
    read = head.features(request, head.taste.look(request), rows)
    return np.concatenate([head.start(rows)[..., tf.newaxis], read], axis=-1)


def test_the_price_head_does_not_read_the_own_price() -> None:
    log, known = events(400), attributes()
    others_differ = False
    before = _price_features(PriceHead(Taste(goods(), log, 9), goods()))
    for row in np.unique(CANDIDATES):
        prices = known.prices.copy()
        prices[row] = 77.0
        other = describe_goods(dataclasses.replace(known, prices=prices), texts())
        after = _price_features(PriceHead(Taste(other, log, 9), other))
        same = (row == CANDIDATES)[..., np.newaxis] & np.ones(after.shape[-1], np.bool_)
        np.testing.assert_allclose(after[same], before[same], rtol=1e-5, err_msg=f"row {row}")
        others_differ |= not np.array_equal(after, before, equal_nan=True)
    assert others_differ


@pytest.mark.parametrize("with_texts", [True, False])
def test_what_is_not_known_is_told_as_missing(*, with_texts: bool) -> None:
    ware = describe_goods(attributes(), texts() if with_texts else None)
    log: Interactions = events(400)
    for head in (RatingHead(Taste(ware, log, 9), log), PriceHead(Taste(ware, log, 9), ware)):
        request, rows = request_of(["stranger"], ROWS[2:], TYPES[2:]), tf.constant(CANDIDATES[2:])
        assert np.isfinite(head.start(rows)).all()
        assert np.isfinite(head.rival(request, rows)).all()
        read = head.features(request, head.taste.look(request), rows)
        assert read.shape[:2] == (1, 3)
        assert not np.isinf(read).any()
