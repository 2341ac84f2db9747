"""The compiled specification, container by container, ends with the model that the local runner pushes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from kubeflow_cluster import Cluster, Run

from pipeline.config import load_config
from pipeline.dag import IMPORTER_ID, NODE_IDS
from pipeline.kubeflow.compilation import compile_pipeline
from pipeline.kubeflow.specification import read_specification
from pipeline.run_folder import RunFolder

pytestmark = pytest.mark.slow

TABLES = "s3://shop-bucket/tables"


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The volume that outlives the pods."""
    return tmp_path_factory.mktemp("volume")


@pytest.fixture(scope="module")
def cluster(shop_yaml: Path, storage: Path, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """A cluster with the tables in its object store, and the pipeline compiled with another date and other epochs."""
    folder = tmp_path_factory.mktemp("cluster")
    settings = (f"kubeflow.data={TABLES}", f"kubeflow.root={storage}", "kubeflow.image=registry.example.com/aisle:1")
    config = load_config(shop_yaml, (*settings, "training.epochs=1", "split.test_start=2024-10-01"))
    compile_pipeline(config, folder / "pipeline.yaml")
    made = Cluster(read_specification(folder / "pipeline.yaml"), folder)
    shutil.copytree(shop_yaml.parent / "shop", made.stored(TABLES))
    return made


@pytest.fixture(scope="module")
def run(cluster: Cluster) -> Run:
    """A run that says the date and the epochs that the local run had."""
    done = cluster.run(epochs=2, test_start="2024-11-20", image="registry.example.com/aisle:2")
    assert done.state == "COMPLETE", done.failures
    return done


def _pushed(storage: Path) -> Path:
    [version] = (storage / "tiny" / "serving" / "aisle").iterdir()
    return version


def _tensors(model: Path) -> dict[str, bytes | list[bytes]]:
    """Every tensor's bytes; of texts, the texts."""
    reader = tf.train.load_checkpoint(str(model / "variables" / "variables"))
    names = set(reader.get_variable_to_shape_map()) - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    values = {name: np.asarray(reader.get_tensor(name)) for name in names}
    return {name: value.tolist() if value.dtype == object else value.tobytes() for name, value in values.items()}


def test_every_step_ran_in_the_image_that_the_run_named(run: Run) -> None:
    assert run.images == dict.fromkeys((*NODE_IDS, "RunStatus"), "registry.example.com/aisle:2")
    assert set(run.artifacts) == {*NODE_IDS, IMPORTER_ID, "RunStatus"}
    assert run.artifacts["EventExampleGen"]["examples"]["metadata"]["split_names"] == '["train", "validation"]'
    uris = [artifact["uri"] for step in run.artifacts.values() for artifact in step.values()]
    assert len(set(uris)) == len(uris)
    assert all(uri.startswith(("minio://mlpipeline/v2/artifacts/tiny/run-0/", TABLES)) for uri in uris)


def test_the_pushed_model_is_that_of_the_local_run(run: Run, storage: Path, pushed_run: Path) -> None:
    assert run.artifacts["Pusher"]["pushed_model"]["metadata"]["pushed_destination"] == str(_pushed(storage))
    local, pushed = Path(RunFolder(pushed_run).account()["pushed"]), _pushed(storage)
    files = [sorted(str(path.relative_to(model)) for path in model.rglob("*")) for model in (local, pushed)]
    assert files[0] == files[1]
    expected, got = _tensors(local), _tensors(pushed)
    assert sorted(expected) == sorted(got)
    assert any("vectors" in name for name in expected)
    assert [name for name in expected if expected[name] != got[name]] == []
    histories = [(folder / "histories.parquet").read_bytes() for folder in (pushed_run, storage / "tiny")]
    assert histories[0] == histories[1]


def test_the_evaluation_is_that_of_the_local_run(cluster: Cluster, run: Run, pushed_run: Path) -> None:
    report = cluster.stored(run.artifacts["Evaluator"]["evaluation"]["uri"]) / "evaluation.json"
    assert json.loads(report.read_text()) == json.loads((pushed_run / "reports" / "evaluation.json").read_text())


def test_the_end_of_a_run_is_reported(run: Run, storage: Path) -> None:
    told = json.loads((storage / "tiny" / "last-run.json").read_text())
    assert (told["pipeline"], told["run"], told["succeeded"]) == ("tiny", run.name, True)


def test_the_end_of_a_run_that_fails_is_reported_too(cluster: Cluster, run: Run, storage: Path) -> None:
    failed = cluster.run(events_path="nothing.csv")
    assert (run.state, failed.state) == ("COMPLETE", "FAILED")
    assert list(failed.failures) == ["TableGen"]
    assert "no file matches" in failed.failures["TableGen"]
    told = json.loads((storage / "tiny" / "last-run.json").read_text())
    assert (told["run"], told["succeeded"], told["state"]) == (failed.name, False, "FAILED")
