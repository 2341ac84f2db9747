"""The served signatures against the towers and NumPy, and against everything a client may send."""

import time
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from served_shop import HISTORY, ServedShop, raw_event, raw_item, raw_stock

from trainer.exported_model import ExportedModel
from trainer.rules.attributes import read_attributes
from trainer.rules.fallback import Popularity
from trainer.served_model import ServedModel
from trainer.transform import EventTransform

REQUEST = ("user_id", "timestamp", "history_item_ids", "history_event_types", "history_ages_days", "query", "country")


def _requests(shop: ServedShop, count: int) -> dict[str, list[Any]]:
    events = [raw_event(number, len(shop.catalogue)) for number in range(count)]
    return {name: [event[name] for event in events] for name in REQUEST}


def _in_process(shop: ServedShop, requests: dict[str, list[Any]]) -> np.ndarray:
    """Scores of the whole catalogue, [batch, items], by the towers themselves."""
    raw = {name: np.array(values).reshape(len(values), -1) for name, values in requests.items()}
    raw["history_ages_days"] = raw["history_ages_days"].astype(np.float32)
    features = EventTransform(shop.event_graph)({name: tf.constant(values) for name, values in raw.items()})
    rows = np.array([shop.catalogue.rows(ids) for ids in requests["history_item_ids"]]) + 1
    text = shop.model.encode_text(features["query_tokens"])
    text *= tf.constant([[float(query != "")] for query in requests["query"]])
    vectors = shop.model.query_vectors(features, tf.constant(rows), text, tf.constant(shop.item_vectors))
    return vectors.numpy() @ shop.item_vectors.T


def _ids(answers: dict[str, np.ndarray], line: int = 0) -> list[str]:
    return [each.decode() for each in answers["item_ids"][line]]


def test_served_scores_are_those_of_the_towers(served_shop: ServedShop, exported: ExportedModel) -> None:
    requests = _requests(served_shop, 40)
    expected = _in_process(served_shop, requests)
    answers = exported.ask("recommend", {**requests, "k": [48]})
    for line, scores in enumerate(expected):
        rows = served_shop.catalogue.rows(_ids(answers, line))
        assert sorted(rows) == list(range(48))
        np.testing.assert_allclose(answers["scores"][line], scores[rows], rtol=0, atol=1e-5)
        assert (np.diff(answers["scores"][line]) <= 0).all()
        assert [t.decode() for t in answers["titles"][line]] == list(served_shop.catalogue.titles[rows])
    # The parts of a request matter: rows without a query, user or history differ from each other.
    assert len(np.unique(expected.round(4), axis=0)) == 40


def test_an_answer_does_not_depend_on_who_else_asks(served_shop: ServedShop, exported: ExportedModel) -> None:
    requests = _requests(served_shop, 12)
    together = exported.ask("recommend", requests)
    for line in range(12):
        alone = exported.ask("recommend", {name: values[line : line + 1] for name, values in requests.items()})
        np.testing.assert_allclose(alone["scores"][0], together["scores"][line], rtol=0, atol=1e-5)


def test_features_are_those_of_transform(served_shop: ServedShop) -> None:
    requests = _requests(served_shop, 1_000)
    raw = {name: tf.constant(np.array(values).reshape(1_000, -1)) for name, values in requests.items()}
    raw["history_ages_days"] = tf.cast(raw["history_ages_days"], tf.float32)
    expected = EventTransform(served_shop.event_graph)(raw)
    served = _served(served_shop)
    flat = {name: values if name.startswith("history") else values[:, 0] for name, values in raw.items()}
    flat["history_quantities"] = tf.ones(flat["history_item_ids"].shape)
    found = tf.function(served.transform_request)(flat)
    assert {"query_tokens", "context_country", "hour", "user_bucket", "history_types", "history_ages"} <= set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name].numpy(), values.numpy(), err_msg=name)


def _served(shop: ServedShop, **changes: Any) -> ServedModel:
    settings = {
        "model": shop.model,
        "catalogue": shop.catalogue,
        "attributes": read_attributes(str(shop.tables), shop.catalogue.ids),
        "popularity": Popularity((), np.zeros((1, len(shop.catalogue)), np.float32)),
        "item_vectors": shop.item_vectors,
        "event_transform_graph": shop.event_graph,
        "item_transform_graph": shop.item_graph,
    }
    return ServedModel(changes.pop("config", shop.config), **{**settings, **changes})


def test_defaults_stand_for_what_is_missing(exported: ExportedModel) -> None:
    history = [["i00003", "i00001", "i00009"]]
    spelt = {"timestamp": [1_600_000_000], "history_item_ids": history, "history_event_types": [["purchase"] * 3]}
    full = exported.ask("recommend", {"user_id": ["a"], **spelt, "history_ages_days": [[0.0] * 3], "k": [5]})
    bare = exported.ask("recommend", {"user_id": ["a"], "timestamp": [1_600_000_000], "history_item_ids": history})
    assert bare["item_ids"].tolist() == full["item_ids"].tolist()
    np.testing.assert_allclose(bare["scores"], full["scores"], atol=1e-6)
    viewed = exported.ask("recommend", {"user_id": ["a"], **spelt, "history_event_types": [["view"]]})
    assert np.abs(viewed["scores"] - full["scores"]).max() > 1e-3


def test_one_default_serves_the_whole_batch(exported: ExportedModel) -> None:
    users = ["a", "b", ""]
    together = exported.ask("recommend", {"user_id": users, "timestamp": [7], "country": ["DE"], "k": [4]})
    repeated = exported.ask("recommend", {"user_id": users, "timestamp": [7] * 3, "country": ["DE"] * 3, "k": [4] * 3})
    assert together["item_ids"].tolist() == repeated["item_ids"].tolist()
    assert together["item_ids"].shape == (3, 4)


def test_histories_are_trimmed_to_the_newest(exported: ExportedModel) -> None:
    long = [f"i{row:05}" for row in range(3 * HISTORY)]
    ages = [float(age) for age in range(3 * HISTORY)]
    asked = {"user_id": ["a"], "timestamp": [1_600_000_000]}
    everything = exported.ask("recommend", {**asked, "history_item_ids": [long], "history_ages_days": [ages]})
    newest = {"history_item_ids": [long[:HISTORY]], "history_ages_days": [ages[:HISTORY]]}
    np.testing.assert_array_equal(everything["scores"], exported.ask("recommend", {**asked, **newest})["scores"])
    shorter = {"history_item_ids": [long[:2]], "history_ages_days": [ages[:2]]}
    padded = {"history_item_ids": [[*long[:2], "", ""]], "history_ages_days": [[*ages[:2], 0.0, 0.0]]}
    np.testing.assert_array_equal(
        exported.ask("recommend", {**asked, **shorter})["scores"],
        exported.ask("recommend", {**asked, **padded})["scores"],
    )


def test_timestamp_zero_means_now(exported: ExportedModel) -> None:
    for _ in range(2):  # the hour may turn between the two questions, but not twice
        asked = exported.ask("recommend", {"user_id": ["a"]})
        now = exported.ask("recommend", {"user_id": ["a"], "timestamp": [int(time.time())]})
        if np.array_equal(asked["scores"], now["scores"]):
            break
    np.testing.assert_array_equal(asked["scores"], now["scores"])
    other = exported.ask("recommend", {"user_id": ["a"], "timestamp": [int(time.time()) + 40 * 86_400 + 6 * 3_600]})
    assert not np.array_equal(asked["scores"], other["scores"])


STRANGE = [b"", b" ", b"\xff\xfe\x00", "naïve 🎉".encode(), b"x" * 20_000, b"\n\t", b"i00001"]


@pytest.mark.parametrize("timestamp", [-(2**63), -1, 1, 2**63 - 1])
def test_nothing_a_client_sends_breaks_it(exported: ExportedModel, timestamp: int) -> None:
    inputs = {
        "user_id": STRANGE,
        "timestamp": [timestamp],
        "history_item_ids": [[each, each] for each in STRANGE],
        "history_event_types": [[each, b"view"] for each in STRANGE],
        "history_ages_days": [[-5.0, 1e30]],
        "query": STRANGE[::-1],
        "country": STRANGE,
        "exclude_item_ids": [[each] for each in STRANGE],
        "k": [3],
    }
    for signature in ("recommend", "search"):
        answers = exported.ask(signature, inputs)
        assert answers["item_ids"].shape == (7, 3)
        assert np.isfinite(answers["scores"]).all()
        assert b"i00001" not in answers["item_ids"][6]
    scores = exported.ask("rank", {**inputs, "candidate_item_ids": [STRANGE]})["scores"]
    assert np.isfinite(scores[:6, 6]).all()
    assert np.isneginf(scores[6, 6])  # the one that excludes it
    assert np.isneginf(scores[:, :6]).all()


def test_empty_lists_and_an_empty_batch(exported: ExportedModel) -> None:
    none = np.zeros((2, 0), object)
    inputs = {"history_item_ids": none, "history_event_types": none, "history_ages_days": none.astype(np.float32)}
    asked = exported.ask("recommend", {"user_id": ["a", "b"], "timestamp": [5], **inputs, "exclude_item_ids": none})
    plain = exported.ask("recommend", {"user_id": ["a", "b"], "timestamp": [5]})
    np.testing.assert_array_equal(asked["scores"], plain["scores"])
    assert exported.ask("recommend", {"user_id": []})["item_ids"].shape[0] == 0


@settings(max_examples=15, deadline=None)
@given(excluded=st.lists(st.integers(0, 47), max_size=60), k=st.integers(1, 60), search=st.booleans())
def test_what_is_excluded_never_appears(exported: ExportedModel, excluded: list[int], k: int, *, search: bool) -> None:
    asked = {"user_id": ["a"], "query": ["red lamp" if search else ""], "timestamp": [1_600_000_000]}
    signature = "search" if search else "recommend"
    everything = _ids(exported.ask(signature, {**asked, "k": [48]}))
    names = [f"i{row:05}" for row in excluded]
    left = _ids(exported.ask(signature, {**asked, "k": [k], "exclude_item_ids": [["", *names]]}))
    expected = [name for name in everything if name not in names][:k]
    assert left == expected + [""] * (min(k, 48) - len(expected))


def test_each_row_gets_its_own_k(exported: ExportedModel) -> None:
    answers = exported.ask("recommend", {"user_id": ["a", "b", "c"], "k": [1, 500, 3]})
    assert answers["item_ids"].shape == (3, 48)
    assert (answers["item_ids"] != b"").sum(axis=1).tolist() == [1, 48, 3]
    assert np.isneginf(answers["scores"][answers["item_ids"] == b""]).all()
    assert (answers["titles"][answers["item_ids"] == b""] == b"").all()
    with pytest.raises(tf.errors.InvalidArgumentError, match="k must be at least 1"):
        exported.ask("recommend", {"user_id": ["a", "b"], "k": [3, 0]})
    with pytest.raises(tf.errors.InvalidArgumentError, match="Incompatible shapes"):
        exported.ask("recommend", {"user_id": ["a", "b", "c"], "k": [3, 3]})


def test_similar_items_are_the_nearest_others(served_shop: ServedShop, exported: ExportedModel) -> None:
    vectors = served_shop.item_vectors
    answers = exported.ask("similar_items", {"item_id": ["i00005", "unknown", "i00047"], "k": [47]})
    for line, row in ((0, 5), (2, 47)):
        scores = vectors @ vectors[row]
        rows = served_shop.catalogue.rows(_ids(answers, line))
        assert sorted(rows) == [each for each in range(48) if each != row]
        np.testing.assert_allclose(answers["scores"][line], np.sort(np.delete(scores, row))[::-1], atol=1e-5)
    assert _ids(answers, 1) == [""] * 47
    assert np.isneginf(answers["scores"][1]).all()
    fewer = exported.ask("similar_items", {"item_id": ["i00005"], "exclude_item_ids": [_ids(answers)[:3]], "k": [4]})
    assert _ids(fewer) == _ids(answers)[3:7]


def test_rank_scores_like_recommend(exported: ExportedModel) -> None:
    asked = {"user_id": ["u1", "u2"], "timestamp": [9], "history_item_ids": [["i00001"], [""]], "query": ["", "lamp"]}
    best = exported.ask("recommend", {**asked, "k": [6]})
    candidates = np.concatenate([best["item_ids"], [[b"unknown", b""]] * 2], axis=1)
    scores = exported.ask("rank", {**asked, "candidate_item_ids": candidates})["scores"]
    np.testing.assert_allclose(scores[:, :6], best["scores"], atol=1e-5)
    assert np.isneginf(scores[:, 6:]).all()


def test_embed_items_gives_the_index_its_vectors(served_shop: ServedShop, exported: ExportedModel) -> None:
    items = [raw_item(row) for row in range(48)]
    inputs = {name: [item[name] for item in items] for name in items[0]}
    vectors = exported.ask("embed_items", inputs)["embedding"]
    np.testing.assert_allclose(vectors, served_shop.item_vectors, rtol=0, atol=1e-5)
    new = exported.ask("embed_items", {**inputs, "item_id": ["new"] * 48})["embedding"]
    np.testing.assert_allclose(np.linalg.norm(new, axis=1), 1.0, atol=1e-5)
    # Items without training examples have no vector of their own id, the others do.
    np.testing.assert_allclose(new[::5], vectors[::5], atol=1e-5)
    assert (np.abs(new - vectors).max(axis=1) > 1e-3).sum() == 48 - len(vectors[::5])
    strange = {"title": ["", "red shoe", b"\xff", "lamp"], "price": [np.nan, np.inf, -1.0, 3e38]}
    assert np.isfinite(exported.ask("embed_items", strange)["embedding"]).all()


rules = st.fixed_dictionaries(
    {},
    optional={
        "include_item_ids": st.lists(st.integers(0, 47), min_size=1).map(lambda rows: [[f"i{row:05}" for row in rows]]),
        "exclude_item_ids": st.lists(st.integers(0, 47), min_size=1).map(lambda rows: [[f"i{row:05}" for row in rows]]),
        "categories": st.sampled_from([["home"], ["home > lamp", "home > rose"]]).map(lambda names: [names]),
        "exclude_categories": st.just([["home > shoe"]]),
        "brands": st.sampled_from([["brand 1"], ["brand 0", "brand 2"]]).map(lambda names: [names]),
        "min_price": st.just([5.5]),
        "max_price": st.just([30.0]),
        "in_stock_only": st.just([1]),
    },
)


@settings(max_examples=12, deadline=None)
@given(asked=rules, diversity=st.sampled_from([0.0, 0.4]), cap=st.integers(0, 2))
def test_what_a_filter_excludes_appears_on_no_signature(
    exported: ExportedModel, asked: dict[str, Any], diversity: float, cap: int
) -> None:
    fits = {f"i{row:05}" for row in range(48) if _fits(row, asked)}
    mixed = {**asked, "k": [48], "diversity": [diversity], "max_per_category": [cap]}
    common = {"timestamp": [9], "query": ["red lamp"], "user_id": ["u1"], "item_id": ["i00009"]}
    for signature in ("recommend", "search", "similar_items"):
        answered = [each for each in _ids(exported.ask(signature, {**common, **mixed})) if each]
        left = fits - {"i00009"} if signature == "similar_items" else fits
        assert set(answered) <= left
        things = [raw_item(int(each[1:]))["category"] for each in answered]
        possible = [raw_item(int(each[1:]))["category"] for each in left]
        most = {thing: min(possible.count(thing), cap or 48) for thing in set(possible)}
        assert {thing: things.count(thing) for thing in set(things)} == most
    everything = [[f"i{row:05}" for row in range(48)]]
    [scores] = exported.ask("rank", {**common, **asked, "candidate_item_ids": everything})["scores"]
    assert {name for name, score in zip(everything[0], scores, strict=True) if score > -np.inf} == fits


def _fits(row: int, asked: dict[str, Any]) -> bool:
    item, stock = raw_item(row), raw_stock(row)

    def inside(name: str) -> bool:
        return any(item["category"] == path or item["category"].startswith(path + " > ") for path in asked[name][0])

    return (
        ("include_item_ids" not in asked or item["item_id"] in asked["include_item_ids"][0])
        and ("exclude_item_ids" not in asked or item["item_id"] not in asked["exclude_item_ids"][0])
        and ("categories" not in asked or inside("categories"))
        and ("exclude_categories" not in asked or not inside("exclude_categories"))
        and ("brands" not in asked or item["brand"] in asked["brands"][0])
        and item["price"] >= asked.get("min_price", [0.0])[0]
        and item["price"] <= asked.get("max_price", [1e9])[0]
        and ("in_stock_only" not in asked or stock is None or stock > 0)
    )
