"""TableGen: reads the shop's tables, cleans them, and sorts the events into buckets of whole visitors.

Only names and reports pass through Beam. The data goes through files, an external shuffle: each part of
the source writes a fragment for each bucket, and each bucket merges its fragments. So memory is bounded
by a batch and a bucket on any runner, and parts and buckets can be worked on anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import apache_beam as beam
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from typing_extensions import override

from pipeline import run_parameters, tables
from pipeline.artifacts import Files, Tables
from pipeline.components import payload
from pipeline.config import Config, parse_config
from pipeline.report import TableReport, TablesReport
from pipeline.sources.source import SourcePart

REPORT_FILE = "report.json"


Parts = list[SourcePart]
Reports = list[TableReport]


@dataclass(frozen=True)
class _Where:
    """What every stage needs, as texts that travel to workers: the configuration as JSON, the tables' folder."""

    config: str
    folder: str


class _Stage(beam.DoFn):
    """One stage of the import."""

    def __init__(self, where: _Where) -> None:
        self._where = where

    @override
    def setup(self) -> None:
        self._config = parse_config(json.loads(self._where.config))
        self._folder = payload.seen(self._where.folder)


class _ImportCatalogue(_Stage):
    """Writes the users and the items; these tables are small beside the events."""

    @override
    def process(self, element: Parts) -> Iterator[TableReport]:
        users = tables.import_users(self._config, element, self._folder)
        if users is not None:
            yield users
        yield tables.import_items(self._config, element, self._folder)


class _ImportPart(_Stage):
    """Reads one part of the events and writes its fragments. The catalogue's reports are only waited for."""

    @override
    def process(self, element: SourcePart, catalogue: Reports) -> Iterator[TableReport]:
        yield tables.import_events_part(self._config, element, self._folder)


class _MergeBucket(_Stage):
    """Sorts the fragments of one bucket into its file. The parts' reports are only waited for."""

    @override
    def process(self, element: int, parts: Reports) -> Iterator[TableReport]:
        yield tables.merge_bucket(self._config, self._folder, element)


class _Finish(_Stage):
    """Adds up the reports of all stages and completes the folder."""

    @override
    def process(self, element: Parts, *stages: Reports) -> Iterator[TablesReport]:
        reports = [report for stage in stages for report in stage]
        yield tables.finish_tables(self._config, element, self._folder, reports)


class TableGenSpec(ComponentSpec):
    """What TableGen reads and writes. `sources` is a fingerprint: files are not artifacts."""

    PARAMETERS: ClassVar = {
        "config": ExecutionParameter(type=str),
        "sources": ExecutionParameter(type=str),
        "code": ExecutionParameter(type=str),
        **payload.RUN_PARAMETERS,
    }
    INPUTS: ClassVar = {"files": ChannelParameter(type=Files, optional=True)}
    OUTPUTS: ClassVar = {"tables": ChannelParameter(type=Tables)}


class Executor(base_beam_executor.BaseBeamExecutor):
    """Runs the import through Beam."""

    @override
    def Do(
        self,
        input_dict: payload.ArtifactsByKey,
        output_dict: payload.ArtifactsByKey,
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the tables and the cleaning report."""
        config = payload.configuration(exec_properties)
        if input_dict.get("files"):
            config = placed(config, payload.folder(input_dict, "files"))
        parts = tables.plan_parts(config)
        with payload.scratch(payload.folder(output_dict, "tables")) as work:
            with self._make_beam_pipeline() as flow:
                _import(flow, parts, _Where(config.model_dump_json(), str(work)))
            total = json.loads((work / REPORT_FILE).read_text(encoding="utf-8"))["tables"]
        payload.describe(payload.single(output_dict, "tables"), summarise(total))


def placed(config: Config, folder: Path) -> Config:
    """Returns the configuration with the tables' paths, which are relative, in a folder."""
    tree = config.model_dump(mode="json")
    paths = {
        name: str(folder / str(value))
        for name, value in run_parameters.defaults(config).items()
        if name in run_parameters.PATHS
    }
    return run_parameters.applied(tree, paths, source="files")


def _import(flow: beam.Pipeline, parts: Parts, where: _Where) -> None:
    """Lays out the import; side inputs make each stage wait for the one before."""
    as_list = beam.pvalue.AsList
    plan = flow | "Plan" >> beam.Create([parts])
    catalogue = plan | "Catalogue" >> beam.ParDo(_ImportCatalogue(where))
    fragments = (
        flow
        | "Parts" >> beam.Create([part for part in parts if part.table == "events"])
        | "Spread parts" >> beam.Reshuffle()
        | "Fragments" >> beam.ParDo(_ImportPart(where), as_list(catalogue))
    )
    buckets = (
        flow
        | "Buckets" >> beam.Create(list(range(tables.bucket_count(parts))))
        | "Spread buckets" >> beam.Reshuffle()
        | "Merge" >> beam.ParDo(_MergeBucket(where), as_list(fragments))
    )
    _ = plan | "Finish" >> beam.ParDo(_Finish(where), as_list(catalogue), as_list(fragments), as_list(buckets))


def summarise(total: dict[str, Any]) -> str:
    """Says in one line how many rows of each table were kept and dropped."""
    lines = []
    for name in sorted(total):
        dropped = total[name]["read"] - total[name]["kept"]
        lines.append(f"{total[name]['kept']:,} {name}" + (f" ({dropped:,} rows dropped)" if dropped else ""))
    return ", ".join(lines)


class TableGen(base_beam_component.BaseBeamComponent):
    """Imports the shop's tables.

    Args:
      config: configuration as JSON.
      sources: fingerprint of the files, or the parameter that names their state.
      code: fingerprint of the code.
      parameters: what a run on a cluster says for itself, by name.
      files: channel of the shop's Files; None where the tables' paths are files that the step sees.
    """

    SPEC_CLASS = TableGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        *,
        config: str,
        sources: Any,
        code: str,
        parameters: Mapping[str, Any] = payload.NO_PARAMETERS,
        files: BaseChannel | None = None,
    ) -> None:
        super().__init__(
            TableGenSpec(
                config=config, sources=sources, code=code, files=files, tables=Channel(type=Tables), **parameters
            )
        )
