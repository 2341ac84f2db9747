"""Submits a compiled specification to Kubeflow: one run, or one at each time that a cron expression names."""

from __future__ import annotations

import contextlib
import datetime
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp
import kfp_server_api
import urllib3

from pipeline import run_parameters
from pipeline.config import ConfigError
from pipeline.kubeflow.specification import Specification, read_specification


class SubmissionError(RuntimeError):
    """Kubeflow did not take it; the message says why and what to do."""


class ParameterError(ValueError):
    """A parameter of a run cannot be used; the message names it and what is allowed."""


@dataclass(frozen=True)
class Server:
    """Whom to submit to.

    Args:
      host: the URL of Kubeflow Pipelines.
      namespace: where many share a Kubeflow, whose it is; None where there is one namespace.
      token: proves who is asking; None where nobody asks for it.
    """

    host: str
    namespace: str | None = None
    token: str | None = None


@dataclass(frozen=True)
class Order:
    """What to run.

    Args:
      specification: the compiled file.
      name: the run's name; None for the pipeline's with the time.
      experiment: what Kubeflow files the run under; made where it is missing.
      parameters: values by name; the others take the specification's defaults.
      cron: six fields, seconds first, as Kubeflow reads them; None for one run now.
      pipeline_root: the URI of the artifacts' folder; None for the cluster's.
      service_account: whom the steps run as; None for the cluster's.
    """

    specification: Path
    name: str | None = None
    experiment: str = "Default"
    parameters: Mapping[str, Any] | None = None
    cron: str | None = None
    pipeline_root: str | None = None
    service_account: str | None = None


@dataclass(frozen=True)
class Receipt:
    """What Kubeflow has made of an order.

    Args:
      run_id: the run's id; of a recurring run that of the recurring one.
      name: as people see it.
      experiment_id: what it is filed under.
      recurring: whether it comes again.
      url: where to look at it.
    """

    run_id: str
    name: str
    experiment_id: str
    recurring: bool
    url: str


def read_parameters(specification: Specification, words: Mapping[str, str]) -> dict[str, Any]:
    """Reads the values of parameters.

    Args:
      specification: what declares them.
      words: by name the value as a person writes it.

    Returns:
      The values in the types that are declared.

    Raises:
      ParameterError: if there is no such parameter, a value is not of its type or not allowed, or one that has no
        default is missing.
    """
    declared = specification.spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for name in words:
        if name not in declared:
            raise ParameterError(f"{name}: is no parameter of this pipeline; it has {', '.join(declared)}")
    missing = [name for name, spec in declared.items() if "defaultValue" not in spec and name not in words]
    if missing:
        raise ParameterError(f"{missing[0]}: has no default; say --parameter {missing[0]}=VALUE")
    values: dict[str, Any] = {}
    for name, word in words.items():
        values[name] = word
        if declared[name]["parameterType"] == "NUMBER_INTEGER":
            try:
                values[name] = int(word)
            except ValueError as error:
                raise ParameterError(f"{name}: expected a whole number, got '{word}'") from error
    try:
        # Where Kubeflow puts in a time for [[...]], it cannot be known here.
        run_parameters.check({name: value for name, value in values.items() if "[[" not in str(value)})
    except ConfigError as error:
        raise ParameterError(str(error)) from error
    return values


def submit(server: Server, order: Order) -> Receipt:
    """Hands a specification to Kubeflow.

    Args:
      server: whom.
      order: what.

    Returns:
      What was made of it.

    Raises:
      SpecificationError: if the file is none that Kubeflow loads.
      SubmissionError: if Kubeflow cannot be reached, or refuses.
    """
    specification = read_specification(order.specification)
    pipeline = str(specification.spec["pipelineInfo"]["name"])
    name = order.name or f"{pipeline} {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H-%M-%S}"
    with _explained(server), _quiet():
        client = kfp.Client(host=server.host, existing_token=server.token, namespace=server.namespace or "kubeflow")
        experiment = client.create_experiment(order.experiment, namespace=server.namespace)
        given: dict[str, Any] = {
            "experiment_id": experiment.experiment_id,
            "pipeline_root": order.pipeline_root,
            "service_account": order.service_account,
        }
        if order.cron is None:
            # Whether steps come from the cache stands in the specification.
            run = client.create_run_from_pipeline_package(
                str(order.specification), arguments=dict(order.parameters or {}), run_name=name, **given
            )
            return _receipt(server, run.run_info, recurring=False)
        recurring = client.create_recurring_run(
            job_name=name,
            cron_expression=order.cron,
            no_catchup=True,
            params=dict(order.parameters or {}),
            pipeline_package_path=str(order.specification),
            **given,
        )
        return _receipt(server, recurring, recurring=True)


def _receipt(server: Server, made: Any, *, recurring: bool) -> Receipt:
    run_id = str(made.recurring_run_id if recurring else made.run_id)
    page = "recurringrun" if recurring else "runs"
    url = f"{server.host.rstrip('/')}/#/{page}/details/{run_id}"
    return Receipt(run_id, str(made.display_name), str(made.experiment_id), recurring, url)


@contextlib.contextmanager
def _explained(server: Server) -> Iterator[None]:
    try:
        yield
    except kfp_server_api.ApiException as error:
        said = str(error.body or error.reason or "")[:500].strip()
        hint = "; give a token by --token-file" if error.status in {401, 403} else ""
        raise SubmissionError(f"{server.host} refused with status {error.status}: {said}{hint}") from error
    except (urllib3.exceptions.HTTPError, TimeoutError) as error:
        raise SubmissionError(
            f"{server.host} does not answer: {error}; is it the URL of Kubeflow Pipelines, and can it be reached from "
            "here (kubectl port-forward)?"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what the client prints for notebooks off stdout, and its remark on versions that are long gone."""
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This client only works with Kubeflow Pipeline", FutureWarning)
        yield
