"""`aisle evaluate`: the pushed model beside simple rivals."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.commands.options import config_argument, json_option

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.config import Config
    from pipeline.run_folder import RunFolder

EVALUATE_MODULE = "trainer.evaluation"
_JUDGED_MODEL = "Format-TFMA"  # where TFX's Trainer keeps the model to be judged


@click.command(epilog="Example: aisle evaluate examples/simulated.yaml --set gate.metric=recall@20")
@config_argument
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="The run folder; runs/NAME by default, with the name of CONFIG.",
)
@json_option
def command(config: Config, output: Path | None, as_json: bool) -> None:
    """Measure the pushed model against simple rivals.

    The model is asked through its own signatures, over the whole catalogue, for the judged window of the last
    complete run: the test window, or, where no event lies in it, the validation window. A model that has learned
    from that window is represented by its twin that has not. The results also go to reports/evaluation.json.
    """
    from rich.console import Console

    from pipeline.run_folder import RunFolder
    from pipeline.run_log import captured

    folder = RunFolder(output if output is not None else Path("runs") / config.name)
    account = folder.account()
    if not account:
        raise click.ClickException(f"there is no complete run in {folder.path}; start one with `aisle run CONFIG`")
    if config.split.model_dump(mode="json") != account["config"]["split"]:
        raise click.ClickException(
            f"'split' in the configuration is not that of the run in {folder.path}; `aisle run` makes its cases anew"
        )
    model = _model(account)
    with captured(folder.log, sys.stderr if as_json else sys.stdout) as stream:
        console = Console(file=stream)
        report = {"model": str(model), **_evaluate(config, folder, model, console)}
        if not as_json:
            _print(report, console)
    if as_json:
        click.echo(json.dumps(report, indent=2))


def _model(account: dict[str, Any]) -> Path:
    """Finds the pushed model, or the one that was judged in its place."""
    import pyarrow.parquet as pq

    has_test_window = pq.read_metadata(Path(account["cases"]) / "test.parquet").num_rows > 0
    if account["pushed"] and (has_test_window or not account["config"]["training"]["refit"]):
        return Path(account["pushed"])
    return Path(account["model"]) / _JUDGED_MODEL


def _evaluate(config: Config, folder: RunFolder, model: Path, console: Console) -> dict[str, Any]:
    from rich.progress import Progress

    account = folder.account()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("loading the model", total=None)

        def advance(done: int, total: int) -> None:
            progress.update(bar, description="asking the model", completed=done, total=total)

        evaluate = importlib.import_module(EVALUATE_MODULE).evaluate
        try:
            report: dict[str, Any] = evaluate(
                model_dir=str(model),
                tables_dir=account["tables"],
                cases_dir=account["cases"],
                config_json=config.model_dump_json(),
                report_dir=str(folder.reports),
                on_progress=advance,
            )
        except (ValueError, OSError) as error:
            raise click.ClickException(str(error)) from error
    return report


def _print(report: dict[str, Any], console: Console) -> None:
    from rich.table import Table

    window, gate = report["window"], report["gate"]
    console.print(
        f"{report['model']}\n{window['name']} window: {window['days']} days from {window['start']}, all "
        f"{report['items']:,} items ranked; 95% bootstrap intervals",
        highlight=False,
        soft_wrap=True,
    )
    for name, found in report["tables"].items():
        depth = gate["metric"].split("@")[1]
        columns = list(dict.fromkeys([f"recall@{depth}", f"ndcg@{depth}", gate["metric"]]))
        table = Table(title=f"{name}: {found['cases']:,} cases", title_justify="left")
        table.add_column("")
        for metric in columns:
            table.add_column(metric, justify="right")
        for ranker, results in found["results"].items():
            table.add_row(ranker, *(_cell(results[metric]) for metric in columns))
        console.print(table)
    verdict = "passed" if report["blessed"] else "failed: " + "; ".join(report["failures"])
    console.print(f"gate {verdict}", highlight=False, soft_wrap=True)


def _cell(result: dict[str, float]) -> str:
    return f"{result['value']:.3f} ({result['low']:.3f} to {result['high']:.3f})"
