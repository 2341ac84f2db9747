"""ItemExampleGen: an example for each item of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import apache_beam as beam
import pyarrow.parquet as pq
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import BaseChannel, Channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from typing_extensions import override

from pipeline.artifacts import Tables
from pipeline.components import payload, records
from pipeline.examples import item_batches

SPLIT = "train"  # Transform analyses this split by default; items have no other


class _WriteItems(beam.DoFn):
    """Writes the examples of one row group of the items table."""

    def __init__(self, items: str, examples: str) -> None:
        self._items, self._examples = items, examples

    @override
    def process(self, element: tuple[int, int]) -> Iterator[int]:
        group, groups = element
        table = pq.ParquetFile(payload.seen(self._items)).read_row_group(group)
        path = records.shard_path(payload.seen(self._examples), SPLIT, group, groups)
        yield records.write_examples(path, item_batches(table))


class ItemExampleGenSpec(ComponentSpec):
    """What ItemExampleGen reads and writes."""

    PARAMETERS: ClassVar = {"code": ExecutionParameter(type=str)}
    INPUTS: ClassVar = {"tables": ChannelParameter(type=Tables)}
    OUTPUTS: ClassVar = {"examples": ChannelParameter(type=standard_artifacts.Examples)}


class Executor(base_beam_executor.BaseBeamExecutor):
    """Reads the items table; writes examples."""

    @override
    def Do(
        self,
        input_dict: payload.ArtifactsByKey,
        output_dict: payload.ArtifactsByKey,
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes one shard for each row group through Beam."""
        items = payload.folder(input_dict, "tables") / "items.parquet"
        metadata = pq.read_metadata(items)
        if not metadata.num_rows:
            raise ValueError("the catalogue is empty after cleaning; see the cleaning report")
        groups = metadata.num_row_groups
        with (
            payload.scratch(payload.folder(output_dict, "examples")) as examples,
            self._make_beam_pipeline() as flow,
        ):
            _ = (
                flow
                | "Groups" >> beam.Create([(group, groups) for group in range(groups)])
                | "Spread" >> beam.Reshuffle()
                | "Write" >> beam.ParDo(_WriteItems(str(items), str(examples)))
            )
        artifact = payload.single(output_dict, "examples")
        records.name_splits(artifact, (SPLIT,))
        payload.describe(artifact, f"{metadata.num_rows:,} items")


class ItemExampleGen(base_beam_component.BaseBeamComponent):
    """Makes an example of each item.

    Args:
      tables: channel of Tables.
      code: fingerprint of the code.
    """

    SPEC_CLASS = ItemExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, tables: BaseChannel, code: str) -> None:
        super().__init__(
            ItemExampleGenSpec(tables=tables, code=code, examples=Channel(type=standard_artifacts.Examples))
        )
