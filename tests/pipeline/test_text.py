"""Token ids, against the tokenizer that the published encoder was trained with."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tokenizers import Tokenizer

from pipeline.config import EncoderConfig, encoder_source
from pipeline.text import preset_tokenizer, token_ids

ENCODER = EncoderConfig(sequence_length=64)
PRODUCTS = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "esci" / "products.jsonl.gz"
# Accents, case, CJK, scripts, punctuation, controls: where tokenizers part.
HARD = (
    "Café crème brûlée, naïve façade",  # composed
    "cafe\u0301 cre\u0300me",  # combining
    "ÜBERGRÖSSE señor Åse",
    "日本語のタイトル 東京 漢字かな",
    "한국어 제목",
    "Привет мир العربية हिन्दी",
    "emoji 😀🎉 shirt",
    '100% cotton!!! (pack-of-2), $5.99 & more... "x" a_b c/d #tag @x e\\f',
    "  spaces\t\ttabs\nnewline ",
    "\u00a0nbsp zero\u200bwidth",
    "don't won't it's",
    "a" * 300,
    "",
)


@pytest.fixture(scope="module")
def published() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(Path(encoder_source(ENCODER)) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(ENCODER.sequence_length)
    return tokenizer


def padded(published: Tokenizer, texts: list[str]) -> np.ndarray:
    ids = [encoding.ids for encoding in published.encode_batch(texts)]
    return np.array([row + [0] * (ENCODER.sequence_length - len(row)) for row in ids])


def ours(texts: list[str], encoder: EncoderConfig = ENCODER) -> np.ndarray:
    function = tf.function(lambda column: token_ids(column, encoder), autograph=False)
    return function(tf.constant([[text] for text in texts])).numpy()


def test_hard_texts_get_the_published_ids(published: Tokenizer) -> None:
    assert ours(list(HARD)).tolist() == padded(published, list(HARD)).tolist()


def test_real_titles_get_the_published_ids(published: Tokenizer) -> None:
    if not PRODUCTS.exists():
        pytest.skip(f"{PRODUCTS} is not there: the ESCI sample does not come with the project")
    with gzip.open(PRODUCTS, "rt", encoding="utf-8") as lines:
        products = [json.loads(line) for line in lines]
    titles = [" ".join(str(product.get(part) or "") for part in ("title", "brand", "color")) for product in products]
    got, want = ours(titles), padded(published, titles)
    same = (got == want).all(axis=1)
    # The rest are compatibility characters (full-width brackets, fractions), which TensorFlow Text decomposes.
    assert same.mean() > 0.97
    # The tokenizer that KerasNLP makes of the same folder keeps accents, and so knows fewer words.
    unknown = preset_tokenizer(encoder_source(ENCODER)).token_to_id("[UNK]")
    assert (got == unknown).sum() <= (want == unknown).sum()


def test_a_long_text_is_cut_before_its_end_token() -> None:
    (ids,) = ours(["red running shoes " * 10], EncoderConfig(sequence_length=8))
    start, end = 101, 102
    assert ids.tolist()[0] == start
    assert ids.tolist()[-1] == end
    assert len(ids) == 8
    assert not np.isin(ids[1:-1], [0, start, end]).any()


def test_special_tokens_in_a_text_are_words_like_others() -> None:
    (ids,) = ours(["[SEP] [CLS] [PAD]"])
    assert np.flatnonzero(np.isin(ids, [101, 102])).tolist() == [0, np.flatnonzero(ids)[-1]]


def test_the_graph_has_no_op_that_keeps_it_from_running_as_part_of_the_graph_around_it() -> None:
    function = tf.function(lambda column: token_ids(column, ENCODER), autograph=False)
    graph = function.get_concrete_function(tf.TensorSpec([None, 1], tf.string)).graph
    assert [op.type for op in graph.get_operations() if op.op_def.is_stateful and op.type != "Placeholder"] == []
