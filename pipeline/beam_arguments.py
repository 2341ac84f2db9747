"""The configuration section `beam` as options of Apache Beam."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.config.beam import (
    BeamConfig,
    DataflowConfig,
    EnvironmentConfig,
    PortableConfig,
    RunnerName,
    RunnerSection,
)

_CLASSES: dict[RunnerName, str] = {
    "direct": "DirectRunner",
    "dataflow": "DataflowRunner",
    "flink": "FlinkRunner",
    "spark": "SparkRunner",
}
_PORTABLE = {
    "job_endpoint": "job_endpoint",
    "artifact_endpoint": "artifact_endpoint",
    "python_workers": "sdk_worker_parallelism",
}
# Beam's name for each key; one that stands alone is a switch.
_OPTIONS: dict[RunnerName, dict[str, str]] = {
    "direct": {"mode": "direct_running_mode", "workers": "direct_num_workers"},
    "dataflow": {
        "project": "project",
        "region": "region",
        "temp_location": "temp_location",
        "staging_location": "staging_location",
        "image": "sdk_container_image",
        "service_account": "service_account_email",
        "machine_type": "worker_machine_type",
        "disk_gb": "disk_size_gb",
        "workers": "num_workers",
        "max_workers": "max_num_workers",
        "subnetwork": "subnetwork",
    },
    "flink": {
        **_PORTABLE,
        "job_server_jar": "flink_job_server_jar",
        "submit_jar": "flink_submit_uber_jar",
        "master": "flink_master",
        "version": "flink_version",
        "parallelism": "parallelism",
        "max_parallelism": "max_parallelism",
    },
    "spark": {
        **_PORTABLE,
        "job_server_jar": "spark_job_server_jar",
        "submit_jar": "spark_submit_uber_jar",
        "master": "spark_master_url",
        "rest_url": "spark_rest_url",
    },
}
# TFX packs its own source for the workers, a quarter of a minute in each step, unless it hears of an image. Workers
# that run in no container never look at this name.
_NO_CONTAINER = "--sdk_container_image=none"


def beam_arguments(config: BeamConfig) -> list[str]:
    """Says the section in Beam's words.

    Args:
      config: the section.

    Returns:
      Options of the form `--name=value` or `--name`, as `PipelineOptions` parses them; none where the section says
      nothing, which is Beam in the step's own process.
    """
    section: RunnerSection | None = getattr(config, config.runner)
    options = list(_options(config.runner, section)) if section is not None else []
    if config.setup_file is not None:
        options.append(f"--setup_file={config.setup_file}")
    if not options and not config.args:
        return []
    if config.setup_file is None and not any(option.startswith("--sdk_container_image=") for option in options):
        options.append(_NO_CONTAINER)
    return [f"--runner={_CLASSES[config.runner]}", *options, *config.args]


def _options(runner: RunnerName, section: RunnerSection) -> Iterator[str]:
    for key, option in _OPTIONS[runner].items():
        value = getattr(section, key)
        if value is True:
            yield f"--{option}"
        elif value is not None and value is not False:
            yield f"--{option}={value}"
    if isinstance(section, DataflowConfig):
        if section.public_ips is not None:
            yield "--use_public_ips" if section.public_ips else "--no_use_public_ips"
        yield from (f"--labels={name}={value}" for name, value in section.labels.items())
    if isinstance(section, PortableConfig):
        yield from _environment(section.environment)


def _environment(environment: EnvironmentConfig) -> Iterator[str]:
    yield f"--environment_type={environment.type.upper()}"
    if environment.address is not None:
        yield f"--environment_config={environment.address}"  # the option external_service_address fails in Beam 2.65
    if environment.command is not None:
        yield f"--environment_option=process_command={environment.command}"
    if environment.variables:
        texts = ",".join(f"{name}={value}" for name, value in environment.variables.items())
        yield f"--environment_option=process_variables={texts}"
    if environment.image is not None:
        yield f"--environment_option=docker_container_image={environment.image}"
        yield f"--sdk_container_image={environment.image}"
