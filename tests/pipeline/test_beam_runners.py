"""A component on a cluster's runner: Beam's own job server and worker pool stand where Flink's and Spark's would be.

They speak the same API. What a cluster does with a job behind it is not tried here.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.runners.portability.local_job_service import LocalJobServicer
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from executors import artifact, execute
from tiny_shop import shop_config, write_shop

from pipeline.artifacts import Tables
from pipeline.beam_arguments import beam_arguments
from pipeline.components import table_gen
from pipeline.config.beam import BeamConfig


@pytest.fixture(scope="module")
def job_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    service = LocalJobServicer(str(tmp_path_factory.mktemp("staging")))
    yield f"localhost:{service.start_grpc_server(0)}"
    service.stop()


@pytest.fixture(scope="module")
def worker_pool() -> Iterator[str]:
    address, server = BeamFnExternalWorkerPoolServicer.start()
    yield address
    server.stop(0)


@pytest.mark.parametrize("runner", ["flink", "spark"])
def test_a_table_is_the_same_from_workers_of_a_pool(
    runner: str, job_endpoint: str, worker_pool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["aisle"])  # TFX looks there for options, too
    write_shop(tmp_path / "shop")
    config = shop_config(tmp_path / "shop")
    section = {"job_endpoint": job_endpoint, "environment": {"type": "external", "address": worker_pool}}
    beam = BeamConfig.model_validate({"runner": runner, runner: section})
    made = {}
    for name, arguments in {"here": [], "there": beam_arguments(beam)}.items():
        outputs: Any = {"tables": artifact(Tables, tmp_path / name)}
        properties = {"config": config.model_dump_json(), "sources": "", "code": ""}
        execute(table_gen.Executor, {}, outputs, tmp_path / "scratch", beam_arguments=arguments, **properties)
        files = [path for path in sorted((tmp_path / name).rglob("*")) if path.is_file()]
        made[name] = {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in files}
    assert {"items.parquet", "events/bucket-00002.parquet", "report.json"} <= made["here"].keys()
    assert made["there"] == made["here"]


def test_a_worker_that_does_not_see_the_folder_of_the_run_says_so(tmp_path: Path) -> None:
    where = table_gen._Where(shop_config(tmp_path).model_dump_json(), str(tmp_path / "elsewhere"))
    with pytest.raises(
        FileNotFoundError, match=r"worker on \S+ does not see \S+/elsewhere: every machine .* same path"
    ):
        table_gen._MergeBucket(where).setup()
