"""Mixed precision, XLA and several devices train the same model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from planted import planted_config, planted_phase, planted_shop, save_word_bag, without_draws

TWO_DEVICES = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import json, sys
from pathlib import Path
from planted import planted_config, planted_phase, planted_shop, without_draws
from trainer import batches, cluster
batches._DISTINCT_MULTIPLE = 8  # batches of different sizes
cluster.choose_strategy = lambda: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
folder = Path(sys.argv[1])
config = planted_config(str(folder / "encoder"), training={"epochs": 4})
with without_draws():
    trained = planted_phase(planted_shop(), config, folder).run()
assert trained.model.distribute_strategy.num_replicas_in_sync == 2
print(json.dumps(trained.progress.logs))
"""


def test_mixed_precision_under_xla_learns(tmp_path: Path) -> None:
    changes = {"epochs": 4, "mixed_precision": True, "xla": True}
    config = planted_config(save_word_bag(tmp_path / "encoder"), training=changes)
    trained = planted_phase(planted_shop(), config, tmp_path).run()
    assert trained.model.jit_compile
    assert trained.model.item_tower.compute_dtype == "bfloat16"
    assert all(variable.dtype == "float32" for variable in trained.model.trainable_variables)
    assert trained.item_vectors.dtype == np.float32
    assert keras.config.dtype_policy().name == "float32"
    assert trained.progress.best_metric is not None
    assert trained.progress.best_metric > 0.7


@pytest.mark.slow
def test_two_devices_learn_what_one_learns(tmp_path: Path) -> None:
    save_word_bag(tmp_path / "encoder")
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    config = planted_config(str(tmp_path / "encoder"), training={"epochs": 4})
    with without_draws():
        alone = planted_phase(planted_shop(), config, tmp_path / "alone").run()
    for name in ("train/loss", "validation/ndcg@10"):
        expected = [log[name] for log in alone.progress.logs if name in log]
        assert [log[name] for log in found if name in log] == pytest.approx(expected, rel=1e-3), name
    assert found[-1]["validation/ndcg@10"] > max(0.7, found[0]["validation/ndcg@10"])
