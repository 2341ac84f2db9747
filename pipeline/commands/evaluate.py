"""`aisle evaluate`: the pushed model beside its rivals."""

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
_LIST_DEPTH = 20
_LIST_WORDS = {
    "coverage": "coverage {:.0%}",
    "personalisation": "personalisation {:.2f}",
    "diversity": "diversity {:.2f}",
    "novelty": "novelty {:.1f} bits",
    "popularity_bias": "popularity {:.1f} x that of the truth",
    "calibration": "calibration {:.2f}",
}

_HEAD_CELLS = (("model", "{:.3f}", "-"), ("trivial", "{:.3f}", "-"), ("gain", "{:+.3f}", " to "))


@click.command(epilog="Example: aisle evaluate examples/simulated.yaml --set gate.metric=recall@20")
@config_argument
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="The run folder; runs/NAME by default, with the name of CONFIG.",
)
@click.option(
    "--rivals",
    metavar="NAME,...",
    default="",
    help="Rankers to measure beside those of gate.rivals and the quick ones; all of them with `all`.",
)
@json_option
def command(config: Config, output: Path | None, rivals: str, as_json: bool) -> None:
    """Measure the pushed model against its rivals and the model before it.

    The model is asked through its own signatures, over the whole catalogue, for the judged window of the last
    complete run: the test window, or, where no event lies in it, the validation window. A model that has learned
    from that window is represented by its twin that has not. All numbers go to reports/evaluation.json, and to
    reports/evaluation.html with plots, slices and what the lists are like; `aisle tensorboard` shows them, too.
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
        named = [name.strip() for name in rivals.split(",") if name.strip()]
        report = {"model": str(model), **_evaluate(config, folder, model, named, console)}
        if not as_json:
            _print(report, console)
            console.print(f"report: {folder.reports / 'evaluation.html'}", highlight=False, soft_wrap=True)
    if as_json:
        click.echo(json.dumps(report, indent=2))


def _model(account: dict[str, Any]) -> Path:
    """Finds the pushed model, or the one that was judged in its place."""
    import pyarrow.parquet as pq

    from pipeline.pushed_models import JUDGED

    has_test_window = pq.read_metadata(Path(account["cases"]) / "test.parquet").num_rows > 0
    if account["pushed"] and (has_test_window or not account["config"]["training"]["refit"]):
        return Path(account["pushed"])
    return Path(account["model"]) / JUDGED


def _evaluate(config: Config, folder: RunFolder, model: Path, rivals: list[str], console: Console) -> dict[str, Any]:
    from rich.progress import Progress

    from pipeline.pushed_models import last_blessed

    account = folder.account()
    before = last_blessed(folder.serving.resolve() / config.serving.name, Path(account["model"]))
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("loading the model, fitting the rivals", total=None)

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
                last_blessed_dirs=[str(path) for path in before],
                rivals=rivals,
                on_progress=advance,
            )
        except (ValueError, OSError) as error:
            raise click.ClickException(str(error)) from error
    return report


def _print(report: dict[str, Any], console: Console) -> None:
    window = report["window"]
    _say(console, report["model"])
    _say(
        console,
        f"{window['name']} window: {window['days']} days from {window['start']}, all {report['items']:,} items ranked; "
        f"{report['level']:.0%} bootstrap intervals, differences paired",
    )
    for name, found in report["tables"].items():
        _print_table(name, found, report["gate"]["metric"], console)
    for head in report["heads"]:
        values = [_cell(head[name], form, between) for name, form, between in _HEAD_CELLS]
        _say(console, f"{head['head']}, {head['measure']}: {values[0]}, {head['rival']} {values[1]}, gain {values[2]}")
    before = report["gate"]["predecessor"]
    if before and before["reason"]:
        _say(console, f"the last blessed model {before['version']} took no part: {before['reason']}")
    _say(console, "gate passed" if report["blessed"] else "gate failed: " + "; ".join(report["failures"]))


def _print_table(name: str, found: dict[str, Any], metric: str, console: Console) -> None:
    from rich.table import Table

    depth = metric.split("@")[1]
    columns = list(dict.fromkeys([f"recall@{depth}", f"ndcg@{depth}", metric]))
    table = Table(title=f"{name}: {found['cases']:,} cases", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in ("", *columns, f"model ahead, {metric}"):
        table.add_column(heading, justify="right" if heading else "left")
    for ranker, results in found["results"].items():
        ahead = found["differences"].get(ranker)
        cells = [_cell(results[column], "{:.3f}", "-") for column in columns]
        table.add_row(ranker, *cells, _cell(ahead[metric], "{:+.3f}", " to ") if ahead else "")
    console.print(table, highlight=False)
    lists = found["lists"]["model"]
    values = {words: lists[f"{each}@{_LIST_DEPTH}"] for each, words in _LIST_WORDS.items()}
    told = ", ".join(words.format(value) for words, value in values.items() if value is not None)
    _say(console, f"the model's first {_LIST_DEPTH}: {told}\n")


def _cell(result: dict[str, float], form: str, between: str) -> str:
    value, low, high = (form.format(result[key]).replace("0.", ".", 1) for key in ("value", "low", "high"))
    return f"{value} ({low}{between}{high})"


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
