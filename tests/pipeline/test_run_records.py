"""What ML Metadata is told about interrupted runs, and about results that other pushed models have made stale."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata
from tfx.orchestration.portable import execution_publish_utils
from tfx.orchestration.portable.mlmd import context_lib
from tfx.proto.orchestration import pipeline_pb2
from tfx.types import standard_artifacts

from pipeline import run_records

LIVE, DELETED = metadata_store_pb2.Artifact.LIVE, metadata_store_pb2.Artifact.DELETED


@pytest.fixture
def records(tmp_path: Path) -> Iterator[metadata.Metadata]:
    with metadata.Metadata(metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite"))) as opened:
        yield opened


def _start(records: metadata.Metadata, step: str) -> metadata_store_pb2.Execution:
    """Registers an execution as TFX's launcher does before the work begins."""
    specs = pipeline_pb2.NodeContexts()
    context = specs.contexts.add()
    context.type.name = "node"
    context.name.field_value.string_value = f"shop.{step}"
    contexts = context_lib.prepare_contexts(records, specs)
    kind = metadata_store_pb2.ExecutionType(name=step)
    return execution_publish_utils.register_execution(records, kind, contexts)


def test_what_an_interrupted_step_left_is_closed_and_removed(records: metadata.Metadata, tmp_path: Path) -> None:
    done, running = _start(records, "TableGen"), _start(records, "Trainer")
    done.last_known_state = run_records.State.COMPLETE
    records.store.put_executions([done])
    for step, execution in (("TableGen", done), ("Trainer", running)):
        (tmp_path / step / "model" / str(execution.id)).mkdir(parents=True)
        (tmp_path / step / ".system" / "executor_execution").mkdir(parents=True)
    assert run_records.clear_interrupted(records, tmp_path) == ["Trainer"]
    assert run_records.state_of(records, running.id) == run_records.State.FAILED
    assert run_records.state_of(records, done.id) == run_records.State.COMPLETE
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*")) == [
        "TableGen/.system",
        "TableGen/model",
        "Trainer/model",
    ]
    assert list((tmp_path / "Trainer" / "model").iterdir()) == []
    assert run_records.clear_interrupted(records, tmp_path) == []


def _pushed(records: metadata.Metadata, destination: Path | None) -> int:
    artifact = standard_artifacts.PushedModel()
    artifact.uri = "elsewhere"
    if destination is not None:
        artifact.set_string_custom_property("pushed_destination", str(destination))
    artifact.mlmd_artifact.state = LIVE
    artifact.mlmd_artifact.type_id = records.store.put_artifact_type(artifact.artifact_type)
    [number] = records.store.put_artifacts([artifact.mlmd_artifact])
    return int(number)


def test_only_the_newest_push_stays_in_the_cache(records: metadata.Metadata, tmp_path: Path) -> None:
    run_records.forget_stale_results(records)  # before the first push there is nothing to forget
    for version in ("100", "200"):
        (tmp_path / "aisle" / version).mkdir(parents=True)
    numbers = {
        "followed": _pushed(records, tmp_path / "aisle" / "100"),
        "newest": _pushed(records, tmp_path / "aisle" / "200"),
        "removed": _pushed(records, tmp_path / "gone" / "300"),
        "not pushed": _pushed(records, None),
    }
    run_records.forget_stale_results(records)
    states = {name: records.store.get_artifacts_by_id([number])[0].state for name, number in numbers.items()}
    assert states == {"followed": DELETED, "newest": LIVE, "removed": DELETED, "not pushed": LIVE}


def _model(folder: Path, content: str) -> Path:
    """A Trainer's artifact, or, with no more than the served model's file, a pushed version."""
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_text(content)
    return folder


def _verdict(records: metadata.Metadata, model: Path, base: Path, last_blessed: Path | None) -> int:
    artifact = standard_artifacts.ModelBlessing()
    artifact.uri = "elsewhere"
    artifact.set_string_custom_property("judged_model", str(model))
    artifact.set_string_custom_property("push_destination", str(base))
    artifact.set_string_custom_property("last_blessed", str(last_blessed or ""))
    artifact.mlmd_artifact.state = LIVE
    artifact.mlmd_artifact.type_id = records.store.put_artifact_type(artifact.artifact_type)
    [number] = records.store.put_artifacts([artifact.mlmd_artifact])
    return int(number)


def test_a_verdict_is_forgotten_where_another_model_is_the_last_blessed_one(
    records: metadata.Metadata, tmp_path: Path
) -> None:
    base = tmp_path / "serving" / "aisle"
    first = _model(base / "100", "first")
    second = _model(base / "200", "second")
    for name in ("first", "second", "third"):
        _model(tmp_path / name / "Format-Serving", name)
    numbers = {
        "pushed since": _verdict(records, tmp_path / "second", base, first),
        "judged beside the newest": _verdict(records, tmp_path / "third", base, second),
        "judged before any push, then followed": _verdict(records, tmp_path / "first", base, None),
        "judged beside one that was followed": _verdict(records, tmp_path / "third", base, first),
        "of a place without models": _verdict(records, tmp_path / "third", tmp_path / "none", None),
        "of a place that lost its models": _verdict(records, tmp_path / "third", tmp_path / "none", first),
    }
    run_records.forget_stale_results(records)
    states = {name: records.store.get_artifacts_by_id([number])[0].state for name, number in numbers.items()}
    assert [name for name, state in states.items() if state == DELETED] == [
        "judged before any push, then followed",
        "judged beside one that was followed",
        "of a place that lost its models",
    ]
