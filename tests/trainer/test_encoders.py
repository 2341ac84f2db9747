"""The pretrained encoders: the real MiniLM in its three modes, a SavedModel, the cache."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from planted import WordBag, save_word_bag

from pipeline.config import models_folder
from pipeline.config.model import EncoderConfig
from trainer.encoders.batching import BatchEncoder, trim_padding
from trainer.encoders.cache import VectorCache, content_keys, fingerprint
from trainer.encoders.text import load_encoder
from trainer.texts import TextVectors

MINILM = models_folder() / "all-minilm-l6-v2"
needs_minilm = pytest.mark.skipif(not MINILM.is_dir(), reason=f"{MINILM} is missing: run `make setup`")
TEXTS = ("red running shoes", "sneakers for jogging", "kitchen knife")


def tokenise(texts: tuple[str, ...], length: int) -> np.ndarray:
    """Token ids by the longest matching pieces, for lower-case words."""
    pieces = {piece: number for number, piece in enumerate((MINILM / "vocab.txt").read_text().splitlines())}
    rows = np.zeros((len(texts), length), np.int32)
    for row, text in zip(rows, texts, strict=True):
        ids = [pieces["[CLS]"]]
        for word in text.split():
            start = 0
            while start < len(word):
                prefix = "##" if start else ""
                end = next(end for end in range(len(word), start, -1) if prefix + word[start:end] in pieces)
                ids.append(pieces[prefix + word[start:end]])
                start = end
        ids.append(pieces["[SEP]"])
        row[: len(ids)] = ids
    return rows


@needs_minilm
def test_minilm_knows_what_is_alike() -> None:
    encoder = load_encoder(EncoderConfig())
    vectors = encoder(tf.constant(tokenise(TEXTS, 12))).numpy()
    assert vectors[0] @ vectors[1] == pytest.approx(0.683, abs=0.002)
    assert vectors[0] @ vectors[2] == pytest.approx(0.150, abs=0.002)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert not encoder(tf.zeros([1, 4], tf.int32)).numpy().any()
    assert not encoder.trainable_variables


@needs_minilm
def test_sorted_trimmed_bfloat16_batches_say_the_same(tmp_path: Path) -> None:
    tokens = tokenise((*TEXTS, "knife", "a very long name of a garden chair of red wood"), 48)
    config = EncoderConfig(batch_size=2)
    exact = load_encoder(config)
    fast = TextVectors(config, exact, tmp_path).encode(tokens)
    assert (fast * exact(tf.constant(tokens)).numpy()).sum(axis=1) == pytest.approx(np.ones(5), abs=1e-3)


def test_padding_is_cut_to_a_multiple_of_eight() -> None:
    tokens = np.zeros((2, 48), np.int32)
    tokens[0, :9] = 1
    assert trim_padding(tokens).shape == (2, 16)
    assert trim_padding(tokens[1:]).shape == (1, 8)
    assert trim_padding(np.array(["a"], object)).tolist() == ["a"]


def test_a_saved_model_encodes_strings_and_stays_in_the_model_that_is_saved(tmp_path: Path) -> None:
    encoder = load_encoder(EncoderConfig(kind="tensorflow_hub", preset=save_word_bag(tmp_path / "hub")))
    texts = tf.constant(["red shoe", "shoe red", "lamp"])
    vectors = encoder(texts).numpy()
    expected = WordBag()(texts).numpy()
    assert vectors == pytest.approx(expected / np.linalg.norm(expected, axis=1, keepdims=True), abs=1e-6)
    assert encoder.width == 24
    assert not encoder.trainable_variables

    module = tf.Module()
    module.encoder = encoder
    module.run = tf.function(
        lambda strings: encoder(strings, training=False), input_signature=[tf.TensorSpec([None], tf.string)]
    )
    tf.saved_model.save(module, str(tmp_path / "saved"))
    assert (tf.saved_model.load(str(tmp_path / "saved")).run(texts).numpy() == vectors).all()


def test_a_saved_model_that_is_no_text_encoder_is_refused(tmp_path: Path) -> None:
    tf.saved_model.save(tf.Module(), str(tmp_path / "empty"))
    with pytest.raises(ValueError, match="cannot be called; expected one that turns strings"):
        load_encoder(EncoderConfig(kind="tensorflow_hub", preset=str(tmp_path / "empty")))


class Counting:
    """Encodes a text as its length, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.counts: list[tuple[int, int]] = []

    def __call__(self, texts: np.ndarray, before: int, total: int) -> np.ndarray:
        self.asked.append(texts.tolist())
        self.counts.append((before, total))
        return np.array([[len(text)] for text in texts.tolist()], np.float32)


def test_the_cache_encodes_only_what_is_new(tmp_path: Path) -> None:
    encode = Counting()
    first = VectorCache(tmp_path, "a").encode(np.array(["bb", "a", "bb"], object), encode)
    second = VectorCache(tmp_path, "a").encode(np.array(["dddd", "a", "ccc", "bb"], object), encode)
    assert first.tolist() == [[2], [1], [2]]
    assert second.tolist() == [[4], [1], [3], [2]]
    assert [sorted(texts) for texts in encode.asked] == [["a", "bb"], ["ccc", "dddd"]]
    VectorCache(tmp_path, "b").encode(np.array(["a"], object), encode)
    assert encode.asked[2:] == [["a"]]
    assert not list(tmp_path.glob(".*"))


def test_a_killed_encoding_has_kept_what_it_did(tmp_path: Path) -> None:
    texts = np.array([f"text {i}" for i in range(9_000)], object)

    class Killed(Counting):
        def __call__(self, texts: np.ndarray, before: int, total: int) -> np.ndarray:
            if len(self.asked) == 2:
                raise KeyboardInterrupt
            return super().__call__(texts, before, total)

    killed, again = Killed(), Counting()
    with pytest.raises(KeyboardInterrupt):
        VectorCache(tmp_path, "a").encode(texts, killed)
    assert VectorCache(tmp_path, "a").encode(texts, again)[:, 0].tolist() == [len(text) for text in texts]
    assert sorted(text for part in killed.asked + again.asked for text in part) == sorted(texts)
    assert killed.counts == [(0, 9_000), (2_048, 9_000)]
    assert again.counts == [(0, 4_904), (4_096, 4_904)]


def test_keys_see_the_content_only() -> None:
    narrow, wide = np.array([[5, 6], [5, 0]]), np.array([[5, 6, 0, 0], [5, 0, 0, 0]], np.int32)
    assert (content_keys(narrow) == content_keys(wide)).all()
    assert content_keys(narrow)[0] != content_keys(narrow)[1]


def test_the_fingerprint_is_that_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"1")
    before = fingerprint(str(tmp_path), length=8)
    assert fingerprint(str(tmp_path), length=8) == before
    assert fingerprint(str(tmp_path), length=9) != before
    (tmp_path / "weights").write_bytes(b"2")
    assert fingerprint(str(tmp_path), length=8) != before
    assert fingerprint("some_name", length=8) != fingerprint("other_name", length=8)


def test_the_batch_encoder_keeps_the_order(tmp_path: Path) -> None:
    encoder = load_encoder(EncoderConfig(kind="tensorflow_hub", preset=save_word_bag(tmp_path)))
    texts = np.array(["a long text of five", "b", "c d", "e", "f g h"], object)
    assert BatchEncoder(encoder, 2).encode(texts) == pytest.approx(encoder(tf.constant(texts)).numpy(), abs=1e-6)
