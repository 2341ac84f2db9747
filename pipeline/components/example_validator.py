"""ExampleValidator: TFX's own, which besides stops the run when examples break the schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components.example_validator import component
from tfx.components.example_validator import executor as stock
from tfx.dsl.components.base import executor_spec
from tfx.proto.orchestration import execution_result_pb2
from typing_extensions import override

from pipeline.components import payload

_MAX_NAMED = 20


class AnomalyError(ValueError):
    """Examples break the schema; the message names each feature and what is wrong with it."""


class Executor(stock.Executor):
    """Validates as TFX does, then raises if there was any anomaly."""

    @override
    def Do(
        self,
        input_dict: payload.ArtifactsByKey,
        output_dict: payload.ArtifactsByKey,
        exec_properties: dict[str, Any],
    ) -> execution_result_pb2.ExecutorOutput:
        """Validates every split.

        Returns:
          What TFX's executor returns.

        Raises:
          AnomalyError: naming the anomalies.
        """
        self._found: list[str] = []
        output = super().Do(input_dict, output_dict, exec_properties)
        if self._found:
            more = len(self._found) - _MAX_NAMED
            named = self._found[:_MAX_NAMED] + ([f"... and {more} more"] if more > 0 else [])
            raise AnomalyError("the examples break the schema:\n" + "\n".join(f"  {line}" for line in named))
        return output

    @override
    def _Validate(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> anomalies_pb2.Anomalies:
        anomalies = super()._Validate(inputs, outputs)
        self._found.extend(line for line in describe_anomalies(anomalies) if line not in self._found)
        return anomalies


def describe_anomalies(anomalies: anomalies_pb2.Anomalies) -> Iterator[str]:
    """Yields `feature: what` for each anomaly of one split."""
    for reason in anomalies.dataset_anomaly_info.reason:
        yield f"all examples: {reason.description or reason.short_description}"
    for feature, info in sorted(anomalies.anomaly_info.items()):
        for reason in info.reason:
            yield f"{feature}: {reason.short_description}: {reason.description}"


class ExampleValidator(component.ExampleValidator):
    """Checks statistics against the schema and stops the run on anomalies."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
