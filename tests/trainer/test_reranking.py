"""The cross-encoder: its loss, what it learns, and how it orders the best items in the served graph."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from served_shop import ServedShop
from test_adaptation import ITEMS, catalogue, config_of, tokenise  # noqa: F401
from test_encoders import needs_minilm

from pipeline.config import Config, RerankConfig
from trainer.adaptation.pairs import TextPairs, held_out, read_pairs
from trainer.catalogue import Catalogue
from trainer.enlargement import _reranker
from trainer.exported_model import ExportedModel
from trainer.lexical.texts import read_item_texts
from trainer.reranking.learning import CrossLearning, candidates
from trainer.reranking.pairing import paired
from trainer.reranking.reranker import Reranker
from trainer.reranking.stage import learned_cross_encoder, make_reranker, new_cross_encoder
from trainer.saved_weights import SavedWeights
from trainer.search import LearnedSearch
from trainer.tasks.candidates import candidate_loss, margin_loss

CLS, SEP = 101, 102


def test_the_losses_are_those_of_plain_loops() -> None:
    generator = np.random.default_rng(0)
    logits, weights = generator.normal(size=(6, 4)).astype(np.float32), generator.uniform(0.5, 3, 6).astype(np.float32)
    present = generator.random((6, 4)) < 0.6
    present[:, 0] = True
    summed = 0.0
    for line, weight in enumerate(weights):
        there = [np.exp(value) for value, flag in zip(logits[line], present[line], strict=True) if flag]
        summed -= weight * np.log(np.exp(logits[line, 0]) / sum(there))
    found = candidate_loss(tf.constant(logits), present=tf.constant(present), weights=tf.constant(weights))
    assert float(found) == pytest.approx(summed / weights.sum(), abs=1e-5)
    margins, taught = logits[:, 0], logits[:, 1]
    expected = sum(w * (m - t) ** 2 for w, m, t in zip(weights, margins, taught, strict=True)) / weights.sum()
    assert float(margin_loss(margins, taught, weights=tf.constant(weights))) == pytest.approx(expected, abs=1e-5)
    nothing = tf.zeros([0])
    assert float(margin_loss(nothing, nothing, weights=nothing)) == 0.0


def test_two_texts_are_one_sequence() -> None:
    first = tf.constant([[CLS, 5, 6, SEP, 0, 0, 0, 0], [CLS, 1, 2, 3, 4, 5, 6, SEP]])
    second = tf.constant([[CLS, 7, SEP, 0, 0, 0, 0], [CLS, 11, 12, 13, 14, 15, SEP]])
    tokens, segments = paired(first, second, 8)
    assert tokens.numpy().tolist() == [[CLS, 5, 6, SEP, 7, SEP, 0, 0], [CLS, 1, 2, SEP, 11, 12, 13, SEP]]
    assert segments.numpy().tolist() == [[0, 0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1]]


def test_negatives_are_drawn_from_what_there_is() -> None:
    pool = np.array([[4, 5, -1, 6], [-1, -1, -1, -1], [7, 9, 8, 7]])
    rows, texts = np.arange(3), np.array(["t"] * 10, object)
    pairs = TextPairs(texts, rows, np.array([0, 1, 7]), pool, rows, pool, np.ones(3, np.float32))
    found = candidates(pairs, 2, np.random.default_rng(1))
    assert found[:, 0].tolist() == [0, 1, 7]
    assert set(found[0, 1:]) < {4, 5, 6}
    assert found[1, 1:].tolist() == [-1, -1]
    assert set(found[2, 1:]) == {8, 9}  # what says the same as the right text is none


def by_item(depth: int, share: float, values: list[float]) -> Reranker:
    """A re-ranker whose network says `values` of the items."""
    tokens = np.stack([np.full(len(values), CLS), np.arange(len(values)) + 1, np.full(len(values), SEP)], axis=1)
    known = tf.constant([0.0, *values])

    def score(sequences: tf.Tensor, _segments: tf.Tensor) -> tf.Tensor:
        return tf.gather(known, sequences[:, -2])

    return Reranker(RerankConfig(depth=depth, share=share), score, weights=[], item_tokens=tokens)


NUMBERS = st.lists(st.floats(-1, 1, width=16), min_size=12, max_size=12)


@settings(max_examples=80, deadline=None)
@given(before=NUMBERS, says=NUMBERS, allowed=st.lists(st.booleans(), min_size=12, max_size=12), share=st.floats(0.1, 1))
def test_only_the_best_of_what_is_allowed_change_places(
    before: list[float], says: list[float], allowed: list[bool], share: float
) -> None:
    scores, may = np.array([before], np.float32), np.array([allowed])
    reranker = by_item(5, share, says)
    after = reranker(tf.constant(scores), tf.constant(may), tf.constant([[CLS, 3, SEP]])).numpy()
    order = [row for row in np.argsort(-scores[0], kind="stable") if may[0, row]]
    top, others = order[:5], [row for row in range(12) if row not in order[:5]]
    np.testing.assert_array_equal(after[0, others], scores[0, others])
    if top:
        assert after[0, top].max() == pytest.approx(scores[0, top].max(), abs=1e-6)
        assert all(after[0, top].min() >= scores[0, row] - 1e-6 for row in order[5:])
    if share == 1.0 and top and np.ptp(scores[0, top]) > 0:
        ranked = np.argsort(-after[0, top], kind="stable")
        assert np.all(np.diff(np.array(says)[top][ranked]) <= 1e-6)


def test_the_share_says_how_much_the_network_counts() -> None:
    before, says = tf.constant([[1.0, 0.9, 0.5, 0.0]]), [0.0, 0.2, 1.0, 0.0]
    asked = tf.constant([[CLS, 3, SEP]])
    orders = [
        np.argsort(-by_item(3, share, says)(before, tf.constant([[True]]), asked).numpy()[0]).tolist()
        for share in (0.1, 1.0)
    ]
    assert orders == [[0, 1, 2, 3], [2, 1, 0, 3]]


def reranked(config: Config, **values: object) -> Config:
    rerank = {"enabled": True, "layers": 2, "sequence_length": 32, "epochs": 10, "learning_rate": 3e-4, **values}
    search = config.search.model_copy(update={"rerank": RerankConfig.model_validate(rerank)})
    return config.model_copy(update={"search": search})


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop whose descriptions say the title again, in other words around it."""
    folder = tmp_path_factory.mktemp("plain_words")
    ids = [f"i{row:03}" for row in range(len(ITEMS))]
    titles = [f"{colour} {thing} {'deluxe' if place else ''}" for colour, thing, place in ITEMS]
    descriptions = [f"a {colour} {thing} of our house {place}" for colour, thing, place in ITEMS]
    pq.write_table(pa.table({"item_id": ids, "title": titles, "description": descriptions}), folder / "items.parquet")
    return folder


def pairs_of(folder: Path, items: Catalogue, config: Config) -> tuple[TextPairs, TextPairs]:
    texts = read_item_texts(str(folder), list(items.ids), config.search)
    assert texts is not None
    pairs = read_pairs(texts, items, str(folder), config, pool=10)
    return held_out(pairs, config.adaptation.held_out_share, config.seed)


@needs_minilm
@pytest.mark.slow
def test_held_out_pairs_are_told_apart_better_and_all_that_reads_has_learned(
    tables: Path,
    catalogue: Catalogue,  # noqa: F811
    tmp_path: Path,
) -> None:
    config = reranked(config_of("lora", clicks=False))
    folders = {"cache": tmp_path, "board": tmp_path / "board"}
    network = learned_cross_encoder(config, catalogue, str(tables), tokenise=tokenise, **folders)
    published = new_cross_encoder(config)
    learned, measured = pairs_of(tables, catalogue, config)
    tokens = tokenise(learned.texts.tolist())
    given = {"tokens": tokens, "config": config.search.rerank, "seed": config.seed}
    before, after = (CrossLearning(each, learned, measured, **given).accuracy() for each in (published, network))
    assert after > before + 0.15, (before, after)
    same = [
        variable.path
        for variable, old in zip(network.own_variables, published.own_variables, strict=True)
        if np.array_equal(variable.numpy(), old.numpy())
    ]
    assert same == []
    assert not any("transformer_layer_2" in variable.path for variable in network.own_variables)
    again = learned_cross_encoder(config, catalogue, str(tables), tokenise=tokenise, **folders)
    assert len(list(tmp_path.glob("cross-encoder-*.npz"))) == 1
    np.testing.assert_array_equal(again.head.kernel.numpy(), network.head.kernel.numpy())


@needs_minilm
@pytest.mark.slow
def test_the_saved_model_reads_the_best_items_again(served_shop: ServedShop, tmp_path: Path) -> None:
    config = reranked(served_shop.config, layers=1, depth=10, share=1.0)
    network = new_cross_encoder(config)
    search = LearnedSearch(reranker=make_reranker(network, served_shop.catalogue, config))
    served_shop.export(tmp_path / "1", config=config, search=search)
    asked = {"query": ["green things"], "timestamp": [9], "k": [48]}
    plain, read = (ExportedModel(str(folder)).ask("search", asked) for folder in (served_shop.folder, tmp_path / "1"))
    assert set(plain["item_ids"][0, :10]) == set(read["item_ids"][0, :10])
    np.testing.assert_array_equal(plain["item_ids"][0, 10:], read["item_ids"][0, 10:])
    rows = np.array([int(each[1:]) for each in read["item_ids"][0, :10]])
    query = tokenise(["green things"])
    pairs = paired(tf.repeat(query, 10, axis=0), tf.constant(served_shop.catalogue.texts[rows]), 32)
    assert np.all(np.diff(network(*pairs).numpy()) <= 1e-5)
    assert _reranker(SavedWeights(tmp_path / "1"), config, served_shop.catalogue) is not None
    assert _reranker(SavedWeights(served_shop.folder), config, served_shop.catalogue) is None
