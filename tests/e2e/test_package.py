"""The package that workers and images install holds all that a run needs, and Beam's own processes work with it."""

import json
import os
from pathlib import Path

import pytest
import tensorflow as tf
from built_package import ORIGINS_VARIABLE, BuiltPackage, build
from package_steps import STEPS

from pipeline import tables
from pipeline.config import load_config, models_folder

WORKERS = 2
EVERY_STEP = "AISLE_TEST_PACKAGE_STEPS"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> BuiltPackage:
    return build(tmp_path_factory.mktemp("package"))


def test_every_module_and_every_page_is_packed(package: BuiltPackage) -> None:
    assert "trainer/evaluation/page.html" in package.packed
    assert package.packed == package.sources


@pytest.mark.slow
def test_processes_of_the_package_alone_import_the_tables(
    package: BuiltPackage, shop_yaml: Path, tmp_path: Path
) -> None:
    _run(package, shop_yaml, tmp_path, last_step="TableGen", steps_with_beam=1)
    tables.import_tables(load_config(shop_yaml), tmp_path / "here")
    _require_same_tables(tmp_path / "out/TableGen/tables", tmp_path / "here")


@pytest.mark.slow
@pytest.mark.skipif(EVERY_STEP not in os.environ, reason=f"takes minutes; set {EVERY_STEP}=1")
def test_processes_of_the_package_alone_make_what_one_process_makes(
    package: BuiltPackage, shop_yaml: Path, pushed_run: Path, tmp_path: Path
) -> None:
    _run(package, shop_yaml, tmp_path, last_step=STEPS[-1], steps_with_beam=len(STEPS) - 1)
    _require_same_tables(tmp_path / "out/EventExampleGen/cases", _output(pushed_run, "EventExampleGen", "cases"))
    for step, key in (
        ("EventExampleGen", "examples"),
        ("ItemExampleGen", "examples"),
        ("EventTransform", "transformed_examples"),
    ):
        assert _records(tmp_path / "out" / step / key) == _records(_output(pushed_run, step, key)), step


def _run(package: BuiltPackage, shop: Path, folder: Path, *, last_step: str, steps_with_beam: int) -> None:
    """Runs the steps; each that has Beam in it must have its workers, and all our code be that of the package."""
    origins = folder / "origins.jsonl"
    settings = (last_step, "beam.direct.mode=multi_processing", f"beam.direct.workers={WORKERS}")
    variables = {ORIGINS_VARIABLE: str(origins), "AISLE_MODELS": str(models_folder()), "TF_USE_LEGACY_KERAS": "1"}
    script = Path(__file__).with_name("package_steps.py")
    package.run(script, str(shop), str(folder / "out"), *settings, folder=folder, **variables)
    told = [json.loads(line) for line in origins.read_text(encoding="utf-8").splitlines()]
    workers = [found for command, found in told if "apache_beam.runners.worker.sdk_worker_main" in command]
    assert len(workers) >= WORKERS * steps_with_beam
    assert sum("pipeline" in found for found in workers) >= steps_with_beam
    assert {path for _, found in told for path in found.values()} == {str(package.site / "pipeline/__init__.py")}


def _output(run: Path, step: str, key: str) -> Path:
    (version,) = (run / "pipeline" / step / key).iterdir()
    return version


def _require_same_tables(found: Path, expected: Path) -> None:
    names = sorted(str(path.relative_to(expected)) for path in expected.rglob("*.parquet"))
    assert names
    assert names == sorted(str(path.relative_to(found)) for path in found.rglob("*.parquet"))
    for name in names:
        assert (found / name).read_bytes() == (expected / name).read_bytes(), name


def _records(examples: Path) -> dict[str, list[bytes]]:
    """The examples of each split, in an order of their own."""
    splits = {}
    for folder in sorted(examples.glob("Split-*")):
        records = tf.data.TFRecordDataset([str(path) for path in sorted(folder.iterdir())], compression_type="GZIP")
        parsed = (tf.train.Example.FromString(record.numpy()) for record in records)
        splits[folder.name] = sorted(example.SerializeToString(deterministic=True) for example in parsed)
    return splits
