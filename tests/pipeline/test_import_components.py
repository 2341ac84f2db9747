"""TableGen, EventExampleGen and ItemExampleGen against the same work done by hand in one process."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from executors import artifact, execute
from pandas.testing import assert_frame_equal
from tfx.types import standard_artifacts
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder
from tiny_shop import shop_config, write_shop

from pipeline import run_parameters, tables
from pipeline.artifacts import Cases, Files, Tables
from pipeline.components import event_example_gen, item_example_gen, table_gen
from pipeline.components.event_example_gen import read_windows
from pipeline.config import Config
from pipeline.examples import build_bucket, item_batches
from pipeline.sources.source import TableError


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder)
    return shop_config(folder)


@pytest.fixture(scope="module")
def imported(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    (folder / "left by a killed run").mkdir()
    outputs = {"tables": artifact(Tables, folder)}
    execute(table_gen.Executor, {}, outputs, folder.parent, config=config.model_dump_json(), sources="", code="")
    assert outputs["tables"][0].get_string_custom_property("summary") == "1,200 events (1 rows dropped), 30 items"
    return folder


@pytest.fixture(scope="module")
def exampled(config: Config, imported: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("examples")
    outputs = {
        "examples": artifact(standard_artifacts.Examples, folder / "examples"),
        "cases": artifact(Cases, folder / "cases"),
    }
    inputs = {"tables": artifact(Tables, imported)}
    execute(event_example_gen.Executor, inputs, outputs, folder, config=config.model_dump_json(), code="")
    assert outputs["examples"][0].split_names == '["train", "validation"]'
    return {name: Path(made[0].uri) for name, made in outputs.items()}


def _records(folder: Path) -> list[tf.train.Example]:
    files = [str(path) for path in sorted(folder.iterdir())]
    dataset = tf.data.TFRecordDataset(files, compression_type="GZIP")
    return [tf.train.Example.FromString(record.numpy()) for record in dataset]


def _encoded(batch: pa.RecordBatch) -> list[tf.train.Example]:
    return [tf.train.Example.FromString(record) for record in RecordBatchToExamplesEncoder().encode(batch)]


def test_tables_equal_an_import_in_one_process(config: Config, imported: Path, tmp_path: Path) -> None:
    tables.import_tables(config, tmp_path)
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert names == sorted(str(path.relative_to(imported)) for path in imported.rglob("*"))
    assert len([name for name in names if "bucket-" in name]) == 3
    for name in names:
        if name.endswith(".parquet"):
            assert_frame_equal(pq.read_table(imported / name).to_pandas(), pq.read_table(tmp_path / name).to_pandas())
    assert (imported / "report.json").read_text() == (tmp_path / "report.json").read_text()


def test_files_from_an_object_store_lie_where_the_run_says(config: Config, imported: Path, tmp_path: Path) -> None:
    folder = Path(str(config.tables.events.path)).parent
    elsewhere = {"events_path": "-", "items_path": "-"}
    told = run_parameters.applied(config.model_dump(mode="json"), elsewhere, "test").model_dump_json()
    inputs, outputs = {"files": artifact(Files, folder)}, {"tables": artifact(Tables, tmp_path / "tables")}
    properties = {"config": told, "sources": "", "code": "", "events_path": "events.csv", "items_path": "items.csv"}
    execute(table_gen.Executor, inputs, outputs, tmp_path, **properties)
    for name in ("items.parquet", "events/bucket-00000.parquet"):
        assert (tmp_path / "tables" / name).read_bytes() == (imported / name).read_bytes()


def test_the_report_adds_up(imported: Path) -> None:
    events = json.loads((imported / "report.json").read_text())["tables"]["events"]
    assert events["read"] == 1201
    assert events["read"] == events["kept"] + sum(dropped["rows"] for dropped in events["dropped"].values())


def test_a_missing_file_fails_with_its_name(config: Config, tmp_path: Path) -> None:
    broken = config.model_copy(
        update={
            "tables": config.tables.model_copy(
                update={"items": config.tables.items.model_copy(update={"path": str(tmp_path / "gone.csv")})}
            )
        }
    )
    outputs = {"tables": artifact(Tables, tmp_path / "out")}
    with pytest.raises(TableError, match=r"gone\.csv"):
        execute(table_gen.Executor, {}, outputs, tmp_path, config=broken.model_dump_json(), sources="", code="")


def test_examples_equal_those_built_by_hand(config: Config, imported: Path, exampled: dict[str, Path]) -> None:
    buckets = sorted((imported / "events").iterdir())
    windows = read_windows(config, buckets)
    item_ids = pq.read_table(imported / "items.parquet")["item_id"]
    for split in ("train", "validation"):
        expected = [
            record
            for bucket in buckets
            for batch in build_bucket(pq.read_table(bucket), config, windows, item_ids).batches(split)
            for record in _encoded(batch)
        ]
        assert len(expected) > 20
        assert _records(exampled["examples"] / f"Split-{split}") == expected


def test_cases_of_all_buckets_are_joined(config: Config, imported: Path, exampled: dict[str, Path]) -> None:
    buckets = sorted((imported / "events").iterdir())
    windows = read_windows(config, buckets)
    item_ids = pq.read_table(imported / "items.parquet")["item_id"]
    built = [build_bucket(pq.read_table(bucket), config, windows, item_ids) for bucket in buckets]
    cases = exampled["cases"]
    assert pq.read_table(cases / "validation.parquet").equals(pa.concat_tables([b.validation_cases for b in built]))
    assert pq.read_table(cases / "test.parquet").equals(pa.concat_tables([b.test_cases for b in built]))
    assert pq.read_table(cases / "histories.parquet").equals(pa.concat_tables([b.histories for b in built]))
    assert pq.read_schema(cases / "histories.parquet").metadata[b"as_of"] == str(windows.as_of).encode()
    report = json.loads((cases / "report.json").read_text())
    assert report["validation_rows"] == pq.read_metadata(cases / "validation.parquet").num_rows
    assert report["train"] == len(_records(exampled["examples"] / "Split-train"))
    assert sorted(path.name for path in cases.iterdir()) == [
        "histories.parquet",
        *(f"past-{number}.parquet" for number in (1, 2, 3)),
        "report.json",
        "test.parquet",
        "validation.parquet",
    ]


def test_windows_come_from_the_footers(config: Config, imported: Path) -> None:
    buckets = sorted((imported / "events").iterdir())
    seconds = [value for path in buckets for value in pq.read_table(path)["timestamp"].to_pylist()]
    assert read_windows(config, buckets).as_of == max(seconds) + 1


def test_a_split_without_labels_names_the_settings(config: Config, imported: Path, tmp_path: Path) -> None:
    unwanted = config.model_copy(
        update={"training": config.training.model_copy(update={"event_weights": {"rate": 1.0}})}
    )
    outputs = {
        "examples": artifact(standard_artifacts.Examples, tmp_path / "examples"),
        "cases": artifact(Cases, tmp_path / "cases"),
    }
    inputs = {"tables": artifact(Tables, imported)}
    with pytest.raises(event_example_gen.EmptySplitError, match=r"train window.*\(rate\).*training\.event_weights"):
        execute(event_example_gen.Executor, inputs, outputs, tmp_path, config=unwanted.model_dump_json(), code="")


def test_item_examples_are_the_catalogue_in_order(imported: Path, tmp_path: Path) -> None:
    outputs = {"examples": artifact(standard_artifacts.Examples, tmp_path / "items")}
    execute(item_example_gen.Executor, {"tables": artifact(Tables, imported)}, outputs, tmp_path, code="")
    batches = item_batches(pq.read_table(imported / "items.parquet"))
    expected = [record for batch in batches for record in _encoded(batch)]
    assert len(expected) == 30
    assert _records(tmp_path / "items" / "Split-train") == expected
