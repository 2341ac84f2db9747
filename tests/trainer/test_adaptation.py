"""The encoder learns a shop's own language from pairs of its texts: what may learn does, and held-out pairs show it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from test_encoders import needs_minilm

from pipeline.config import Config, parse_config
from pipeline.text import token_ids
from trainer.adaptation.learning import Learning, foreign
from trainer.adaptation.pairs import TextPairs, held_out, read_pairs
from trainer.adaptation.stage import adapted_weights
from trainer.catalogue import Catalogue
from trainer.encoders.bert import merged_weights
from trainer.encoders.text import load_encoder
from trainer.lexical.texts import read_item_texts

# The shop's own words for colours and things, which no encoder can know.
COLOURS = {"red": "zorbo", "blue": "minta", "green": "quella", "black": "tarvi", "white": "lobux", "yellow": "peshi"}
THINGS = {"shoe": "gronk", "lamp": "fisel", "knife": "wadda", "rose": "urtil", "chair": "bemmo", "kite": "snolp"}
ITEMS = [(colour, thing, place) for place in range(2) for colour in COLOURS for thing in THINGS]
DAY = 1_600_000_000


def config_of(mode: str, **values: object) -> Config:
    adaptation = {"mode": mode, "texts": ["description"], "batch_size": 12, "sequence_length": 16}
    paces = {"lora": {"learning_rate": 5e-3, "epochs": 6}, "full": {"learning_rate": 2e-4, "epochs": 2}}
    adaptation |= {"held_out_share": 0.25, **paces[mode], **values}
    return parse_config(
        {
            "name": "own_words",
            "tables": {"events": {"path": "none"}, "items": {"path": "none"}},
            "split": {"test_start": "2020-09-20", "validation_days": 1, "truth_events": ["click"]},
            "adaptation": adaptation,
        }
    )


def tokenise(texts: list[str]) -> np.ndarray:
    encoder = config_of("lora").encoder.model_copy(update={"sequence_length": 24})
    return token_ids(tf.constant(texts)[:, tf.newaxis], encoder).numpy().astype(np.int32)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own_words")
    titles = [f"{COLOURS[colour]} {THINGS[thing]} {'deluxe' if place else ''}" for colour, thing, place in ITEMS]
    descriptions = [f"a {colour} {thing} of our house {place}" for colour, thing, place in ITEMS]
    ids = [f"i{row:03}" for row in range(len(ITEMS))]
    pq.write_table(pa.table({"item_id": ids, "title": titles, "description": descriptions}), folder / "items.parquet")
    (folder / "events").mkdir()
    events = {
        "item_id": ["i000", "i001", "i002", "gone", "i003", "i004"],
        "query": ["red shoe", "red lamp", "", "red", "late", "viewed"],
        "timestamp": [DAY, DAY, DAY, DAY, DAY + 86_400 * 30, DAY],
        "event_type": ["click"] * 5 + ["view"],
        "position": [0.0, 4.0, 1.0, 1.0, 1.0, 1.0],
    }
    pq.write_table(pa.table(events), folder / "events" / "bucket-00000.parquet")
    return folder


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    ids = np.array([f"i{row:03}" for row in range(len(ITEMS))], object)
    return Catalogue(ids, ids, None, {})


def pairs_of(tables: Path, catalogue: Catalogue, config: Config) -> TextPairs:
    texts = read_item_texts(str(tables), list(catalogue.ids), config.search)
    assert texts is not None
    return read_pairs(texts, catalogue, str(tables), config, pool=10)


def test_pairs_are_texts_of_an_item_and_searches_with_what_was_chosen(tables: Path, catalogue: Catalogue) -> None:
    pairs = pairs_of(tables, catalogue, config_of("lora"))
    assert len(pairs) == len(ITEMS) + 2
    said = [(pairs.texts[a], pairs.texts[p]) for a, p in zip(pairs.anchors, pairs.positives, strict=True)]
    assert ("zorbo gronk ", "a red shoe of our house 0") in said
    assert said[-2:] == [("red shoe", "zorbo gronk"), ("red lamp", "zorbo fisel")]
    assert pairs.weights.tolist() == [1.0] * (len(ITEMS) + 1) + [5.0]  # the fifth place is looked at a fifth as often
    flat = config_of("lora", position_power=0.0)
    assert set(pairs_of(tables, catalogue, flat).weights) == {1.0}
    assert len(pairs_of(tables, catalogue, config_of("lora", clicks=False, max_pairs=7))) == 7


def test_negatives_share_words_and_are_never_of_the_item(tables: Path, catalogue: Catalogue) -> None:
    pairs = pairs_of(tables, catalogue, config_of("lora", clicks=False))
    there = pairs.negatives >= 0
    assert there.any(axis=1).all()
    assert (pairs.negative_items != pairs.items[:, np.newaxis]).all()
    for anchor, negatives in zip(pairs.anchors[:20], pairs.negative_items[:20], strict=True):
        words = set(pairs.texts[anchor].split())
        for item in negatives[negatives >= 0]:
            colour, thing, _ = ITEMS[item]
            assert words & {COLOURS[colour], THINGS[thing], "deluxe"}


def test_held_out_pairs_are_of_other_items(tables: Path, catalogue: Catalogue) -> None:
    learned, measured = held_out(pairs_of(tables, catalogue, config_of("lora")), 0.25, seed=3)
    assert len(measured) >= len(ITEMS) // 4
    assert not set(learned.items) & set(measured.items)


def test_the_same_text_of_another_item_is_no_negative() -> None:
    nothing = np.zeros((2, 0), np.int64)
    items, texts = np.array([4, 5]), np.array([9, 8])
    pairs = TextPairs(np.array(["t"] * 10, object), texts, texts, nothing, items, nothing, np.ones(2, np.float32))
    found = foreign(pairs, np.array([9, 8, 9, 3, 3]), np.array([4, 5, 7, 4, 6]))
    assert found.tolist() == [[False, True, False, False, True], [True, False, True, True, True]]


@needs_minilm
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["lora", "full"])
def test_what_may_learn_learns_and_held_out_pairs_are_told_apart_better(
    mode: str, tables: Path, catalogue: Catalogue, tmp_path: Path
) -> None:
    config = config_of(mode)
    file = adapted_weights(config, catalogue, str(tables), tokenise=tokenise, cache=tmp_path, board=tmp_path / "board")
    assert file is not None
    published = merged_weights(load_encoder(config.encoder))
    adapted = load_encoder(config.encoder, weights=file)
    moved = {path for path, value in merged_weights(adapted).items() if np.any(value != published[path])}
    kernels = {path for path in published if "attention_layer/query/kernel" in path or "layer/value/kernel" in path}
    assert moved == kernels if mode == "lora" else len(moved) == len(published)
    learned, measured = held_out(pairs_of(tables, catalogue, config), 0.25, config.seed)
    before, after = (
        Learning(each, learned, measured, config, tokenise=tokenise).accuracy()
        for each in (load_encoder(config.encoder), adapted)
    )
    assert after.among_all > before.among_all + 0.15, (before, after)
    again = adapted_weights(config, catalogue, str(tables), tokenise=tokenise, cache=tmp_path, board=tmp_path / "board")
    assert again == file
    assert not adapted.trainable_variables
    assert adapted(tf.constant([[101, 2417, 102]])).shape == (1, 384)


def margins(score: Callable[[np.ndarray, np.ndarray], tf.Tensor], pairs: TextPairs) -> np.ndarray:
    """By how much the right texts of pairs are liked more than their first hard negatives."""
    texts = (tokenise(pairs.texts[each].tolist()) for each in (pairs.anchors, pairs.positives, pairs.negatives[:, 0]))
    anchors, right, wrong = texts
    return (score(anchors, right) - score(anchors, wrong)).numpy()


def likes_zeros(_anchors: np.ndarray, texts: np.ndarray) -> tf.Tensor:
    """A teacher that likes whatever says "0"."""
    zero = tokenise(["0"])[0, 1]
    return 4.0 * tf.cast((texts == zero).any(axis=1), tf.float32)


@needs_minilm
@pytest.mark.slow
def test_the_encoder_learns_the_margins_of_its_teacher(tables: Path, catalogue: Catalogue) -> None:
    config = config_of("lora", distil=1.0, clicks=False, epochs=5)
    learned, measured = held_out(pairs_of(tables, catalogue, config), 0.25, config.seed)
    taught, agreed = margins(likes_zeros, measured), {}
    for teacher in (None, likes_zeros):
        encoder = load_encoder(config.encoder.model_copy(update={"mode": "lora"}))
        learning = Learning(encoder, learned, measured, config, tokenise=tokenise, teacher=teacher)
        for epoch in range(5):
            learning.train(epoch)

        def score(anchors: np.ndarray, texts: np.ndarray, encoder: Any = encoder) -> tf.Tensor:
            return tf.reduce_sum(encoder(anchors) * encoder(texts), axis=1) / config.adaptation.temperature

        agreed[teacher] = np.corrcoef(margins(score, measured), taught)[0, 1]
    assert agreed[likes_zeros] > agreed[None] + 0.2, agreed


@needs_minilm
def test_an_encoder_that_nothing_betters_stays(tables: Path, catalogue: Catalogue, tmp_path: Path) -> None:
    config = config_of("lora", learning_rate=1e-12, epochs=1, max_pairs=12)
    assert (
        adapted_weights(config, catalogue, str(tables), tokenise=tokenise, cache=tmp_path, board=tmp_path / "board")
        is None
    )
    assert len(list(tmp_path.glob("adapted-*.npz"))) == 1  # known the next time


def test_distillation_needs_hard_negatives() -> None:
    with pytest.raises(ValueError, match="set 'hard_negatives' to 1 or more"):
        config_of("lora", distil=1.0, hard_negatives=0)


def test_without_pairs_the_error_says_what_to_do(tables: Path, catalogue: Catalogue, tmp_path: Path) -> None:
    config = config_of("lora", texts=["brand"], clicks=False)
    with pytest.raises(ValueError, match="no two items have a text in 'title' and in one of brand"):
        adapted_weights(config, catalogue, str(tables), tokenise=tokenise, cache=tmp_path, board=tmp_path / "board")
