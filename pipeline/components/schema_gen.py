"""SchemaGen: the curated schema of the raw examples, from the column table and the configuration."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import Channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import io_utils
from typing_extensions import override

from pipeline import schema
from pipeline.components import payload
from pipeline.config import Config
from pipeline.raw_features import RawFeature, event_features, item_features

Table = Literal["events", "items"]
SCHEMA_FILE = "schema.pbtxt"

_TYPES = {"string": schema_pb2.BYTES, "int": schema_pb2.INT, "float": schema_pb2.FLOAT}
_ZERO_OR_MORE = (schema.RAW_HISTORY_AGES_DAYS, schema.RAW_PRICE, schema.RAW_WEIGHT)
# Strings without end, not categories: counting their commonest values takes half the time of the statistics.
_FREE_STRINGS = (schema.RAW_USER_ID, schema.RAW_HISTORY_ITEM_IDS, schema.RAW_QUERY)


def build_schema(table: Table, config: Config) -> schema_pb2.Schema:
    """Says what every raw example must look like.

    Args:
      table: whose examples.
      config: the shop's configuration.

    Returns:
      A schema with a fixed shape for each feature, domains where the values are known, and ranges
      where a value outside them is a mistake.
    """
    result = schema_pb2.Schema()
    result.dataset_constraints.min_examples_count = 1
    for raw in event_features(config) if table == "events" else item_features():
        _add_feature(result, raw)
    features = {feature.name: feature for feature in result.feature}
    if table == "events":
        features[schema.RAW_EVENT_TYPE].string_domain.value.extend(sorted(config.training.event_weights))
        features[schema.RAW_HISTORY_EVENT_TYPES].string_domain.value.extend(["", *schema.EVENT_TYPES])
        features[schema.RAW_TIMESTAMP].int_domain.min = 0
    return result


def _add_feature(result: schema_pb2.Schema, raw: RawFeature) -> None:
    feature = result.feature.add(name=raw.name, type=_TYPES[raw.kind])
    feature.presence.min_fraction = 1
    feature.presence.min_count = 1
    feature.shape.dim.add(size=raw.length)
    if raw.name in _FREE_STRINGS:
        feature.string_domain.is_categorical = schema_pb2.StringDomain.CATEGORICAL_NO
    if raw.kind == "float":
        feature.float_domain.disallow_nan = True
        feature.float_domain.disallow_inf = True
        if raw.name in _ZERO_OR_MORE:
            feature.float_domain.min = 0


class SchemaGenSpec(ComponentSpec):
    """What SchemaGen reads and writes."""

    PARAMETERS: ClassVar = {
        "table": ExecutionParameter(type=str),
        "config": ExecutionParameter(type=str),
        "code": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {}
    OUTPUTS: ClassVar = {"schema": ChannelParameter(type=standard_artifacts.Schema)}


class Executor(base_executor.BaseExecutor):
    """Writes the schema."""

    @override
    def Do(
        self,
        input_dict: payload.ArtifactsByKey,
        output_dict: payload.ArtifactsByKey,
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `schema.pbtxt`."""
        target = payload.folder(output_dict, "schema")
        built = build_schema(exec_properties["table"], payload.configuration(exec_properties))
        with payload.scratch(target) as work:
            io_utils.write_pbtxt_file(str(work / SCHEMA_FILE), built)
        payload.describe(payload.single(output_dict, "schema"), f"{len(built.feature)} features")


class SchemaGen(base_component.BaseComponent):
    """Writes the schema that the examples of one table must follow.

    Args:
      table: "events" or "items".
      config: configuration as JSON.
      code: fingerprint of the code.
    """

    SPEC_CLASS = SchemaGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, table: Table, config: str, code: str) -> None:
        output = Channel(type=standard_artifacts.Schema)
        super().__init__(SchemaGenSpec(table=table, config=config, code=code, schema=output))
