"""What TensorBoard finds in the folder of a training."""

from pathlib import Path

import numpy as np
from planted import planted_config, planted_phase, planted_shop, save_word_bag
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def test_curves_weights_configuration_and_items_are_there(tmp_path: Path) -> None:
    shop = planted_shop(600)
    config = planted_config(save_word_bag(tmp_path / "encoder"), training={"epochs": 2})
    trained = planted_phase(shop, config, tmp_path).run()
    folder = tmp_path / "board" / "judged"
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    tags = set(events.Tags()["tensors"])
    curves = {"train/loss", "train/learning_rate", "train/encoder_learning_rate", "train/examples_per_second"}
    curves |= {f"validation/{name}@10" for name in ("ndcg", "recall", "mrr", "hit_rate")}
    assert curves <= tags
    assert {f"weights/{variable.path}" for variable in trained.model.trainable_variables} <= tags
    assert [event.step for event in events.Tensors("validation/ndcg@10")] == [0, 1, 2]
    text = events.Tensors("configuration")
    assert b'"name": "planted"' in text[0].tensor_proto.string_val[0]

    titles = [line.split("\t")[0] for line in (folder / "metadata.tsv").read_text().splitlines()]
    vectors = np.loadtxt(folder / "items.tsv", delimiter="\t")
    assert titles[0] == "title"
    assert len(titles) - 1 == len(vectors) == len(shop.catalogue)
    row = list(shop.catalogue.titles).index(titles[1])
    assert np.allclose(vectors[0], trained.item_vectors[row], atol=1e-5)
    assert 'tensor_path: "items.tsv"' in (folder / "projector_config.pbtxt").read_text()
