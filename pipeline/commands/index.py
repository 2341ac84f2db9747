"""`aisle index`: new items for a pushed model, without training it again."""

from __future__ import annotations

import gc
import importlib
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.commands.options import config_argument, json_option

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.catalogue import Growth
    from pipeline.config import Config
    from pipeline.run_folder import RunFolder

ENLARGEMENT_MODULE, CHECK_MODULE = "trainer.enlargement", "serving.check"
_GARBAGE = 100_000  # objects that are made before Python looks for garbage; 700 without this
_KEPT, _CONTRACT = "indexed", "assets.extra/contract.json"


@click.command(epilog="Example: aisle index examples/esci.yaml --model runs/esci/serving/aisle")
@config_argument
@click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder with a folder for each version; that of the run by default.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="The run folder that the model came from; runs/NAME by default, with the name of CONFIG.",
)
@json_option
def command(config: Config, model: Path | None, output: Path | None, as_json: bool) -> None:
    """Add new items to a pushed model without training it again.

    Reads the table of items that CONFIG names as it is now. Items that the newest version lacks are added, changed ones
    are read anew (only changed texts are encoded), those that are no longer in the table stay. Nothing learns but the
    heads. The new version is served and asked its warm-up requests before it is renamed into place; if anything fails,
    the versions stay as they are, with exit status 1.
    """
    from rich.console import Console

    from pipeline.run_folder import RunFolder, RunFolderError
    from pipeline.run_log import captured

    folder = RunFolder(output if output is not None else Path("runs") / config.name)
    account = _account(folder)
    base = (model if model is not None else folder.serving / config.serving.name).resolve()
    started = time.monotonic()
    try:
        with folder.locked(), captured(folder.log, sys.stderr if as_json else sys.stdout) as stream:
            report = _index(config, folder, account, base=base, console=Console(file=stream))
    except RunFolderError as error:
        raise click.ClickException(str(error)) from error
    report["seconds"] = round(time.monotonic() - started, 1)
    if as_json:
        click.echo(json.dumps(report, indent=2))
    elif report["version"] is None:
        click.echo("nothing to do: the newest version knows these items as they are")
    else:
        click.echo(
            f"version {report['version']}: {report['items']:,} items, {report['added']:,} added, "
            f"{report['changed']:,} changed, in {report['seconds']:.0f} s"
        )


def _account(folder: RunFolder) -> dict[str, Any]:
    account = folder.account()
    if not account:
        raise click.ClickException(f"there is no complete run in {folder.path}; start one with `aisle run CONFIG`")
    if "item_transform" not in account:
        raise click.ClickException(f"{folder.run_file} is of an older aisle: run the pipeline once more")
    return account


def _index(
    config: Config, folder: RunFolder, account: dict[str, Any], *, base: Path, console: Console
) -> dict[str, Any]:
    from pipeline.pushed_models import newest_version

    version = newest_version(base)
    if version is None:
        raise click.ClickException(f"{base}: expected a folder named by a number for each version, found none")
    older = _tables_of(folder, account, base / str(version))
    with tempfile.TemporaryDirectory(prefix=".index-", dir=folder.path) as scratch:
        tables = Path(scratch, "tables")
        growth = _read_items(config, older, tables)
        found = {"items": len(growth.items), "added": growth.added, "changed": growth.changed, "kept": growth.gone}
        if not growth.added and not growth.changed:
            return {"version": None, **found}
        made = Path(scratch, "model")
        _enlarge(folder, account, version=base / str(version), tables=tables, made=made, console=console)
        return {"version": _push(config, made, base, tables=tables, folder=folder), **found}


def _tables_of(folder: RunFolder, account: dict[str, Any], version: Path) -> Path:
    """Finds the tables of a version: those of the run, or those that an earlier `aisle index` has left."""
    import pyarrow.parquet as pq

    grown = folder.path / _KEPT / version.name
    tables = grown if grown.is_dir() else Path(account["tables"])
    rows = pq.read_metadata(tables / "items.parquet").num_rows
    known = json.loads((version / _CONTRACT).read_text(encoding="utf-8"))["items"]
    if rows != known:
        raise click.ClickException(
            f"{version} knows {known:,} items, the tables of the run in {folder.path} have {rows:,}: it was not made "
            "there; name the run folder by --output"
        )
    return tables


def _read_items(config: Config, older: Path, tables: Path) -> Growth:
    """Writes a table folder with the items as they are now, and the events as they were."""
    import pyarrow.parquet as pq

    from pipeline import tables as shop_tables
    from pipeline.catalogue import grow

    if config.tables.items.from_events:
        raise click.ClickException(
            "tables.items.from_events: these items come with their events; `aisle run CONFIG` reads both"
        )
    try:
        shop_tables.import_items(config, shop_tables.plan_parts(config), tables)
    except shop_tables.TableError as error:
        raise click.ClickException(str(error)) from error
    growth = grow(pq.read_table(older / "items.parquet"), pq.read_table(tables / "items.parquet"))
    pq.write_table(growth.items, tables / "items.parquet", row_group_size=65_536)
    for name in ("events", "users.parquet"):
        (tables / name).symlink_to((older / name).resolve())
    return growth


def _enlarge(
    folder: RunFolder, account: dict[str, Any], *, version: Path, tables: Path, made: Path, console: Console
) -> None:
    from rich.progress import Progress

    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("loading TensorFlow", total=None)
        enlargement = importlib.import_module(ENLARGEMENT_MODULE)
        # What the imports have made stays: Python need not look for garbage in it each time that a graph grows.
        gc.freeze()
        gc.set_threshold(_GARBAGE)
        parts = enlargement.Parts(
            version=version,
            tables=tables,
            event_transform=Path(account["event_transform"]),
            item_transform=Path(account["item_transform"]),
            cache=folder.path / "cache",
        )
        progress.update(bar, description="making the larger model")

        def advance(done: int, total: int) -> None:
            progress.update(bar, description="encoding new texts", completed=done, total=total)

        try:
            enlargement.enlarge(parts, made, advance)
        except (ValueError, OSError) as error:
            raise click.ClickException(str(error)) from error


def _push(config: Config, made: Path, base: Path, *, tables: Path, folder: RunFolder) -> int:
    """Checks the model as the pipeline does, then puts it beside the others; its tables are kept for the next time."""
    from pipeline.pushed_models import push

    check = importlib.import_module(CHECK_MODULE)
    try:
        check.check_model(str(made), config.serving.name)
    except check.CheckError as error:
        raise click.ClickException(f"the larger model is not pushed: {error}") from error
    version = push(made, base, int(time.time()))
    kept = folder.path / _KEPT
    kept.mkdir(exist_ok=True)
    shutil.rmtree(kept / str(version), ignore_errors=True)
    tables.rename(kept / str(version))
    for left in kept.iterdir():
        if left.name != str(version):
            shutil.rmtree(left)
    return version
