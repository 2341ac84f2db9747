"""Every layer of the towers keeps one contract; and what each must not see."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.towers.history import HistoryAttention, HistoryPooling
from trainer.towers.item import ItemTower
from trainer.towers.projection import TextProjection, principal_projection
from trainer.towers.query import QueryTower

BATCH, EVENTS, DIMENSION, WIDTH = 6, 5, 8, 12
Made = tuple[keras.layers.Layer, dict[str, tf.Tensor]]


def normal(seed: int, *shape: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def histories() -> dict[str, tf.Tensor]:
    lengths = tf.constant([5, 3, 1, 0, 2, 4])
    present = tf.sequence_mask(lengths, EVENTS)
    types = tf.where(present, tf.constant(np.arange(30).reshape(6, 5) % 6 + 1, tf.int32), 0)
    ages = tf.where(present, tf.constant(np.arange(30).reshape(6, 5) % 31 + 1, tf.int32), 0)
    return {"entries": normal(1, BATCH, EVENTS, DIMENSION), "present": present, "types": types, "ages": ages}


def pooling() -> Made:
    return HistoryPooling(DIMENSION, l2=0.01), {**histories(), "state": normal(2, BATCH, DIMENSION)}


def attention() -> Made:
    return HistoryAttention(DIMENSION, heads=2, l2=0.01), {**histories(), "state": normal(2, BATCH, DIMENSION)}


def projection() -> Made:
    matrix = principal_projection(normal(4, 20, WIDTH).numpy(), DIMENSION)
    return TextProjection(matrix), {"inputs": normal(3, BATCH, WIDTH)}


def item() -> Made:
    layer = ItemTower(
        DIMENSION,
        hidden=(16,),
        id_counts=np.array([1, 4, 900]),
        sizes={"brand_index": 3, "category_index": 4},
        price=True,
        dropout=0.2,
        l2=0.01,
        seed=5,
    )
    features = {
        "brand_index": tf.constant([0, 1, 2, 1, 2, 0]),
        "category_index": tf.constant([3, 2, 1, 0, 2, 3]),
        "price_scaled": normal(6, BATCH),
    }
    return layer, {"features": features, "id_places": tf.constant([0, 1, 2, 3, 1, 2]), "text": normal(7, 6, DIMENSION)}


def query() -> Made:
    layer = QueryTower(
        DIMENSION,
        hidden=(16,),
        history=HistoryAttention(DIMENSION, heads=2),
        context={"hour": 24, "context_country": 4},
        user_buckets=10,
        query=True,
        dropout=0.2,
        l2=0.01,
        seed=5,
    )
    given = histories()
    features = {
        "history_types": given["types"],
        "history_ages": given["ages"],
        "hour": tf.constant([0, 3, 9, 12, 20, 23]),
        "context_country": tf.constant([0, 1, 2, 3, 1, 0]),
        "user_bucket": tf.constant([0, 3, 10, 1, 4, 7]),
    }
    return layer, {
        "features": features,
        "entries": given["entries"],
        "present": given["present"],
        "text": normal(8, BATCH, DIMENSION),
    }


LAYERS = [pooling, attention, projection, item, query]


def perturb(layer: keras.layers.Layer) -> None:
    """Moves all weights a little: nothing is to hide behind a start at zero."""
    for number, variable in enumerate(layer.trainable_variables):
        variable.assign_add(0.3 * normal(100 + number, *variable.shape))


@pytest.mark.parametrize("make", LAYERS)
def test_a_layer_builds_runs_learns_saves_and_loads(make: Callable[[], Made], tmp_path: Path) -> None:
    layer, inputs = make()
    outputs = layer(**inputs)
    assert outputs.shape == (BATCH, DIMENSION)
    assert outputs.dtype == tf.float32
    perturb(layer)

    @tf.function
    def step() -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(**inputs) * normal(9, BATCH, DIMENSION)) + tf.add_n([0.0, *layer.losses])
        return loss, tape.gradient(loss, layer.trainable_variables)

    before, gradients = step()
    for variable, gradient in zip(layer.trainable_variables, gradients, strict=True):
        assert np.any(tf.convert_to_tensor(gradient).numpy() != 0), f"{variable.path} has no gradient"
    for variable, gradient in zip(layer.trainable_variables, gradients, strict=True):
        variable.assign_sub(0.001 * tf.convert_to_tensor(gradient))
    assert step()[0] < before

    module = tf.Module()
    module.layer = layer
    module.run = tf.function(lambda: layer(**inputs), input_signature=[])
    tf.saved_model.save(module, str(tmp_path / "saved"))
    assert np.array_equal(tf.saved_model.load(str(tmp_path / "saved")).run(), module.run())


@pytest.mark.parametrize("make", [pooling, attention])
def test_what_pads_a_history_is_not_seen(make: Callable[[], Made]) -> None:
    layer, inputs = make()
    layer(**inputs)
    perturb(layer)
    noise = tf.where(inputs["present"][:, :, None], inputs["entries"], 100.0)
    assert np.allclose(layer(**inputs), layer(**{**inputs, "entries": noise}), atol=1e-5)


@pytest.mark.parametrize("make", [pooling, attention])
def test_a_new_history_encoder_is_the_mean(make: Callable[[], Made]) -> None:
    layer, inputs = make()
    outputs = layer(**inputs).numpy()
    for row in range(BATCH):
        met = inputs["entries"].numpy()[row][inputs["present"].numpy()[row]]
        expected = met.mean(axis=0) if len(met) else np.zeros(DIMENSION)
        assert outputs[row] == pytest.approx(expected, abs=1e-6)


def test_attention_is_what_numpy_says() -> None:
    layer, inputs = attention()
    layer(**inputs)
    perturb(layer)
    values = {name: tensor.numpy() for name, tensor in inputs.items()}
    marks, mark_logits = layer.marks.numpy(), layer.mark_logits.numpy()
    for row in (0, 1, 4):
        present = values["present"][row]
        entries = values["entries"][row][present]
        at = np.stack([values["types"][row][present], 7 + values["ages"][row][present]], axis=1)
        keys = entries + marks[at].sum(axis=1)
        state = np.concatenate([values["entries"][row][0], values["state"][row]])
        questions = (state @ layer.question.kernel.numpy() + layer.question.bias.numpy()).reshape(2, DIMENSION)
        logits = questions @ keys.T + mark_logits[at].sum(axis=1).T
        weights = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        pooled = weights @ keys
        mixed = pooled.ravel() @ layer.mix.kernel.numpy() + layer.mix.bias.numpy()
        assert layer(**inputs).numpy()[row] == pytest.approx(pooled.mean(axis=0) + mixed, rel=1e-4, abs=1e-4)


def test_vectors_have_length_one_and_missing_parts_do_no_harm() -> None:
    for make in (item, query):
        layer, inputs = make()
        assert np.linalg.norm(layer(**inputs), axis=1) == pytest.approx(np.ones(BATCH), abs=1e-5)
    layer, inputs = query()
    nothing = {name: tf.zeros_like(values) for name, values in inputs["features"].items()}
    absent = {"features": nothing, "present": tf.zeros_like(inputs["present"]), "text": tf.zeros([BATCH, DIMENSION])}
    vectors = layer(**{**inputs, **absent}).numpy()
    assert np.isfinite(vectors).all()
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(BATCH), abs=1e-5)


def test_a_missing_context_and_an_anonymous_user_have_no_vector() -> None:
    layer, inputs = query()
    layer(**inputs)
    before = layer(**inputs).numpy()
    for table in (layer.tables["context_country"], layer.users):
        embeddings = table.embeddings.numpy()
        embeddings[0] += 5.0
        table.embeddings.assign(embeddings)
    assert np.array_equal(layer(**inputs), before)


def test_in_training_parts_drop_out_and_ids_give_way_to_the_new_one() -> None:
    layer, inputs = query()
    assert np.any(layer(**inputs, training=True).numpy() != layer(**inputs, training=True).numpy())
    layer, inputs = item()
    layer(**inputs)
    layer.dropout.rate = 0.0
    own = np.zeros((4, DIMENSION), np.float32)
    own[1:] = 3.0 * np.eye(3, DIMENSION)
    layer.ids.embeddings.assign(own)
    train = tf.function(lambda: layer(**inputs, training=True))
    seen = np.stack([train().numpy() for _ in range(200)])
    steady = layer(**inputs).numpy()
    changed = np.any(np.abs(seen - steady) > 1e-6, axis=2).mean(axis=0)
    # One and four examples: every other time; 900 examples: four in 900.
    assert changed[[1, 2, 4, 5]] == pytest.approx(np.full(4, 0.5), abs=0.12)
    assert changed[0] == 0
    assert changed[3] < 0.03


def test_the_projection_keeps_dot_products() -> None:
    vectors = normal(10, 50, 4).numpy() @ normal(11, 4, WIDTH).numpy()
    matrix = principal_projection(vectors, 4)
    assert (vectors @ matrix) @ (vectors @ matrix).T == pytest.approx(vectors @ vectors.T, rel=1e-3, abs=1e-3)
    wide = principal_projection(vectors, 20)
    assert wide.shape == (WIDTH, 20)
    assert (vectors @ wide) @ (vectors @ wide).T == pytest.approx(vectors @ vectors.T, rel=1e-3, abs=1e-3)
    assert wide[:, :WIDTH].T @ wide[:, :WIDTH] == pytest.approx(np.eye(WIDTH), abs=1e-5)


@pytest.mark.parametrize("width", [16, 64, 384])
def test_before_learning_an_item_is_what_its_text_says_however_wide_the_towers(width: int) -> None:
    keras.utils.set_random_seed(3)
    tower = ItemTower(
        width,
        hidden=(16,),
        id_counts=None,
        sizes={"brand_index": 40, "category_index": 40},
        price=True,
        dropout=0.0,
        l2=0.0,
        seed=5,
    )
    places = tf.range(1, 33)
    features = {"brand_index": places, "category_index": places, "price_scaled": normal(6, 32)}
    text = tf.math.l2_normalize(normal(7, 32, width), axis=-1)
    found = tower(features, places, text)
    alike = tf.reduce_sum(found * text, axis=-1).numpy()
    assert 0.92 < alike.mean() < alike.max() < 0.999
