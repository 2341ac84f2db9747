"""Compiles the pipeline that the local runner runs into a specification for Kubeflow."""

from __future__ import annotations

from pathlib import Path

from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner

from pipeline import dag
from pipeline.config import Config


def compile_pipeline(config: Config, output: Path, *, image: str, root: str) -> list[str]:
    """Writes a pipeline specification of schema 2.1.0, the one that open-source Kubeflow accepts.

    Args:
      config: the shop's configuration; its paths must be valid where the steps run.
      output: the YAML file.
      image: the image with this package, which every step runs in.
      root: the folder that all steps share.

    Returns:
      The names of the steps.

    Raises:
      ValueError: if the file's name does not end in .yaml; TFX would write JSON, which Kubeflow does not load.
    """
    if output.suffix not in {".yaml", ".yml"}:
        raise ValueError(f"expected a file that ends in .yaml, got '{output}'")
    pipeline = dag.build(config, dag.Locations.under(root))
    runner_config = kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(default_image=image, use_pipeline_spec_2_1=True)
    runner = kubeflow_v2_dag_runner.KubeflowV2DagRunner(
        config=runner_config, output_dir=str(output.parent), output_filename=output.name
    )
    runner.run(pipeline)
    return [component.id for component in pipeline.components]
