"""Each planted effect is found again in the events by a simple statistic, and the truth ranks what people buy.

Demand for categories is a logit model, so a difference of an effect between two moments is the difference of
the log-odds of the category against one that the effect leaves alone.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import stats

from pipeline.simulator import Context, Plan, Truth, read_truth, simulate, true_preferences
from pipeline.simulator.customers import LIKED_SLOTS
from pipeline.simulator.truth import category_preferences, true_appeal

PLAN = Plan(users=1_500, items=450, events=260_000, seed=3)
INDIFFERENT = "Dog Food"  # no month, weekday, holiday or weather changes the demand for it


@dataclass(frozen=True)
class Shop:
    truth: Truth
    items: pd.DataFrame
    events: pd.DataFrame  # events with an item, joined with the items' category and row
    searches: pd.DataFrame
    visits: pd.DataFrame  # the first view of each session: what the visitor wanted


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("simulated")
    simulate(PLAN, folder, table_format="parquet", force=True)
    truth = read_truth(folder)
    items = pq.read_table(folder / "items.parquet").to_pandas()
    items["leaf"] = items["category"].str.rsplit(" > ", n=1).str[-1]
    items["row"] = np.arange(len(items))
    assert tuple(items["item_id"]) == truth.item_ids
    events = pq.read_table(folder / "events.parquet").to_pandas()
    events["seconds"] = events["timestamp"].astype("int64") // 1_000_000_000
    searches = events[events["item_id"] == ""]
    events = events[events["item_id"] != ""].merge(items[["item_id", "leaf", "row", "title"]], on="item_id", how="left")
    events = events.sort_values("seconds", kind="stable")
    views = events[events["event_type"] == "view"]
    return Shop(truth, items, events, searches, views.drop_duplicates("session_id"))


def shift(visits: pd.DataFrame, leaf: str, yes: Any, no: Any, strata: Any = 0) -> tuple[float, float]:
    """The log-odds of `leaf` against the indifferent category where `yes`, minus those where `no`; and its error.

    Compares within strata only (Mantel and Haenszel 1959), so that what differs between them does not count.
    """
    stratum = np.unique(np.broadcast_to(strata, len(visits)), return_inverse=True)[1]
    groups = [rows & (visits["leaf"] == name) for rows in (yes, no) for name in (leaf, INDIFFERENT)]
    counts = np.stack([np.bincount(stratum[group], minlength=stratum.max() + 1) for group in groups], axis=1)
    counts = counts[counts.sum(axis=1) > 0]
    assert counts.sum(axis=0).min() >= 5
    total = counts.sum(axis=1)
    found = math.log((counts[:, 0] * counts[:, 3] / total).sum() / (counts[:, 1] * counts[:, 2] / total).sum())
    return found, math.sqrt((1 / counts.sum(axis=0)).sum())


def months_and_countries(visits: pd.DataFrame) -> Any:
    return (visits["country"] + visits["timestamp"].dt.month.astype(str)).to_numpy(str)


def assert_recovered(shifted: tuple[float, float], expected: float) -> None:
    """Customers differ, which pulls the log-odds of all of them together towards zero, so the lower margin is wide."""
    found, error = shifted
    low, high = sorted((0.5 * expected, 1.2 * expected))
    assert low - 2 * error < found < high + 2 * error
    assert abs(found) > 3 * error


def planted(truth: Truth, effect: str, leaf: str, value: str | int) -> float:
    plural = {"holiday": "holidays", "weather": "weathers", "country": "countries"}
    row = value if isinstance(value, int) else truth.shop[plural[effect]].index(value)
    column = [path.rsplit(" > ", 1)[-1] for path in truth.shop["categories"]].index(leaf)
    return float(truth.shop["effects"][effect][row][column])


def ordinary(visits: pd.DataFrame) -> Any:
    return visits["holiday"] == ""


def test_popularity_follows_zipf_within_a_category(shop: Shop) -> None:
    views = shop.events.loc[shop.events["event_type"] == "view", "row"].value_counts()
    count = views.reindex(range(len(shop.items)), fill_value=0).to_numpy()
    from_the_start = shop.truth.offered_s == PLAN.start_s
    for category in range(len(shop.truth.shop["categories"])):
        rows = from_the_start & (shop.truth.category == category)
        assert np.corrcoef(np.log(shop.truth.popularity[rows]), np.log(count[rows]))[0, 1] > 0.75
    top_tenth = np.sort(count)[::-1][: len(count) // 10].sum() / count.sum()
    assert top_tenth > 0.3


def test_customers_look_at_the_categories_they_like(shop: Shop) -> None:
    known = shop.visits[shop.visits["user_id"] != ""]
    table = pd.crosstab(known["user_id"], shop.truth.category[known["row"]])
    table = table[table.sum(axis=1) >= 40]
    share = table.to_numpy() / table.to_numpy().sum(axis=1, keepdims=True)
    taste = shop.truth.category_taste[[shop.truth.user_rows[user] for user in table.index]]
    by_customer = [stats.spearmanr(share[row], taste[row]).statistic for row in range(len(share))]
    assert len(by_customer) > 100
    assert np.mean(by_customer) > 0.6


@pytest.mark.parametrize("column", range(len(LIKED_SLOTS)))
def test_customers_look_at_the_words_they_like_and_avoid_the_disliked_one(shop: Shop, column: int) -> None:
    views = shop.events[(shop.events["event_type"] == "view") & (shop.events["user_id"] != "")]
    users = views["user_id"].map(shop.truth.user_rows).to_numpy()
    words = shop.truth.words[views["row"], LIKED_SLOTS[column]]
    hits, expected = 0.0, 0.0
    for word in np.unique(shop.truth.liked_words[:, column]):
        caring = shop.truth.liked_words[users, column] == word
        hits += (words[caring] == word).sum()
        expected += caring.sum() * (words[~caring] == word).mean()
    lift = math.log(hits / expected)
    # Choosing among few items with the word dampens the planted 0.8..1.5, or its negative, a little.
    assert (0.5 < lift < 1.2) if column < 3 else (-1.4 < lift < -0.5)


def test_words_of_the_title_are_the_words_of_the_taste(shop: Shop) -> None:
    for title, numbers in zip(shop.items["title"], shop.truth.words, strict=True):
        for number in numbers:
            assert shop.truth.shop["words"][number] in title.lower()


def test_thrifty_customers_choose_the_cheaper_things(shop: Shop) -> None:
    views = shop.events[(shop.events["event_type"] == "view") & (shop.events["user_id"] != "")]
    relative = pd.Series(shop.truth.relative_price[views["row"]]).groupby(views["user_id"].to_numpy())
    mean = relative.mean()[relative.size() >= 50]
    sensitivity = shop.truth.price_sensitivity[[shop.truth.user_rows[user] for user in mean.index]]
    assert stats.spearmanr(sensitivity, mean).statistic < -0.4


@pytest.mark.parametrize(("leaf", "peak", "trough"), [("Swimwear", 7, 4), ("Knitwear", 12, 6), ("Planters", 5, 11)])
def test_season(shop: Shop, leaf: str, peak: int, trough: int) -> None:
    month, calm = shop.visits["timestamp"].dt.month, ordinary(shop.visits) & (shop.visits["weather"] == "cloudy")
    shifted = shift(shop.visits, leaf, calm & (month == peak), calm & (month == trough))
    assert_recovered(
        shifted, planted(shop.truth, "season", leaf, peak - 1) - planted(shop.truth, "season", leaf, trough - 1)
    )


@pytest.mark.parametrize("leaf", ["Notebooks", "Planters", "Board Games"])
def test_weekday(shop: Shop, leaf: str) -> None:
    weekend, calm = shop.visits["timestamp"].dt.weekday >= 5, ordinary(shop.visits)
    shifted = shift(shop.visits, leaf, calm & weekend, calm & ~weekend)
    assert_recovered(shifted, planted(shop.truth, "weekday", leaf, 6) - planted(shop.truth, "weekday", leaf, 0))


@pytest.mark.parametrize(
    ("name", "months", "leaf"),
    [("Christmas Day", (11, 12), "Blocks and Trains"), ("Valentine's Day", (1, 2, 3), "Necklaces")],
)
def test_holidays_lift_their_gifts_in_the_days_before(
    shop: Shop, name: str, months: tuple[int, ...], leaf: str
) -> None:
    near = np.isin(shop.visits["timestamp"].dt.month, months)
    shifted = shift(shop.visits, leaf, near & (shop.visits["holiday"] == name), near & ordinary(shop.visits))
    assert_recovered(shifted, planted(shop.truth, "holiday", leaf, name))


def test_holidays_are_those_of_the_country(shop: Shop) -> None:
    seen = shop.events.groupby("country")["holiday"].unique().map(set)
    assert "Boxing Day" in seen["GB"] - seen["FR"]
    assert "National Day" in seen["FR"] - seen["GB"]
    assert all({"Christmas Day", "Valentine's Day", "Easter Sunday"} <= names for names in seen)


@pytest.mark.parametrize(("leaf", "weather"), [("Rainwear", "rain"), ("Board Games", "rain"), ("Swimwear", "sunny")])
def test_weather(shop: Shop, leaf: str, weather: str) -> None:
    shifted = shift(
        shop.visits,
        leaf,
        shop.visits["weather"] == weather,
        shop.visits["weather"] == "cloudy",
        months_and_countries(shop.visits),
    )
    assert_recovered(shifted, planted(shop.truth, "weather", leaf, weather))


def test_country(shop: Shop) -> None:
    shares = pd.crosstab(shop.visits["country"], shop.truth.category[shop.visits["row"]], normalize="index")
    found = np.log(shares.loc[shop.truth.shop["countries"]].to_numpy())
    found -= found.mean(axis=0)
    table = np.array(shop.truth.shop["effects"]["country"])
    assert np.corrcoef(found.ravel(), (table - table.mean(axis=0)).ravel())[0, 1] > 0.75


def test_what_gets_used_up_is_bought_again_after_its_time(shop: Shop) -> None:
    bought = shop.events[(shop.events["event_type"] == "purchase") & (shop.events["user_id"] != "")]
    gap = bought.groupby(["user_id", "item_id"])["seconds"].diff().dropna() / 86_400
    cycle = np.array(shop.truth.shop["cycle_days"])[shop.truth.category[bought.loc[gap.index, "row"]]]
    on_time = np.abs(gap.to_numpy() / np.maximum(cycle, 1) - 1) <= 0.11
    for days in (21, 28, 35):
        assert (cycle == days).sum() > 100
        assert on_time[cycle == days].mean() > 0.7
    # Things that last are bought again too, but at any time.
    last = gap[cycle == 0]
    assert (np.abs(last / 28 - 1) <= 0.11).mean() < 0.15


def test_new_items_and_users_come_later(shop: Shop) -> None:
    new = shop.truth.offered_s > PLAN.start_s
    assert new.sum() == round(PLAN.items * PLAN.new_items)
    assert shop.truth.offered_s[new].min() >= PLAN.end_s - 42 * 86_400
    assert (shop.events["seconds"] >= shop.truth.offered_s[shop.events["row"]]).all()
    assert new[shop.events["row"]].sum() > 500
    known = shop.events[shop.events["user_id"] != ""]
    joined = shop.truth.joined_s[known["user_id"].map(shop.truth.user_rows)]
    assert (known["seconds"] >= joined).all()
    first = known.groupby("user_id")["seconds"].min()
    assert 20 < (first >= PLAN.end_s - 28 * 86_400).sum() < 100


def test_stars_tell_how_well_the_thing_fits(shop: Shop) -> None:
    rated = shop.events[shop.events["event_type"] == "rate"]
    appeal = [true_appeal(shop.truth, user)[row] for user, row in zip(rated["user_id"], rated["row"], strict=True)]
    users = rated["user_id"].map(shop.truth.user_rows)
    liking = shop.truth.category_taste[users, shop.truth.category[rated["row"]]]
    assert stats.spearmanr(rated["value"], appeal).statistic > 0.4
    assert stats.spearmanr(rated["value"], liking).statistic > 0.2
    assert set(rated["value"]) == {1.0, 2.0, 3.0, 4.0, 5.0}


def test_queries_are_made_of_the_words_of_what_is_wanted(shop: Shop) -> None:
    asked = shop.events[shop.events["query"] != ""]
    wanted = asked.drop_duplicates("session_id")
    # All but a few that were cut off after the search.
    assert set(wanted["session_id"]) <= set(shop.searches["session_id"])
    assert len(wanted) > 0.995 * len(shop.searches)
    assert all(set(q.split()) <= set(t.lower().split()) for q, t in zip(wanted["query"], wanted["title"], strict=True))
    assert all(q.split()[-1] in t for q, t in zip(asked["query"], asked["title"], strict=True))
    assert wanted["query"].nunique() > 300


def context_of(row: Any) -> Context:
    return Context(timestamp=row.seconds, country=row.country, holiday=row.holiday, weather=row.weather)


def test_true_preferences_predict_how_often_each_thing_is_looked_at(shop: Shop) -> None:
    sample = shop.visits[(shop.visits["user_id"] != "")].sample(4_000, random_state=1)
    expected, clicked = np.zeros(len(shop.items)), 0
    categories = np.zeros(len(shop.truth.shop["categories"]))
    for row in sample.itertuples():
        odds = np.exp(category_preferences(shop.truth, row.user_id, context_of(row)))
        categories += odds / odds.sum()
        score = true_preferences(shop.truth, row.user_id, context_of(row))
        expected += np.exp(score - score.max()) / np.exp(score - score.max()).sum()
        clicked += (score > score[row.row]).sum()
    found = np.bincount(shop.truth.category[sample["row"]], minlength=len(categories))
    # Re-purchases of what gets used up come on top of the model's demand.
    lasting = np.array(shop.truth.shop["cycle_days"]) == 0
    assert np.allclose(
        found[lasting] / found[lasting].sum(), categories[lasting] / categories[lasting].sum(), atol=0.015
    )
    assert np.corrcoef(np.bincount(sample["row"], minlength=len(expected)), expected)[0, 1] > 0.9
    assert clicked / len(sample) < 0.15 * len(shop.items)


def test_true_preferences_rank_purchases_above_popularity(shop: Shop) -> None:
    bought = shop.events[(shop.events["event_type"] == "purchase") & (shop.events["user_id"] != "")]
    late = bought[bought["seconds"] >= PLAN.end_s - 28 * 86_400]
    popular = bought.loc[bought["seconds"] < PLAN.end_s - 28 * 86_400, "row"].value_counts()
    popular = popular.reindex(range(len(shop.items)), fill_value=0).to_numpy()
    ours, theirs = [], []
    for row in late.itertuples():
        score = true_preferences(shop.truth, row.user_id, context_of(row))
        ours.append((score > score[row.row]).sum() < 20)
        theirs.append((popular > popular[row.row]).sum() < 20)
    assert len(ours) > 300
    assert np.mean(ours) > 1.5 * np.mean(theirs)


def test_the_context_moves_the_true_preferences_as_planted(shop: Shop) -> None:
    noon = PLAN.end_s - 40_000
    leaf = shop.items["leaf"].to_numpy()
    cloudy, rain = (
        true_preferences(shop.truth, "U0000001", Context(noon, weather=weather)) for weather in ("cloudy", "rain")
    )
    moved = rain - cloudy
    assert moved[leaf == "Rainwear"] == pytest.approx(planted(shop.truth, "weather", "Rainwear", "rain"))
    assert moved[leaf == "Swimwear"] == pytest.approx(planted(shop.truth, "weather", "Swimwear", "rain"))
    assert moved[leaf == INDIFFERENT] == pytest.approx(0)


def test_strangers_are_ranked_by_the_moment_and_popularity_and_only_what_is_on_sale(shop: Shop) -> None:
    truth = shop.truth
    score = true_preferences(truth, "nobody", Context(PLAN.start_s))
    assert np.array_equal(np.isfinite(score), truth.offered_s <= PLAN.start_s)
    for category in range(len(truth.shop["categories"])):
        rows = (truth.category == category) & np.isfinite(score)
        assert np.array_equal(np.argsort(score[rows]), np.argsort(truth.popularity[rows]))
    total = np.bincount(truth.category, np.exp(score))
    effects = truth.shop["effects"]
    weekday = PLAN.start.weekday()
    demand = np.exp(
        np.sum([effects["base"], effects["season"][PLAN.start.month - 1], effects["weekday"][weekday]], axis=0)
    )
    assert total / total.sum() == pytest.approx(demand / demand.sum())
