"""In-graph tokenisation with the configured encoder's own vocabulary.

BERT vocabularies go through TensorFlow Text's FastBertTokenizer: of the ways to run one in a graph
it agrees best with the tokenizer that the published models were trained with (it strips accents,
where KerasNLP's own answers [UNK] for every accented word of a converted checkpoint), it is the
fastest, and the stock server has all of its ops. Other vocabularies go through their KerasNLP
tokenizer. Nothing here leaves a lookup table or a Python call in the graph for BERT.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_text as tf_text
from tensorflow_text.core.pybinds import pywrap_fast_bert_normalizer_model_builder as normaliser_models
from tensorflow_text.core.pybinds import pywrap_fast_wordpiece_tokenizer_model_builder as word_models

from pipeline.config import EncoderConfig, encoder_source

_MAX_WORD_BYTES = 100  # longer words are unknown, as in BERT's own tokenizer


class TokenizerError(ValueError):
    """The configured encoder has no tokenizer that this pipeline can use."""


def token_ids(texts: tf.Tensor, encoder: EncoderConfig) -> tf.Tensor:
    """Tokenises texts as the encoder reads them.

    Args:
      texts: string `[batch, 1]`, UTF-8.
      encoder: the configured encoder, of kind `keras_nlp`.

    Returns:
      int64 `[batch, sequence_length]`: start, the text's tokens cut to what fits, end, then padding.

    Raises:
      TokenizerError: if the preset has no tokenizer with start and end tokens.
    """
    tokenizer = preset_tokenizer(encoder_source(encoder))
    start, end, pad = _special_ids(tokenizer, encoder.preset)
    words = tf.cast(_tokenise(tf.reshape(texts, [-1]), tokenizer), tf.int64)
    most = encoder.sequence_length - 2
    # Joined as ragged tensors, the parts would bring many more ops, and checks, for which TensorFlow would run the
    # transform graph as a call of its own in every request.
    cut = words.to_tensor(default_value=pad, shape=[None, most])
    edge = tf.fill([tf.shape(cut)[0], 1], pad)
    framed = tf.concat([tf.fill(tf.shape(edge), start), cut, edge], axis=1)
    last = 1 + tf.minimum(words.row_lengths(), most)[:, tf.newaxis]
    ids = tf.where(tf.equal(tf.range(most + 2, dtype=tf.int64), last), end, framed)
    return tf.ensure_shape(ids, [None, encoder.sequence_length])


@lru_cache(maxsize=4)
def preset_tokenizer(source: str) -> Any:
    """Loads the KerasNLP tokenizer of a preset, by folder or name."""
    import keras_hub  # takes seconds, and only tracing needs it

    return keras_hub.models.Tokenizer.from_preset(source)


def _tokenise(texts: tf.Tensor, tokenizer: Any) -> tf.RaggedTensor:
    if not _is_bert(tokenizer):
        return tokenizer(texts)
    words, normaliser = _fast_models(tuple(tokenizer.get_vocabulary()), tokenizer.lowercase)
    # Made while tracing, so that its models are constants of the graph.
    fast = tf_text.FastBertTokenizer(
        token_out_type=tf.int32,
        fast_wordpiece_model_buffer=tf.constant(words),
        fast_bert_normalizer_model_buffer=tf.constant(normaliser),
    )
    return fast.tokenize(texts).merge_dims(1, -1)


@lru_cache(maxsize=4)
def _fast_models(vocabulary: tuple[str, ...], lowercase: bool) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Builds the tokenizer's two models as FastBertTokenizer does by itself, once.

    Left to itself it does so for each of the nine times that Transform traces the function, and hands
    TensorFlow the million bytes as a list of integers, which takes seconds each time.
    """
    words = word_models.build_fast_wordpiece_model(vocabulary, _MAX_WORD_BYTES, "##", "[UNK]", False, False)
    normaliser = normaliser_models.build_fast_bert_normalizer_model(lowercase)
    return np.frombuffer(words, np.uint8), np.frombuffer(normaliser, np.uint8)


def _is_bert(tokenizer: Any) -> bool:
    import keras_hub

    return isinstance(tokenizer, keras_hub.models.BertTokenizer) and tokenizer.suffix_indicator == "##"


def _special_ids(tokenizer: Any, preset: str) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    found = [
        next((value for value in (getattr(tokenizer, name, None) for name in names) if value is not None), None)
        for names in (("cls_token_id", "start_token_id"), ("sep_token_id", "end_token_id"), ("pad_token_id",))
    ]
    if None in found:
        raise TokenizerError(
            f"encoder.preset: the tokenizer of '{preset}' has no start, end or padding token "
            f"({type(tokenizer).__name__}); expected an encoder of the BERT family"
        )
    start, end, pad = (tf.constant(value, tf.int64) for value in found)
    return start, end, pad
