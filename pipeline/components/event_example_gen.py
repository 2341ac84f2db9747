"""EventExampleGen: an example for each positive event, and the cases that judge the model.

Beam hands out the buckets of events; what each bucket gives goes to files of its own, so that memory
is bounded by a bucket and buckets can be worked on anywhere.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import BaseChannel, Channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from typing_extensions import override

from pipeline.artifacts import Cases, Tables
from pipeline.components import payload, records
from pipeline.config import Config, parse_config
from pipeline.config.ranking import past_name
from pipeline.examples import SPLITS, BucketExamples, build_bucket
from pipeline.windows import Windows, plan_windows

REPORT_FILE = "report.json"
_PARTS = ".parts"

Counts = dict[str, int]


class EmptySplitError(ValueError):
    """A split has no examples; the message says which setting decides that."""


def read_windows(config: Config, buckets: Iterable[Path]) -> Windows:
    """Places the split over the events, by the timestamps that the Parquet footers tell.

    Args:
      config: the shop's configuration.
      buckets: the files of events.

    Returns:
      The windows.

    Raises:
      WindowError: if the split cannot be made with these events.
      ValueError: if there is no event at all.
    """
    bounds: list[int] = []
    for path in buckets:
        metadata = pq.read_metadata(path)
        column = metadata.schema.names.index("timestamp")
        for group in range(metadata.num_row_groups):
            statistics = metadata.row_group(group).column(column).statistics
            bounds += [statistics.min, statistics.max]
    if not bounds:
        raise ValueError("the table of events is empty after cleaning; see the cleaning report")
    return plan_windows(config.split, min(bounds), max(bounds))


class _BuildBucket(beam.DoFn):
    """Writes the examples and the cases of one bucket and yields how many there are."""

    def __init__(self, config: str, tables: str, examples: str, cases: str, windows: Windows) -> None:
        self._config, self._windows = config, windows
        self._tables, self._examples, self._cases = tables, examples, cases

    @override
    def process(self, element: tuple[int, int]) -> Iterator[Counts]:
        bucket, buckets = element
        tables, examples, cases = (payload.seen(path) for path in (self._tables, self._examples, self._cases))
        built = build_bucket(
            pq.read_table(_buckets(tables)[bucket]),
            parse_config(json.loads(self._config)),
            self._windows,
            pq.read_table(tables / "items.parquet", columns=["item_id"])["item_id"],
            _users(tables),
        )
        counts: Counts = {
            split: records.write_examples(records.shard_path(examples, split, bucket, buckets), built.batches(split))
            for split in SPLITS
        }
        for name, part in _case_tables(built).items():
            path = _part_path(cases, name, bucket)
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(part, path)
            counts[f"{name}_rows"] = part.num_rows
        yield counts


class _JoinParts(beam.DoFn):
    """Puts the buckets' cases together, in the order of the buckets, and writes the report."""

    def __init__(self, cases: str) -> None:
        self._cases = cases

    @override
    def process(self, element: None, counts: list[Counts]) -> Iterator[Counts]:
        cases = payload.seen(self._cases)
        for folder in sorted((cases / _PARTS).iterdir()):
            parts = [_part_path(cases, folder.name, bucket) for bucket in range(len(counts))]
            with pq.ParquetWriter(cases / f"{folder.name}.parquet", pq.read_schema(parts[0])) as writer:
                for part in parts:
                    writer.write_table(pq.read_table(part))
        shutil.rmtree(cases / _PARTS)
        total = {name: sum(bucket[name] for bucket in counts) for name in sorted(counts[0])}
        (cases / REPORT_FILE).write_text(json.dumps(total, indent=2) + "\n", encoding="utf-8")
        yield total


def _case_tables(built: BucketExamples) -> dict[str, pa.Table]:
    """Makes the tables of one bucket's cases by file name."""
    ranking = built.bucket.config.ranking
    numbers = range(1, 1 + ranking.windows) if ranking.enabled else ()
    return {
        "validation": built.validation_cases,
        "test": built.test_cases,
        "histories": built.histories,
        **{past_name(number): built.past_cases(number) for number in numbers},
    }


def _buckets(tables: Path) -> list[Path]:
    return sorted((tables / "events").glob("bucket-*.parquet"))


def _users(tables: Path) -> pa.Table | None:
    path = tables / "users.parquet"
    return pq.read_table(path) if path.exists() else None


def _part_path(cases: Path, name: str, bucket: int) -> Path:
    return cases / _PARTS / name / f"bucket-{bucket:05d}.parquet"


class EventExampleGenSpec(ComponentSpec):
    """What EventExampleGen reads and writes."""

    PARAMETERS: ClassVar = {
        "config": ExecutionParameter(type=str),
        "code": ExecutionParameter(type=str),
        **payload.RUN_PARAMETERS,
    }
    INPUTS: ClassVar = {"tables": ChannelParameter(type=Tables)}
    OUTPUTS: ClassVar = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "cases": ChannelParameter(type=Cases),
    }


class Executor(base_beam_executor.BaseBeamExecutor):
    """Reads the tables' buckets of events; writes examples and cases."""

    @override
    def Do(
        self,
        input_dict: payload.ArtifactsByKey,
        output_dict: payload.ArtifactsByKey,
        exec_properties: dict[str, Any],
    ) -> None:
        """Builds every bucket through Beam."""
        tables = payload.folder(input_dict, "tables")
        config = payload.configuration(exec_properties)
        buckets = _buckets(tables)
        windows = read_windows(config, buckets)
        with (
            payload.scratch(payload.folder(output_dict, "examples")) as examples,
            payload.scratch(payload.folder(output_dict, "cases")) as cases,
        ):
            build = _BuildBucket(config.model_dump_json(), str(tables), str(examples), str(cases), windows)
            with self._make_beam_pipeline() as flow:
                counts = (
                    flow
                    | "Buckets" >> beam.Create([(bucket, len(buckets)) for bucket in range(len(buckets))])
                    | "Spread" >> beam.Reshuffle()
                    | "Build" >> beam.ParDo(build)
                )
                join = beam.ParDo(_JoinParts(str(cases)), beam.pvalue.AsList(counts))
                _ = flow | "Once" >> beam.Create([None]) | "Join" >> join
            total: Counts = json.loads((cases / REPORT_FILE).read_text(encoding="utf-8"))
            _require_examples(config, total)
        examples_artifact = payload.single(output_dict, "examples")
        records.name_splits(examples_artifact, SPLITS)
        payload.describe(examples_artifact, f"{total['train']:,} training, {total['validation']:,} validation examples")


def _require_examples(config: Config, total: Counts) -> None:
    labels = ", ".join(config.training.event_weights)
    for split in SPLITS:
        if not total[split]:
            raise EmptySplitError(
                f"the {split} window has no event that can be a label ({labels}) with an item of the catalogue; "
                "look at training.event_weights, split.test_start, split.validation_days and the cleaning report"
            )


class EventExampleGen(base_beam_component.BaseBeamComponent):
    """Makes examples and cases from the tables.

    Args:
      tables: channel of Tables.
      config: configuration as JSON.
      code: fingerprint of the code.
      parameters: what a run on a cluster says for itself, by name.
    """

    SPEC_CLASS = EventExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        *,
        tables: BaseChannel,
        config: str,
        code: str,
        parameters: Mapping[str, Any] = payload.NO_PARAMETERS,
    ) -> None:
        super().__init__(
            EventExampleGenSpec(
                tables=tables,
                config=config,
                code=code,
                examples=Channel(type=standard_artifacts.Examples),
                cases=Channel(type=Cases),
                **parameters,
            )
        )
