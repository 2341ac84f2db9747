"""What lies in the exported folder: signatures with defaults, contract, warm-up requests, only ops of the server."""

import datetime
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from planted import save_word_bag
from served_shop import FIRST, LAST, ServedShop, served_config
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from serving.contract import read_contract
from serving.op_gate import check_ops
from trainer.contract import signature_contracts
from trainer.encoders.text import load_encoder
from trainer.exported_model import ExportedModel
from trainer.lexical.texts import read_item_texts
from trainer.models.two_tower import TwoTower
from trainer.rules.attributes import read_attributes
from trainer.rules.fallback import read_popularity
from trainer.served_model import ServedModel
from trainer.signatures import build_signatures
from trainer.transform import feature_sizes
from trainer.warmup import WARMUP_FILE

NAMES = {"recommend", "serving_default", "search", "facets", "similar_items", "embed_items", "rank"}


@pytest.fixture(scope="module")
def meta_graph(served_shop: ServedShop) -> Any:
    content = (served_shop.folder / "saved_model.pb").read_bytes()
    [graph] = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    return graph


def test_signature_defs_are_what_the_contract_says(served_shop: ServedShop, meta_graph: Any) -> None:
    contract = read_contract(served_shop.folder)
    assert contract is not None
    assert set(contract.signatures) == NAMES == set(meta_graph.signature_def) - {"__saved_model_init_op"}
    for name, described in contract.signatures.items():
        signature = meta_graph.signature_def[name]
        assert set(signature.inputs) == set(described.inputs)
        assert set(signature.outputs) == set(described.outputs)
        assert set(signature.defaults) == {each for each, port in described.inputs.items() if not port.required}
        for given, found in (
            *_pairs(described.inputs, signature.inputs),
            *_pairs(described.outputs, signature.outputs),
        ):
            assert tf.as_dtype(found.dtype).name == given.dtype
            assert len(found.tensor_shape.dim) == len(given.shape)
            assert found.tensor_shape.dim[0].size == -1
        for each, proto in signature.defaults.items():
            value = tf.make_ndarray(proto)
            assert value.shape == (1,) * len(described.inputs[each].shape)
            plain = value.ravel()[0]
            assert (plain.decode() if isinstance(plain, bytes) else plain) == described.inputs[each].default


def _pairs(described: Any, found: Any) -> list[tuple[Any, Any]]:
    return [(port, found[name]) for name, port in described.items()]


def test_the_contract_tells_what_the_model_is(served_shop: ServedShop) -> None:
    contract = read_contract(served_shop.folder)
    assert contract is not None
    assert (contract.name, contract.shop, contract.default_k) == ("aisle", "served", 5)
    assert (contract.items, contract.dimension) == (48, 16)
    assert contract.history_length == served_shop.config.history_length
    assert contract.context == ("country",)
    assert (contract.data.first_event, contract.data.last_event) == (FIRST, LAST)
    assert contract.encoder.mode == "frozen"
    required = {
        name: [i for i, port in each.inputs.items() if port.required] for name, each in contract.signatures.items()
    }
    assert required["recommend"] == ["user_id"]
    assert required["search"] == ["query"]
    assert required["similar_items"] == ["item_id"]
    assert required["embed_items"] == ["title"]
    assert required["rank"] == ["user_id", "candidate_item_ids"]
    meanings = [port.meaning for each in contract.signatures.values() for port in each.inputs.values()]
    assert all(meanings)


def test_the_stock_server_has_every_op(served_shop: ServedShop) -> None:
    check_ops(str(served_shop.folder))


def test_the_encoder_runs_only_where_somebody_typed(meta_graph: Any) -> None:
    """In `recommend` BERT, which all signatures share, is called inside a branch, not in what each call runs."""
    bodies = {function.signature.name: function.node_def for function in meta_graph.graph_def.library.function}
    [encoder] = [name for name, nodes in bodies.items() if any("bert_inference" in node.name for node in nodes)]
    [name] = [each for each in bodies if each.startswith("__inference_recommend_")]
    assert encoder not in _called(bodies[name])
    branches = [node.attr["then_branch"].func.name for node in bodies[name] if node.op in ("If", "StatelessIf")]
    assert any(encoder in _called(bodies[branch]) for branch in branches)


def _called(nodes: Any) -> set[str]:
    return {node.attr["f"].func.name for node in nodes if "f" in node.attr}


def test_a_session_fills_the_defaults(served_shop: ServedShop, exported: ExportedModel) -> None:
    """The stock server runs a session and feeds only what the client sent."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], str(served_shop.folder))
        signature = graph.signature_def["recommend"]
        outputs = {name: info.name for name, info in signature.outputs.items()}
        feeds = {signature.inputs["user_id"].name: [b"u1", b""], signature.inputs["timestamp"].name: [1_600_000_000]}
        found = session.run(outputs, feeds)
    expected = exported.ask("recommend", {"user_id": ["u1", ""], "timestamp": [1_600_000_000]})
    assert found["item_ids"].tolist() == expected["item_ids"].tolist()
    np.testing.assert_allclose(found["scores"], expected["scores"], rtol=0, atol=1e-5)


def test_warm_up_requests_ask_every_signature(served_shop: ServedShop, exported: ExportedModel) -> None:
    records = tf.data.TFRecordDataset(str(served_shop.folder / WARMUP_FILE)).as_numpy_iterator()
    requests = [prediction_log_pb2.PredictionLog.FromString(each).predict_log.request for each in records]
    assert {request.model_spec.name for request in requests} == {"aisle"}
    asked = Counter(request.model_spec.signature_name for request in requests)
    assert set(asked) == NAMES
    assert set(asked.values()) == {3}
    sizes = set()
    for request in requests:
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        answers = exported.ask(request.model_spec.signature_name, inputs)
        sizes.add(len(next(iter(inputs.values()))))
        assert all(len(values) == len(next(iter(inputs.values()))) for values in answers.values())
    assert sizes == {1, 8}
    assert any("query" in request.inputs and request.inputs["query"].string_val[0] for request in requests)


def test_an_export_replaces_the_folder_and_a_failed_one_does_not(served_shop: ServedShop, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "old").write_text("old")
    broken = served_shop.item_vectors.copy()
    broken[3] = np.nan
    with pytest.raises(ValueError, match="item row 3 is not finite"):
        served_shop.export(folder, item_vectors=broken)
    with pytest.raises(ValueError, match="one vector for each of 48 items, got 47"):
        served_shop.export(folder, item_vectors=served_shop.item_vectors[:-1])
    assert [path.name for path in folder.iterdir()] == ["old"]
    moment = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    served_shop.export(folder, now=moment)
    assert not (folder / "old").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    described = json.loads((folder / "assets.extra" / "contract.json").read_text())
    assert described["created"] == "2026-01-02T00:00:00+00:00"


def test_without_search_there_is_no_query(served_shop: ServedShop) -> None:
    config = served_config(
        features={"query": False, "history": {"length": 6}, "context": ["country"], "user_buckets": 16}
    )
    assert "search" not in signature_contracts(config)
    assert all("query" not in [port.name for port in each.inputs] for each in signature_contracts(config).values())
    model, vectors = _model(served_shop, config, preset=None)
    signatures = build_signatures(_served(served_shop, config, model, vectors), config)
    assert set(signatures) == NAMES - {"search", "facets"}
    answers = signatures["recommend"](tf.constant(["a", "b"]))
    assert answers["item_ids"].shape == (2, 5)


def test_an_encoder_from_tensorflow_hub_is_exported_too(served_shop: ServedShop, tmp_path: Path) -> None:
    preset = save_word_bag(tmp_path / "encoder")
    config = served_config(encoder={"kind": "tensorflow_hub", "preset": preset})
    model, vectors = _model(served_shop, config, preset)
    served_shop.export(tmp_path / "model", model=model, item_vectors=vectors, config=config)
    loaded = ExportedModel(str(tmp_path / "model"))
    asked = {"query": ["red lamp", "blue knife", ""], "timestamp": [5]}
    served = build_signatures(_served(served_shop, config, model, vectors), config)
    expected = served["search"](tf.constant(asked["query"]), timestamp=tf.constant([5], tf.int64))
    found = loaded.ask("search", asked)
    np.testing.assert_allclose(found["scores"], expected["scores"], rtol=0, atol=1e-5)
    assert len(np.unique(found["scores"][:, 0])) == 3


def _model(shop: ServedShop, config: Any, preset: str | None) -> tuple[TwoTower, np.ndarray]:
    encoder = shop.model.encoder if preset is None else load_encoder(config.encoder)
    sizes = feature_sizes(shop.event_graph, shop.item_graph, config)
    matrix = np.random.default_rng(1).normal(size=(encoder.width, config.model.dimension)).astype(np.float32)
    model = TwoTower(config, np.ones(48, np.int64), sizes=sizes, encoder=encoder, text_matrix=matrix)
    vectors = np.random.default_rng(2).normal(size=(48, config.model.dimension)).astype(np.float32)
    served = _served(shop, config, model, vectors)
    build_signatures(served, config)["recommend"](tf.constant(["makes the weights"]))
    build_signatures(served, config)["embed_items"](tf.constant(["makes the weights"]))
    return model, vectors


def _served(shop: ServedShop, config: Any, model: TwoTower, vectors: np.ndarray) -> ServedModel:
    return ServedModel(
        config,
        model=model,
        catalogue=shop.catalogue,
        attributes=read_attributes(str(shop.tables), shop.catalogue.ids),
        popularity=read_popularity(str(shop.tables), shop.catalogue.ids, end=LAST, event_types=["purchase"]),
        item_vectors=vectors,
        event_transform_graph=shop.event_graph,
        item_transform_graph=shop.item_graph,
        texts=read_item_texts(str(shop.tables), shop.catalogue.ids, config.search),
    )
