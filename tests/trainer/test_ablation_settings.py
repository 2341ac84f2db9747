"""Settings that leave a part of the model out, one by one: what is left out makes no difference any more."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from planted import HISTORY, ITEMS, PlantedShop, planted_config, planted_phase, planted_shop, save_word_bag
from served_shop import HISTORY as SERVED_HISTORY
from served_shop import ServedShop, served_config
from test_encoders import needs_minilm, tokenise

from pipeline import fingerprint, step_keys
from pipeline.config import EncoderConfig
from trainer.encoders.text import load_encoder
from trainer.models.two_tower import TwoTower
from trainer.phase import TrainedModel
from trainer.request_reader import RequestReader, TextReader
from trainer.texts import TextVectors
from trainer.transform import TransformGraph

RANDOM = EncoderConfig(weights="random")


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_word_bag(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def shop() -> PlantedShop:
    return planted_shop(events=600)


def make(shop: PlantedShop, preset: str, folder: Path, **changes: object) -> TrainedModel:
    """Makes a model, untrained, but with weights as large as if it were."""
    made = planted_phase(shop, planted_config(preset, **changes), folder, epochs=0).run()
    generator = np.random.default_rng(11)
    for variable in made.model.trainable_variables:
        variable.assign_add(generator.normal(scale=0.15, size=variable.shape))
    return made


def query_vectors(model: TwoTower, item_vectors: np.ndarray, age: int) -> np.ndarray:
    history = 1 + np.arange(2 * HISTORY).reshape(2, HISTORY)
    features = {
        "history_types": tf.fill([2, HISTORY], 4),
        "history_ages": tf.constant(np.full((2, HISTORY), age) + np.arange(HISTORY)),
        "context_season": tf.zeros([2, 1], tf.int64),
    }
    text = None if model.encoder is None else tf.zeros([2, model.encoder.width])
    return model.query_vectors(features, tf.constant(history), text, tf.constant(item_vectors)).numpy()


@pytest.mark.parametrize("encoder", ["attention", "pooling"])
def test_without_history_times_ages_make_no_difference(
    encoder: str, shop: PlantedShop, preset: str, tmp_path: Path
) -> None:
    for times in (True, False):
        history = {"length": HISTORY, "encoder": encoder, "times": times}
        features = {"history": history, "time": False, "context": ["season"], "item": {"brand": False}}
        made = make(shop, preset, tmp_path / str(times), features=features)
        young, old = (query_vectors(made.model, made.item_vectors, age) for age in (1, 5))
        assert np.array_equal(young, old) is not times


def test_without_history_times_the_ranking_stage_sees_none_either(served_shop: ServedShop) -> None:
    ages = {}
    for times in (True, False):
        config = served_config(
            features={
                "history": {"length": SERVED_HISTORY, "times": times},
                "context": ["country"],
                "user_buckets": 16,
            }
        )
        numbered = tf.lookup.KeyValueTensorInitializer(
            tf.constant(list(served_shop.catalogue.ids)), tf.range(len(served_shop.catalogue), dtype=tf.int64)
        )
        reader = RequestReader(
            config,
            model=served_shop.model,
            texts=TextReader(config, served_shop.model),
            transform=TransformGraph(served_shop.event_graph),
            rows=tf.lookup.StaticHashTable(numbered, default_value=-1),
            item_vectors=tf.Variable(served_shop.item_vectors),
        )
        asked = {name: tf.constant([""]) for name in ("user_id", "query", "country")}
        asked |= {"timestamp": tf.constant([1_600_000_000], tf.int64)}
        asked |= {"history_item_ids": tf.constant([["i00001", "i00002"]])}
        asked |= {"history_event_types": tf.constant([["", ""]]), "history_quantities": tf.constant([[0.0]])}
        asked |= {"history_ages_days": tf.constant([[3.0, 8.0]])}
        ages[times] = reader.read(asked).history_ages_days.numpy().tolist()
    assert ages == {True: [[3.0, 8.0]], False: [[0.0, 0.0]]}


def test_without_logq_the_counts_make_no_difference(shop: PlantedShop, preset: str, tmp_path: Path) -> None:
    for logq in (True, False):
        made = make(shop, preset, tmp_path / str(logq), training={"logq": logq})
        model = made.model
        generator = np.random.default_rng(0)
        vectors = tf.math.l2_normalize(generator.normal(size=(2, 8, 16)), axis=-1)
        batch = {
            "distinct_rows": tf.range(9),
            "item_places": tf.range(1, 9),
            "weight": tf.ones([8]),
        }
        losses = []
        for low in (0.001, 1.0):
            table = model._training_tables()
            table.probabilities = tf.Variable(np.linspace(low, 1.0, 1 + ITEMS).astype(np.float32))
            losses.append(float(model.compute_loss(x=batch, y_pred=tf.unstack(vectors))))
        assert (losses[0] == losses[1]) is not logq


def test_without_text_and_search_there_is_no_encoder(shop: PlantedShop, preset: str, tmp_path: Path) -> None:
    features = {
        "history": {"length": HISTORY},
        "time": False,
        "context": ["season"],
        "query": False,
        "item": {"brand": False, "text": []},
    }
    silent = PlantedShop(
        catalogue=type(shop.catalogue)(shop.catalogue.ids, shop.catalogue.titles, None, shop.catalogue.features),
        examples=shop.examples,
        cases=None,
    )
    made = make(silent, preset, tmp_path, features=features)
    assert made.model.encoder is None
    assert made.item_texts is None
    assert not list((tmp_path / "cache").glob("*"))


@needs_minilm
def test_random_weights_are_those_of_the_seed() -> None:
    tokens = tf.constant(tokenise(("red running shoes", "kitchen knife"), 12))
    published = load_encoder(EncoderConfig())
    first, other = (load_encoder(RANDOM, seed=seed) for seed in (7, 8))
    low = load_encoder(RANDOM, "bfloat16", seed=7)
    for mine, theirs in zip(first.network.variables, published.network.variables, strict=True):
        assert mine.shape == theirs.shape
        if mine.path.endswith(("kernel", "embeddings")):
            assert np.std(mine) == pytest.approx(0.02, rel=0.1)
            assert np.any(mine.numpy() != theirs.numpy())
    vectors = first(tokens).numpy()
    assert np.abs(vectors - other(tokens)).max() > 0.01
    assert (vectors * low(tokens).numpy()).sum(axis=1) == pytest.approx(np.ones(2), abs=1e-2)
    assert not first.trainable_variables


@needs_minilm
def test_the_cache_keeps_random_vectors_apart(tmp_path: Path) -> None:
    tokens = tokenise(("red running shoes", "kitchen knife"), 12)

    def files(weights: str, seed: int) -> set[Path]:
        config = EncoderConfig(weights=weights, dtype="float32")
        TextVectors(config, load_encoder(config, seed=seed), tmp_path).encode(tokens)
        return set(tmp_path.glob("*.npz"))

    assert len(files("random", 7)) == 1
    assert len(files("random", 7)) == 1
    assert len(files("random", 8)) == 2
    assert len(files("pretrained", 7)) == 3
    assert len(files("pretrained", 8)) == 3


@pytest.mark.parametrize(
    ("section", "values", "earlier"),
    [
        ("encoder", {"weights": "random"}, False),
        ("encoder", {"mode": "lora"}, False),
        ("features", {"history": {"times": False}}, False),
        ("training", {"logq": False}, False),
        ("features", {"item": {"text": []}}, True),
        ("ranking", {"enabled": False}, True),
    ],
)
def test_each_setting_starts_with_the_steps_that_read_it(
    section: str, values: dict[str, object], earlier: bool
) -> None:
    default, changed = (planted_config("unused", encoder={"kind": "keras_nlp"}, **more) for more in ({}, {}))
    tree = changed.model_dump(mode="json")
    for name, value in values.items():
        tree[section][name] = {**tree[section][name], **value} if isinstance(value, dict) else value
    changed = type(changed).model_validate(tree)
    keys = {"training": step_keys.TRAINING, "evaluation": step_keys.EVALUATION}
    for names in keys.values():
        assert fingerprint.narrowed(default, names) != fingerprint.narrowed(changed, names)
    before = (step_keys.EXAMPLES, step_keys.FEATURES["events"], step_keys.FEATURES["items"])
    differs = any(fingerprint.narrowed(default, names) != fingerprint.narrowed(changed, names) for names in before)
    assert differs is earlier
