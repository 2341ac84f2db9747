"""The section that says on which machines Apache Beam works: this one, or those of Dataflow, Flink or Spark."""

from __future__ import annotations

from typing import Any, Literal, get_args

import pydantic

from pipeline.config.tables import Section

RunnerName = Literal["direct", "dataflow", "flink", "spark"]
RUNNERS: tuple[RunnerName, ...] = get_args(RunnerName)

_BUCKET = r"^gs://[a-z0-9][-_a-z0-9.]+[a-z0-9]/[^\s]*$"
_ADDRESS = r"^[^\s:/]+:[0-9]+$"
_SETUP_FILE = r"^/([^\s]+/)?setup\.py$"  # Beam takes no other name


class RunnerSection(Section):
    """What one runner reads."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _own_keys(cls, values: Any) -> Any:
        for key in values if isinstance(values, dict) else ():
            others = [name for name in RUNNERS if key in section_of(name).model_fields]
            if key not in cls.model_fields and others:
                raise ValueError(f"'{key}' belongs to {' and '.join(f'beam.{name}' for name in others)}")
        return values


class DirectConfig(RunnerSection):
    """This machine."""

    mode: Literal["in_memory", "multi_threading", "multi_processing"] = pydantic.Field(
        "in_memory", description="in_memory: one worker in the step's process; multi_processing: workers of their own"
    )
    workers: int = pydantic.Field(1, ge=0, description="at once; 0 means one for each processor")

    @pydantic.model_validator(mode="after")
    def _more_than_one_can_work(self) -> DirectConfig:
        if self.mode == "in_memory" and self.workers != 1:
            raise ValueError(
                f"'in_memory' has one worker, not {self.workers}; set 'mode' to multi_processing or multi_threading"
            )
        return self


class DataflowConfig(RunnerSection):
    """Google Cloud Dataflow."""

    project: str = pydantic.Field(pattern=r"^[a-z][-a-z0-9:.]+[a-z0-9]$", description="id of the project, no number")
    region: str = pydantic.Field(min_length=1, description="such as europe-west1")
    temp_location: str = pydantic.Field(pattern=_BUCKET, description="gs:// folder for what lives as long as a job")
    staging_location: str | None = pydantic.Field(
        None, pattern=_BUCKET, description="gs:// folder of what workers install; none: that of 'temp_location'"
    )
    image: str = pydantic.Field(
        min_length=1, description="the workers' container image: Beam's, with the locked packages and these"
    )
    service_account: str | None = pydantic.Field(None, pattern=r"^[^\s@]+@[^\s@]+$", description="its address")
    machine_type: str | None = pydantic.Field(None, min_length=1, description="such as n2-standard-4")
    disk_gb: int | None = pydantic.Field(None, ge=1, description="disk of each worker, GB")
    workers: int | None = pydantic.Field(None, ge=1, description="to start with")
    max_workers: int | None = pydantic.Field(None, ge=1, description="at most")
    subnetwork: str | None = pydantic.Field(None, min_length=1, description="regions/REGION/subnetworks/NAME")
    public_ips: bool | None = pydantic.Field(None, description="whether workers have public addresses; none: they do")
    labels: dict[str, str] = pydantic.Field(default_factory=dict, description="labels of the jobs")

    @pydantic.model_validator(mode="after")
    def _starts_within_limits(self) -> DataflowConfig:
        if self.workers is not None and self.max_workers is not None and self.workers > self.max_workers:
            raise ValueError(f"'workers' is {self.workers}, more than 'max_workers' = {self.max_workers}")
        return self


_ENVIRONMENT_KEYS = {"docker": "image", "process": "command", "external": "address"}


class EnvironmentConfig(Section):
    """How the workers of Flink or Spark run Python."""

    type: Literal["docker", "process", "external", "loopback"] = pydantic.Field(
        description="docker: a container beside each worker; process: a program on it; external: Beam's worker pool, "
        "started by whoever runs the cluster; loopback: in the step's own process, to try it"
    )
    image: str | None = pydantic.Field(
        None, min_length=1, description="docker: container image: Beam's, with the locked packages and these"
    )
    command: str | None = pydantic.Field(None, min_length=1, description="process: the program, on every worker")
    variables: dict[str, str] = pydantic.Field(default_factory=dict, description="process: environment variables")
    address: str | None = pydantic.Field(None, pattern=_ADDRESS, description="external: HOST:PORT of the worker pool")

    @pydantic.model_validator(mode="after")
    def _what_the_type_reads(self) -> EnvironmentConfig:
        needed = _ENVIRONMENT_KEYS.get(self.type)
        if needed is not None and getattr(self, needed) is None:
            raise ValueError(f"type '{self.type}' needs '{needed}'")
        for kind, key in (*_ENVIRONMENT_KEYS.items(), ("process", "variables")):
            if getattr(self, key) and kind != self.type:
                raise ValueError(f"'{key}' belongs to type '{kind}', not '{self.type}'")
        for name, value in self.variables.items():
            if "," in name + value:
                raise ValueError(f"the variable '{name}' has a comma, which Beam takes for the next variable's")
        return self


class PortableConfig(RunnerSection):
    """A cluster that takes jobs over the portable API of Beam."""

    environment: EnvironmentConfig
    job_endpoint: str | None = pydantic.Field(
        None, pattern=_ADDRESS, description="HOST:PORT of a job server; none: each step starts one, which needs Java"
    )
    artifact_endpoint: str | None = pydantic.Field(
        None, pattern=_ADDRESS, description="HOST:PORT that takes what workers install; none: the job server says it"
    )
    python_workers: int | None = pydantic.Field(
        None, ge=0, description="Python processes on each worker; 0: the runner decides; none: one"
    )
    job_server_jar: str | None = pydantic.Field(
        None, min_length=1, description="path or URL of the job server; none: Maven's"
    )
    submit_jar: bool = pydantic.Field(
        False, description="hand the cluster a jar that holds the job, instead of a job server"
    )


class FlinkConfig(PortableConfig):
    """Apache Flink."""

    master: str | None = pydantic.Field(None, min_length=1, description="HOST:PORT of the JobManager's REST")
    version: Literal["1.17", "1.18", "1.19"] | None = pydantic.Field(None, description="of the job server's jar")
    parallelism: int | None = pydantic.Field(None, ge=1, description="tasks at once; none: the cluster's default")
    max_parallelism: int | None = pydantic.Field(None, ge=1, description="limit of later scaling")

    @pydantic.model_validator(mode="after")
    def _knows_where(self) -> FlinkConfig:
        if self.job_endpoint is None and self.master is None:
            raise ValueError("needs 'job_endpoint', a job server, or 'master', the cluster that each step asks itself")
        return self


class SparkConfig(PortableConfig):
    """Apache Spark."""

    master: str | None = pydantic.Field(None, min_length=1, description="spark://HOST:PORT, or local[N]")
    rest_url: str | None = pydantic.Field(
        None, pattern=r"^https?://[^\s]+$", description="of the master, for submit_jar"
    )

    @pydantic.model_validator(mode="after")
    def _knows_where(self) -> SparkConfig:
        if self.submit_jar and self.rest_url is None:
            raise ValueError("'submit_jar' needs 'rest_url', where the master takes jars")
        if self.job_endpoint is None and self.master is None and not self.submit_jar:
            raise ValueError("needs 'job_endpoint', a job server, or 'master', the cluster that each step asks itself")
        return self


class BeamConfig(Section):
    """Who does the work of the steps that import tables, make examples, count statistics and transform features."""

    runner: RunnerName = "direct"
    direct: DirectConfig | None = None
    dataflow: DataflowConfig | None = None
    flink: FlinkConfig | None = None
    spark: SparkConfig | None = None
    setup_file: str | None = pydantic.Field(
        None,
        pattern=_SETUP_FILE,
        description="setup.py of these packages, where the steps run: workers install them over what their image has",
    )
    args: tuple[str, ...] = pydantic.Field((), description="more options of Beam, --experiments=NAME say; they win")

    @pydantic.field_validator("args")
    @classmethod
    def _no_other_runner(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for option in value:
            if option.partition("=")[0] == "--runner":
                raise ValueError(f"'{option}' is said by beam.runner; allowed are {', '.join(RUNNERS)}")
        return value

    @pydantic.model_validator(mode="after")
    def _one_runner(self) -> BeamConfig:
        for name in RUNNERS:
            if name != self.runner and getattr(self, name) is not None:
                raise ValueError(f"'{name}' is given, but 'runner' is {self.runner}; keep one of them")
        if self.runner != "direct" and getattr(self, self.runner) is None:
            needed = [key for key, field in section_of(self.runner).model_fields.items() if field.is_required()]
            raise ValueError(f"runner '{self.runner}' needs the section '{self.runner}' with {', '.join(needed)}")
        if self.runner == "direct" and self.setup_file is not None:
            raise ValueError("'setup_file' is for workers elsewhere; the runner 'direct' has none")
        return self


def section_of(runner: RunnerName) -> type[RunnerSection]:
    """Returns the section that a runner reads."""
    sections: dict[RunnerName, type[RunnerSection]] = {
        "direct": DirectConfig,
        "dataflow": DataflowConfig,
        "flink": FlinkConfig,
        "spark": SparkConfig,
    }
    return sections[runner]
