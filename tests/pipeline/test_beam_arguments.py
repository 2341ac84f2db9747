"""The section `beam`: its mistakes, and what the installed Beam makes of the options that it becomes."""

from typing import Any

import pytest
from apache_beam.options import pipeline_options as beam_options
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.runner import create_runner

from pipeline.beam_arguments import beam_arguments
from pipeline.config import Config, ConfigError, parse_config
from pipeline.config.beam import RUNNERS, RunnerName, section_of

SETUP_FILE = "/opt/aisle/setup.py"
DATAFLOW: dict[str, Any] = {
    "project": "shop-1",
    "region": "europe-west1",
    "temp_location": "gs://shop-beam/tmp",
    "staging_location": "gs://shop-beam/staging",
    "image": "registry.example.com/aisle-beam:1",
    "service_account": "beam@shop-1.iam.gserviceaccount.com",
    "machine_type": "n2-standard-4",
    "disk_gb": 50,
    "workers": 2,
    "max_workers": 8,
    "subnetwork": "regions/europe-west1/subnetworks/shop",
    "public_ips": False,
    "labels": {"team": "search", "shop": "tiny"},
}
DOCKER = {"type": "docker", "image": "registry.example.com/aisle-beam:1"}
PROCESS = {"type": "process", "command": "/opt/aisle/boot", "variables": {"A": "1", "B": "x y"}}
EXTERNAL = {"type": "external", "address": "localhost:50000"}
LOOPBACK = {"type": "loopback"}
PORTABLE: dict[str, Any] = {
    "environment": DOCKER,
    "job_endpoint": "jobs:8099",
    "artifact_endpoint": "jobs:8098",
    "python_workers": 3,
    "job_server_jar": "/opt/job-server.jar",
    "submit_jar": True,
}
FLINK = {**PORTABLE, "master": "flink:8081", "version": "1.18", "parallelism": 4, "max_parallelism": 16}
SPARK = {**PORTABLE, "master": "spark://spark:7077", "rest_url": "http://spark:6066"}
COMPLETE: dict[RunnerName, dict[str, Any]] = {
    "direct": {"mode": "multi_processing", "workers": 2},
    "dataflow": DATAFLOW,
    "flink": FLINK,
    "spark": SPARK,
}


def _config(**beam: Any) -> Config:
    tables = {"events": {"path": "e.csv"}, "items": {"from_events": True}}
    return parse_config({"name": "tiny", "tables": tables, "split": {"test_start": "2025-01-01"}, "beam": beam})


def _arguments(**beam: Any) -> list[str]:
    return beam_arguments(_config(**beam).beam)


def _complete(runner: RunnerName) -> list[str]:
    setup = {} if runner == "direct" else {"setup_file": SETUP_FILE}
    return _arguments(runner=runner, **{runner: COMPLETE[runner]}, **setup)


def _known_options() -> set[str]:
    """Every option that a view of Beam's has; the parser itself would also take the beginning of one."""
    parser = beam_options._BeamArgumentParser()
    for view in beam_options.PipelineOptions.__subclasses__():
        view._add_argparse_args(parser)
    return set(parser._option_string_actions)


@pytest.mark.parametrize("runner", RUNNERS)
def test_beam_knows_every_option_and_its_runner(runner: RunnerName) -> None:
    assert set(COMPLETE[runner]) == set(section_of(runner).model_fields)
    arguments = _complete(runner)
    assert {argument.partition("=")[0] for argument in arguments} - _known_options() == set()
    name = beam_options.PipelineOptions(arguments).view_as(beam_options.StandardOptions).runner
    assert type(create_runner(name)).__name__.lower().endswith(f"{runner}runner")


def test_without_a_section_beam_gets_no_options() -> None:
    assert _arguments() == []
    assert _arguments(runner="direct") == []


def test_direct() -> None:
    options = beam_options.PipelineOptions(_complete("direct")).view_as(beam_options.DirectOptions)
    assert (options.direct_running_mode, options.direct_num_workers) == ("multi_processing", 2)


def test_dataflow() -> None:
    options = beam_options.PipelineOptions(_complete("dataflow"))
    cloud, worker = options.view_as(beam_options.GoogleCloudOptions), options.view_as(beam_options.WorkerOptions)
    assert cloud.project == DATAFLOW["project"]
    assert cloud.region == DATAFLOW["region"]
    assert cloud.temp_location == DATAFLOW["temp_location"]
    assert cloud.staging_location == DATAFLOW["staging_location"]
    assert cloud.service_account_email == DATAFLOW["service_account"]
    assert cloud.labels == ["team=search", "shop=tiny"]
    assert worker.machine_type == DATAFLOW["machine_type"]
    assert worker.disk_size_gb == 50
    assert (worker.num_workers, worker.max_num_workers) == (2, 8)
    assert worker.subnetwork == DATAFLOW["subnetwork"]
    assert worker.use_public_ips is False
    assert worker.sdk_container_image == DATAFLOW["image"]
    assert options.view_as(beam_options.SetupOptions).setup_file == SETUP_FILE
    check = PipelineOptionsValidator(options, create_runner("DataflowRunner"))
    assert check.is_service_runner()
    assert check.validate_cloud_options(cloud) == []
    assert check.validate_gcs_path(cloud, "temp_location") == check.validate_gcs_path(cloud, "staging_location") == []
    assert worker.validate(check) == []


@pytest.mark.parametrize("given", [True, False, None])
def test_public_addresses_of_workers(given: bool | None) -> None:
    arguments = _arguments(runner="dataflow", dataflow={**DATAFLOW, "public_ips": given})
    worker = beam_options.PipelineOptions(arguments).view_as(beam_options.WorkerOptions)
    assert worker.use_public_ips is given


def test_flink() -> None:
    options = beam_options.PipelineOptions(_complete("flink"))
    flink, portable = options.view_as(beam_options.FlinkRunnerOptions), options.view_as(beam_options.PortableOptions)
    assert (flink.flink_master, flink.flink_version) == ("flink:8081", "1.18")
    assert (flink.parallelism, flink.max_parallelism) == (4, 16)
    assert (flink.flink_submit_uber_jar, flink.flink_job_server_jar) == (True, "/opt/job-server.jar")
    assert (portable.job_endpoint, portable.artifact_endpoint) == ("jobs:8099", "jobs:8098")
    assert portable.sdk_worker_parallelism == "3"  # Beam reads it as a text
    assert options.view_as(beam_options.SetupOptions).setup_file == SETUP_FILE


def test_spark() -> None:
    options = beam_options.PipelineOptions(_complete("spark"))
    spark, portable = options.view_as(beam_options.SparkRunnerOptions), options.view_as(beam_options.PortableOptions)
    assert (spark.spark_master_url, spark.spark_rest_url) == ("spark://spark:7077", "http://spark:6066")
    assert (spark.spark_submit_uber_jar, spark.spark_job_server_jar) == (True, "/opt/job-server.jar")
    assert portable.job_endpoint == "jobs:8099"


@pytest.mark.parametrize(
    ("environment", "payload"),
    [
        (DOCKER, {"container_image": "registry.example.com/aisle-beam:1"}),
        (PROCESS, {"command": "/opt/aisle/boot", "env": {"A": "1", "B": "x y"}}),
        (EXTERNAL, {"url": "localhost:50000"}),
        (LOOPBACK, {}),
    ],
)
@pytest.mark.parametrize("runner", ["flink", "spark"])
def test_the_environment_of_workers(runner: str, environment: dict[str, Any], payload: dict[str, Any]) -> None:
    section = {"environment": environment, "job_endpoint": "jobs:8099"}
    options = beam_options.PipelineOptions(_arguments(runner=runner, **{runner: section}))
    portable = options.view_as(beam_options.PortableOptions)
    assert portable.environment_type == environment["type"].upper()
    assert portable.validate(PipelineOptionsValidator(options, None)) == []
    made = vars(create_runner(options.view_as(beam_options.StandardOptions).runner).default_environment(options))
    assert {key.lstrip("_"): value for key, value in made.items() if key.lstrip("_") in payload} == payload


@pytest.mark.parametrize("runner", RUNNERS)
def test_tfx_does_not_pack_itself_for_the_workers(runner: RunnerName) -> None:
    for arguments in (_complete(runner), _arguments(runner=runner, **{runner: COMPLETE[runner]}, args=["--update"])):
        options = beam_options.PipelineOptions(arguments).get_all_options()
        assert options["setup_file"] or options["sdk_container_image"]


def test_other_options_come_last_and_win() -> None:
    given = ["--experiments=shuffle_mode=appliance", "--num_workers=3"]
    arguments = _arguments(runner="dataflow", dataflow=DATAFLOW, args=given)
    options = beam_options.PipelineOptions(arguments)
    assert options.view_as(beam_options.DebugOptions).experiments == ["shuffle_mode=appliance"]
    assert options.view_as(beam_options.WorkerOptions).num_workers == 3
    assert _arguments(args=["--direct_num_workers=2"])[0] == "--runner=DirectRunner"


def _without(section: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in section.items() if key not in keys}


MISTAKES: list[tuple[dict[str, Any], list[str]]] = [
    ({"runner": "samza"}, ["beam.runner: ", "'direct', 'dataflow', 'flink' or 'spark'", "got 'samza'"]),
    ({"project": "shop-1"}, ["beam.project: unknown key", "runner, direct, dataflow, flink, spark, setup_file, args"]),
    ({"runner": "dataflow"}, ["beam: runner 'dataflow' needs the section", "project, region, temp_location, image"]),
    ({"runner": "flink"}, ["beam: runner 'flink' needs the section 'flink' with environment"]),
    ({"dataflow": DATAFLOW}, ["beam: 'dataflow' is given, but 'runner' is direct"]),
    ({"runner": "dataflow", "dataflow": _without(DATAFLOW, "region")}, ["beam.dataflow.region: is missing"]),
    ({"runner": "dataflow", "dataflow": DATAFLOW | {"project": "123"}}, ["beam.dataflow.project: ", "got '123'"]),
    ({"runner": "dataflow", "dataflow": DATAFLOW | {"temp_location": "/tmp"}}, ["temp_location: ", "'^gs://", "/tmp"]),
    ({"runner": "dataflow", "dataflow": DATAFLOW | {"workers": 9}}, ["'workers' is 9, more than 'max_workers' = 8"]),
    (
        {"runner": "dataflow", "dataflow": DATAFLOW | {"parallelism": 2}},
        ["'parallelism' belongs to beam.flink"],
    ),
    ({"runner": "spark", "spark": SPARK | {"region": "x"}}, ["beam.spark: 'region' belongs to beam.dataflow"]),
    ({"runner": "direct", "direct": {"environment": DOCKER}}, ["belongs to beam.flink and beam.spark"]),
    ({"runner": "flink", "flink": {"environment": DOCKER}}, ["beam.flink: needs 'job_endpoint'", "or 'master'"]),
    ({"runner": "spark", "spark": _without(SPARK, "rest_url")}, ["beam.spark: 'submit_jar' needs 'rest_url'"]),
    ({"runner": "spark", "spark": {"environment": DOCKER}}, ["beam.spark: needs 'job_endpoint'", "or 'master'"]),
    ({"runner": "flink", "flink": FLINK | {"version": "2.0"}}, ["beam.flink.version: ", "'1.17', '1.18' or '1.19'"]),
    ({"runner": "flink", "flink": FLINK | {"job_endpoint": "jobs"}}, ["beam.flink.job_endpoint: ", "got 'jobs'"]),
    (
        {"runner": "flink", "flink": FLINK | {"environment": {"type": "external"}}},
        ["beam.flink.environment: type 'external' needs 'address'"],
    ),
    (
        {"runner": "flink", "flink": FLINK | {"environment": {**EXTERNAL, "image": "x"}}},
        ["'image' belongs to type 'docker', not 'external'"],
    ),
    (
        {"runner": "flink", "flink": FLINK | {"environment": {**PROCESS, "variables": {"A": "1,2"}}}},
        ["the variable 'A' has a comma"],
    ),
    ({"direct": {"workers": 2}}, ["beam.direct: 'in_memory' has one worker, not 2", "multi_processing"]),
    ({"setup_file": SETUP_FILE}, ["beam: 'setup_file' is for workers elsewhere"]),
    ({"runner": "spark", "spark": SPARK, "setup_file": "setup.py"}, ["beam.setup_file: ", "got 'setup.py'"]),
    ({"args": ["--runner=SparkRunner"]}, ["beam.args: '--runner=SparkRunner' is said by beam.runner"]),
]


@pytest.mark.parametrize(("beam", "fragments"), MISTAKES)
def test_a_mistake_says_what_is_missing_or_whose_a_key_is(beam: dict[str, Any], fragments: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        _config(**beam)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_the_key_of_before_says_where_it_has_gone() -> None:
    tree = _config().model_dump(mode="json")
    with pytest.raises(ConfigError, match=r"runner: 'beam_args' is now 'args' of the section 'beam'"):
        parse_config({**tree, "runner": {"beam_args": ["--direct_num_workers=2"]}})
