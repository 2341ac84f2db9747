"""Every rival's contract and what it finds on planted blocks; the models in closed form against loops."""

from collections.abc import Iterator

import numpy as np
import pytest
import scipy.sparse
import threadpoolctl
from block_shop import BLOCK, BLOCKS, ITEMS, block_of_user, block_shop

from trainer import metrics
from trainer.baselines import PAD, RANKERS, Ranker, create_rankers
from trainer.baselines.ease import MOST_ITEMS, Ease, ease_weights
from trainer.baselines.ease_frequency import FREQUENCY_WEIGHT, EaseFrequency
from trainer.baselines.item_knn import cosine_neighbours
from trainer.baselines.recent_popular import RecentPopular
from trainer.baselines.score_ranker import seen_matrix
from trainer.cases import Cases
from trainer.event_log import EventLog

PERSONAL = [name for name in RANKERS if "popular" not in name and name != "bm25"]
LEARNED = [name for name in PERSONAL if name != "own_frequency"]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    # On so few rows threads only wait for each other, longest where other processes run.
    with threadpoolctl.threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[EventLog, Cases]:
    return block_shop(tmp_path_factory.mktemp("blocks"))


@pytest.fixture(scope="module")
def fitted(shop: tuple[EventLog, Cases]) -> dict[str, Ranker]:
    rankers = create_rankers(tuple(RANKERS))
    for ranker in rankers:
        ranker.fit(shop[0])
    return {ranker.name: ranker for ranker in rankers}


def _nothing(cases: Cases) -> list[np.ndarray]:
    return [np.zeros(0, np.int64)] * len(cases)


def _random_seen(users: int, items: int, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random((users, items)) < 0.3).astype(np.float32)


@pytest.mark.parametrize("name", list(RANKERS))
def test_the_contract_of_every_ranker(name: str, shop: tuple[EventLog, Cases], fitted: dict[str, Ranker]) -> None:
    cases, ranker, items = shop[1], fitted[name], len(ITEMS)
    generator = np.random.default_rng(4)
    excluded = [generator.choice(items, generator.integers(items + 1), replace=False) for _ in range(len(cases))]
    excluded[0], excluded[1] = np.arange(items), np.zeros(0, np.int64)
    for k in (1, 7, items, items + 5):
        ranked = ranker.rank(cases, k, excluded)
        assert ranked.shape == (len(cases), k)
        for row, gone in zip(ranked, excluded, strict=True):
            answered = row[row != PAD]
            assert len(answered) == min(k, items - len(gone))
            assert len(set(answered)) == len(answered)
            assert not set(answered) & set(gone)
            assert (row[len(answered) :] == PAD).all()
    assert ranker.rank(cases.of_task("search"), 4, []).shape == (0, 4)


@pytest.mark.parametrize("name", PERSONAL)
def test_personal_rivals_find_the_planted_blocks(
    name: str, shop: tuple[EventLog, Cases], fitted: dict[str, Ranker]
) -> None:
    warm = shop[1].select(shop[1].warm())
    ranked = fitted[name].rank(warm, BLOCK, _nothing(warm))
    blocks = np.array([block_of_user(int(user[1:])) for user in warm.table["user_id"].to_pylist()])
    assert (ranked // BLOCK == blocks[:, None]).mean() > (0.75 if name == "own_frequency" else 0.9)
    popular = fitted["popular"].rank(warm, BLOCK, _nothing(warm))
    ours, theirs = (metrics.measure(each, warm.truth, ["ndcg@10"])["ndcg@10"].mean() for each in (ranked, popular))
    assert ours > 1.3 * theirs


def test_trees_know_favourites_that_ease_does_not(shop: tuple[EventLog, Cases], fitted: dict[str, Ranker]) -> None:
    warm = shop[1].select(shop[1].warm())
    ndcg = {}
    for name in ("ease", "trees"):
        ranked = fitted[name].rank(warm, BLOCK, _nothing(warm))
        ndcg[name] = metrics.measure(ranked, warm.truth, ["ndcg@10"])["ndcg@10"].mean()
    assert ndcg["trees"] > ndcg["ease"]


@pytest.mark.parametrize("name", PERSONAL)
def test_unknown_customers_get_what_is_popular_these_days(
    name: str, shop: tuple[EventLog, Cases], fitted: dict[str, Ranker]
) -> None:
    cold = shop[1].select(~shop[1].warm())
    assert len(cold) == BLOCKS + 1
    recent = RecentPopular()
    recent.fit(shop[0])
    assert np.array_equal(fitted[name].rank(cold, 12, _nothing(cold)), recent.rank(cold, 12, _nothing(cold)))


@pytest.mark.parametrize("name", LEARNED)
def test_fitting_twice_gives_the_same_ranking(
    name: str, shop: tuple[EventLog, Cases], fitted: dict[str, Ranker]
) -> None:
    (again,) = create_rankers((name,))
    again.fit(shop[0])
    cases = shop[1]
    assert np.array_equal(again.rank(cases, 20, _nothing(cases)), fitted[name].rank(cases, 20, _nothing(cases)))


@pytest.mark.parametrize("seed", range(3))
def test_ease_is_the_ridge_regression_of_each_item_on_the_others(seed: int) -> None:
    seen, l2 = _random_seen(40, 9, seed), 5.0
    weights = ease_weights(scipy.sparse.csr_matrix(seen), l2)
    for item in range(9):
        others = np.delete(np.arange(9), item)
        x, y = seen[:, others].astype(np.float64), seen[:, item]
        expected = np.linalg.solve(x.T @ x + l2 * np.eye(8), x.T @ y)
        np.testing.assert_allclose(weights[others, item], expected, atol=1e-5)
        assert weights[item, item] == 0


def test_ease_scores_are_sums_over_what_was_seen(shop: tuple[EventLog, Cases], fitted: dict[str, Ranker]) -> None:
    cases, ease, both = shop[1], fitted["ease"], fitted["ease_frequency"]
    assert isinstance(ease, Ease)
    assert isinstance(both, EaseFrequency)
    scores, with_counts = ease._score(cases), both._score(cases)
    for case, (seen, counts) in enumerate(zip(cases.seen, cases.seen_counts, strict=True)):
        expected = [sum(ease._weights[row, item] for row in seen) for item in range(len(ITEMS))]
        np.testing.assert_allclose(scores[case], expected, atol=1e-5)
        for row, count in zip(seen, counts, strict=True):
            expected[row] += FREQUENCY_WEIGHT * np.log(1 + count)
        np.testing.assert_allclose(with_counts[case], expected, atol=1e-5)


def test_ease_refuses_a_catalogue_that_no_memory_holds() -> None:
    with pytest.raises(ValueError, match="expected at most 20,000 items, got 20,001"):
        ease_weights(scipy.sparse.csr_matrix((3, MOST_ITEMS + 1), dtype=np.float32))


@pytest.mark.parametrize("neighbours", [2, 100])
def test_item_knn_keeps_the_nearest_cosines(neighbours: int) -> None:
    seen = _random_seen(30, 12, 7)
    seen[:, 5] = 0  # nobody's
    found = cosine_neighbours(scipy.sparse.csr_matrix(seen), neighbours).toarray()
    for item in range(12):
        cosines = []
        for other in range(12):
            norm = np.linalg.norm(seen[:, item]) * np.linalg.norm(seen[:, other])
            cosines.append(0.0 if other == item or norm == 0 else float(seen[:, item] @ seen[:, other] / norm))
        kept = np.argsort(-np.array(cosines), kind="stable")[:neighbours]
        expected = [cosine if other in kept else 0.0 for other, cosine in enumerate(cosines)]
        np.testing.assert_allclose(found[:, item], expected, atol=1e-6)


def test_als_solves_for_a_user_as_the_paper_does(shop: tuple[EventLog, Cases], fitted: dict[str, Ranker]) -> None:
    cases, model = shop[1], fitted["als"]._model
    factors, regularisation = model.item_factors.astype(np.float64), model.regularization
    scores = fitted["als"]._score(cases)
    for case in range(0, len(cases), 7):
        confidence = np.ones(len(ITEMS))
        confidence[cases.seen[case]] = cases.seen_counts[case]
        liked = np.isin(np.arange(len(ITEMS)), cases.seen[case]).astype(np.float64)
        left = factors.T @ np.diag(confidence) @ factors + regularisation * np.eye(factors.shape[1])
        user = np.linalg.solve(left, factors.T @ (confidence * liked))
        np.testing.assert_allclose(scores[case], factors @ user, atol=1e-2)


def test_seen_items_become_a_matrix(shop: tuple[EventLog, Cases]) -> None:
    matrix = seen_matrix(shop[1], len(ITEMS)).toarray()
    for row, seen, counts in zip(matrix, shop[1].seen, shop[1].seen_counts, strict=True):
        assert {int(item): int(row[item]) for item in np.flatnonzero(row)} == dict(
            zip(seen.tolist(), counts.tolist(), strict=True)
        )
