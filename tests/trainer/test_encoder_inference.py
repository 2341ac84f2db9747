"""The encoder in fewer and larger products says what KerasNLP's network says, and says it faster in bfloat16."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from test_encoders import TEXTS, needs_minilm, tokenise

from pipeline.config.model import EncoderConfig
from trainer import device
from trainer.encoders.batching import BatchEncoder
from trainer.encoders.inference import BertInference
from trainer.encoders.text import load_encoder
from trainer.texts import TextVectors

TOKENS = tokenise((*TEXTS, "", "a very long name of a garden chair of red wood and white steel"), 24)
TOKENS[3] = 0


@needs_minilm
@pytest.mark.parametrize(("dtype", "most"), [("float32", 1e-5), ("bfloat16", 1e-3)])
def test_it_says_what_kerasnlp_says(dtype: str, most: float) -> None:
    encoder = load_encoder(EncoderConfig())
    wanted = encoder(tf.constant(TOKENS)).numpy()
    found = BertInference(encoder, dtype)(tf.constant(TOKENS)).numpy()
    lengths = np.array([1, 1, 1, 0, 1])
    assert (found * wanted).sum(axis=1) == pytest.approx(lengths, abs=most)
    assert np.linalg.norm(found, axis=1) == pytest.approx(lengths, abs=1e-5)


@needs_minilm
def test_low_rank_updates_count() -> None:
    encoder = load_encoder(EncoderConfig(mode="lora", lora_rank=2))
    before = encoder(tf.constant(TOKENS)).numpy()
    generator = np.random.default_rng(3)
    for variable in encoder.trainable_variables:
        variable.assign(generator.normal(scale=0.1, size=variable.shape))
    wanted = encoder(tf.constant(TOKENS)).numpy()
    assert (before * wanted).sum(axis=1).min() < 0.9
    assert BertInference(encoder, "float32")(tf.constant(TOKENS)).numpy() == pytest.approx(wanted, abs=1e-5)


@needs_minilm
def test_a_frozen_catalogue_is_encoded_by_it_and_progress_is_told(tmp_path: Path) -> None:
    config, told = EncoderConfig(batch_size=2, dtype="bfloat16"), []
    encoder = load_encoder(config)
    texts = TextVectors(config, encoder, tmp_path, on_progress=lambda done, total: told.append((done, total)))
    found = texts.encode(TOKENS)
    assert told == [(2, 5), (4, 5), (5, 5)]
    assert (found == BatchEncoder(BertInference(encoder, "bfloat16"), 2).encode(TOKENS)).all()
    assert (texts.encode(TOKENS[::-1]) == found[::-1]).all()
    assert len(told) == 3  # from the cache


@pytest.mark.parametrize(
    ("flags", "able"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 vaes", True),
        ("Features\t: fp asimd bf16 i8mm", True),
        ("flags\t\t: fpu avx2 avx512f", False),
    ],
)
def test_the_processor_says_whether_it_multiplies_bfloat16(flags: str, able: bool, tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\nmodel name\t: some bf16 processor\n{flags}\n")
    assert device._multiplies_bfloat16(file) == able
    assert not device._multiplies_bfloat16(tmp_path / "none")


def test_without_onednn_products_stay_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("a GPU decides here")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert device.encoding_dtype() == "float32"
