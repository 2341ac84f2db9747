"""Search by words without towers: words, BM25 beside the library, spelling, exact matches, and what joins them."""

import gzip
import json
from pathlib import Path

import bm25s
import numpy as np
import pytest
import Stemmer
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from shop_tables import write_items
from word_lines import lists

from pipeline.config import SearchConfig
from trainer.index import ExactIndex
from trainer.lexical.fusion import Found, Fusion, FusionWeights
from trainer.lexical.search import WordSearch
from trainer.lexical.spelling import Spelling
from trainer.lexical.texts import ItemTexts, read_item_texts
from trainer.lexical.vocabulary import Vocabulary
from trainer.lexical.words import MOST_CHARACTERS, codes, shortened, words

ESCI = Path(__file__).parents[2] / "../shared/data/esci/products.jsonl.gz"
ITEMS = [
    ("b001", "Red running shoes for women, size 10", "Alba", "Shoes > Running"),
    ("b002", "Running shoes, blue", "Alba", "Shoes > Running"),
    ("b003", "Over-ear headphones WH-1000XM4", "Sonar", "Audio"),
    ("b004", "Case for WH-1000XM4 headphones, red", "Casa", "Audio > Cases"),
    ("b005", 'Kitchen knife 12"', "Berg", "Kitchen"),
    ("b006", "Kitchen knives, set of 5, with a red shoe horn", "Berg", "Kitchen"),
    ("12345678", "Women's slippers", "Alba", "Shoes > Slippers"),
    ("b008", "Café chairs: slippers beside", "", "Garden"),
]
DIMENSION = 6


def _texts(config: SearchConfig) -> ItemTexts:
    columns = dict(
        zip(
            ("title", "brand", "category"),
            (np.array(each, object) for each in list(zip(*ITEMS, strict=True))[1:]),
            strict=True,
        )
    )
    ids = np.array([item[0] for item in ITEMS], object)
    return ItemTexts(ids, columns, (config.texts[0],))


@pytest.fixture(scope="module")
def search() -> WordSearch:
    config = SearchConfig()
    return WordSearch(config, _texts(config))


def _rank(search: WordSearch, query: str, seed: int = 0) -> list[str]:
    """Ids of the items, best first; what the towers say is by chance."""
    generator = np.random.default_rng(seed)
    index = ExactIndex(_unit(generator.normal(size=(len(ITEMS), DIMENSION))))
    typed = tf.constant([query])
    scores = _fused(search, typed, tf.constant(_unit(generator.normal(size=(1, DIMENSION)))), index)
    return [ITEMS[row][0] for row in np.argsort(-scores.numpy()[0], kind="stable")]


def _fused(search: WordSearch, typed: tf.Tensor, vectors: tf.Tensor, index: ExactIndex) -> tf.Tensor:
    fusion = Fusion(SearchConfig(), FusionWeights.fixed(SearchConfig(), search.size))
    found = search.find(search.read(typed), typed)
    return fusion.scores(fusion.relevance(found, vectors, index), found, vectors, index)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _words(text: str | bytes) -> list[str]:
    return lists(words(tf.constant([text])))[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\n", []),
        ("X", ["x"]),
        ("Women\u2019s & men's", ["womens", "mens"]),
        ("<b>Café</b>&nbsp;ÉCLAIR", ["cafe", "eclair"]),
        ("size < 10 and > 5", ["size", "10", "and", "5"]),
        ('12" 12in 12-inch 12 inches', ["12", "inch"] * 4),
        ("10 in 1", ["10", "in", "1"]),
        ("1,000 1/2 ½ 1.75", ["1000", "1/2", "1/2", "1.75"]),
        ("200mg, 200 MG", ["200", "mg", "200", "mg"]),
        ("red_shoe~horn", ["red", "shoe", "horn"]),
        ("😀 ok", ["ok"]),
        ("靴子shoe", ["靴", "子", "shoe"]),
        ("Straße обувь", ["strasse", "обувь"]),
        (b"\xff\xfe red", ["red"]),
    ],
)
def test_texts_become_words(text: str | bytes, expected: list[str]) -> None:
    assert _words(text) == expected


@settings(max_examples=40, deadline=None)
@given(st.one_of(st.text(max_size=60), st.binary(max_size=60)))
def test_any_text_becomes_clean_words(text: str | bytes) -> None:
    cut = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    for word in words(shortened(tf.constant([cut]))).values.numpy():
        assert word
        assert not set(word.decode()) & set(" \t\n<>_~'\"")


def test_long_queries_are_cut() -> None:
    assert len(shortened(tf.constant(["é" * 10_000])).numpy()[0].decode()) == MOST_CHARACTERS
    assert lists(codes(tf.constant(["WH-1000XM4, (B07/x)"]))) == [["wh1000xm4", "b07x"]]


def _library(documents: list[list[str]], queries: list[list[str]], stemmer: Stemmer.Stemmer) -> np.ndarray:
    """BM25 of documents by the library, [queries, documents]."""
    stemmed = [stemmer.stemWords(each) for each in documents]
    index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    index.index(stemmed, show_progress=False)
    scores = np.zeros((len(queries), len(documents)), np.float32)
    for line, query in enumerate(queries):
        known = [stem for stem in stemmer.stemWords(query) if stem in index.vocab_dict]
        if known:
            scores[line] = index.get_scores(known)
    return scores


def _without_stop_words(texts: list[str]) -> list[list[str]]:
    return [
        [word for word in line if word not in bm25s.stopwords.STOPWORDS_EN] for line in lists(words(tf.constant(texts)))
    ]


def test_scores_are_those_of_the_library(search: WordSearch) -> None:
    queries = ["red shoes", "shoe shoe", "a knife with horns", "nothing known xyz", "", "slipper for woman 12in"]
    documents = _without_stop_words([f"{title} {brand} {category}" for _, title, brand, category in ITEMS])
    expected = _library(documents, _without_stop_words(queries), Stemmer.Stemmer("english"))
    [found] = search.document_scores(search.read(tf.constant(queries)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert (expected[[0, 1, 2, 5]] > 0).any(axis=1).all()


def test_scores_are_those_of_the_library_on_real_products() -> None:
    if not ESCI.is_file():
        pytest.skip(f"{ESCI} is not there: a clone of the project does not bring the real tables")
    with gzip.open(ESCI, "rt", encoding="utf-8") as file:
        titles = [json.loads(line)["title"] for line in file][:3_000]
    config = SearchConfig(texts=(("title",),), correct_spelling=False)
    ids = np.array([f"i{row}" for row in range(len(titles))], object)
    search = WordSearch(config, ItemTexts(ids, {"title": np.array(titles, object)}, config.texts))
    queries = [" ".join(title.split()[1:4]) for title in titles[::100]]
    expected = _library(_without_stop_words(titles), _without_stop_words(queries), Stemmer.Stemmer("english"))
    [found] = search.document_scores(search.read(tf.constant(queries)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    assert (expected.max(axis=1) > 0).all()


def test_unwritten_forms_of_a_word_are_found(search: WordSearch) -> None:
    found = lists(search.read(tf.constant(["slipper", "slippers", "headphone", "headphones"])).stems)
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert min(found[0][0], found[2][0]) >= 0


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("B003", {"b003"}),
        ("12345678", {"12345678"}),
        ("wh1000xm4", {"b003", "b004"}),
        ("headphones WH-1000XM4", {"b003", "b004"}),
        ("sonar", {"b003"}),
        ("women's SLIPPERS", {"12345678"}),
        ("running shoes", {"b001", "b002"}),
        ("cafe chair", {"b008"}),
        ('kitchen knife 12"', {"b005"}),
    ],
)
def test_what_names_an_item_wins(search: WordSearch, query: str, first: set[str]) -> None:
    for seed in range(5):
        assert set(_rank(search, query, seed)[: len(first)]) == first


def test_matched_words_are_those_of_the_item(search: WordSearch) -> None:
    query = search.read(tf.constant(["a red SHOE zzzzz", "", "runing knives"]))
    rows = tf.constant([[0, 1, 5, 2, -1], [0, 1, 2, 3, 4], [5, 0, 7, -1, 1]], tf.int64)
    found = [[each.decode() for each in line] for line in search.matched(query, rows).numpy()]
    assert found == [["red shoe", "shoe", "red shoe", "", ""], [""] * 5, ["knives", "running", "", "", "running"]]


def test_words_that_stand_apart_are_no_phrase(search: WordSearch) -> None:
    query = search.read(tf.constant(["red shoe horn", "red horn", "shoe zzzz"]))
    found = search.find(query, tf.constant(["", "", ""])).named.numpy()
    assert found.sum(axis=1).tolist() == [1, 0, 0]
    assert found[0, 5]


def test_misspelt_words_are_read_as_the_nearest() -> None:
    names = ["running", "slippers", "slipper", "shoes", "knife", "once", "wh1000"]
    counts = np.array([9, 9, 4, 9, 9, 1, 9])
    vocabulary = Vocabulary(names, counts, np.arange(7), 7, {}, frozenset())
    typed = [
        "runing",
        "runnning",
        "runninh",
        "rnuning",
        "slppers",
        "shoez",
        "onec",
        "wh1001",
        "abc",
        "qqqqqq",
        "running",
    ]
    stems = [-1] * 10 + [0]
    found = Spelling(vocabulary).corrected(tf.constant(typed), tf.constant(stems, tf.int64))
    expected = ["running"] * 4 + ["slippers", "shoes", "onec", "wh1001", "abc", "qqqqqq", "running"]
    assert [each.decode() for each in found.numpy()] == expected
    nothing = Spelling(Vocabulary([], np.zeros(0, np.int64), np.zeros(0, np.int64), 0, {}, frozenset()))
    assert nothing.corrected(tf.constant(["runing"]), tf.constant([-1], tf.int64)).numpy().tolist() == [b"runing"]


def test_only_misspelt_queries_are_rewritten() -> None:
    config = SearchConfig()
    texts = _texts(config)
    twice = WordSearch(config, ItemTexts(texts.ids, texts.columns, texts.documents))
    read = twice.read(tf.constant(["Red RUNING shoes!", "Red running shoes!"])).texts.numpy().tolist()
    assert read == [b"red running shoes", b"Red running shoes!"]


def test_without_words_the_towers_decide(search: WordSearch) -> None:
    index = ExactIndex(_unit(np.random.default_rng(0).normal(size=(len(ITEMS), DIMENSION))))
    vectors = tf.constant(_unit(np.random.default_rng(1).normal(size=(3, DIMENSION))))
    typed = tf.constant(["", "😀", "red shoes"])
    scores = _fused(search, typed, vectors, index).numpy()
    np.testing.assert_allclose(scores[:2], index.scores(vectors)[:2], rtol=0, atol=1e-6)
    assert not np.allclose(scores[2], index.scores(vectors)[2], atol=1e-2)
    alone = _fused(search, typed[2:], vectors[2:], index).numpy()
    np.testing.assert_allclose(scores[2], alone[0], rtol=0, atol=1e-6)


SCORES = st.lists(st.floats(-1, 1, width=32), min_size=DIMENSION, max_size=DIMENSION)


@settings(max_examples=60, deadline=None)
@given(query=SCORES, liked=SCORES, seed=st.integers(0, 5), bound=st.sampled_from([0.0, 0.05, 0.3]))
def test_who_asks_shifts_only_what_is_relevant(query: list[float], liked: list[float], seed: int, bound: float) -> None:
    generator = np.random.default_rng(seed)
    index = ExactIndex(_unit(generator.normal(size=(30, DIMENSION))))
    words = tf.constant(generator.choice([0.0, 0.0, 0.5, 1.0], (1, 30)), tf.float32)
    found = Found((words,), tf.zeros([1, 30], tf.bool), tf.constant([True]))
    config = SearchConfig(personal_bound=bound)
    fusion = Fusion(config, FusionWeights.fixed(config, 1))
    vectors = tf.math.l2_normalize(tf.constant([query], tf.float32) + 0.01, axis=1)
    relevance = fusion.relevance(found, vectors, index)
    plain = relevance.numpy()[0]
    asked = tf.math.l2_normalize(vectors + tf.constant([liked], tf.float32), axis=1)
    scores = fusion.scores(relevance, found, vectors, index, asked).numpy()[0]
    relevant = fusion.relevant(tf.constant([plain]), found).numpy()[0]
    assert np.abs(scores - plain).max() <= bound + 1e-6
    np.testing.assert_array_equal(scores[~relevant], plain[~relevant])
    if relevant.any() and not relevant.all():
        assert scores[relevant].min() >= plain[~relevant].max() - 1e-6
    np.testing.assert_allclose(fusion.scores(relevance, found, vectors, index, vectors).numpy()[0], plain, atol=1e-6)


def test_texts_are_those_of_the_table(tmp_path: Path) -> None:
    config = SearchConfig()
    write_items(
        tmp_path, [{"item_id": "b", "title": "t1", "brand": "", "category": ""}, {"item_id": "a", "title": "t2"}]
    )
    found = read_item_texts(str(tmp_path), ["a", "b"], config)
    assert found is not None
    assert found.columns["title"].tolist() == ["t2", "t1"]
    assert found.documents == (("title",),)  # both texts of the configuration come to that
    assert found.column("brand").tolist() == ["", ""]
    with pytest.raises(ValueError, match="item 'c' is missing"):
        read_item_texts(str(tmp_path), ["c"], config)
    write_items(tmp_path, [{"item_id": "a", "title": " "}])
    assert read_item_texts(str(tmp_path), ["a"], config) is None


def test_the_section_names_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="'colour' is no text column"):
        SearchConfig(texts=(("title", "colour"),))
    with pytest.raises(ValueError, match="holds no word"):
        SearchConfig(texts=(("title",), ()))
