"""The command `aisle`: finds a subcommand by name and loads only that one.

Each subcommand is a module with a `click.Command` named `command`. Modules are named here as texts and
imported when asked for, so that `aisle --help` answers at once and the pipeline never imports the server.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys

import click

# name: (module, one line for `aisle --help`), in the order in which a shop meets them
COMMANDS: dict[str, tuple[str, str]] = {
    "simulate": ("pipeline.commands.simulate", "Write the tables of a simulated shop."),
    "validate": ("pipeline.commands.validate", "Read and clean a shop's tables and report every dropped row."),
    "run": ("pipeline.commands.run", "Run the pipeline: from tables to a pushed model."),
    "worker": ("pipeline.commands.worker", "Train along with a run of several machines."),
    "index": ("pipeline.commands.index", "Add new items to a pushed model without training it again."),
    "evaluate": ("pipeline.commands.evaluate", "Measure the pushed model against its rivals and the model before it."),
    "serve": ("serving.commands.serve", "Serve a pushed model over gRPC and REST."),
    "models": ("serving.commands.models", "See which version bears which label, and move labels."),
    "recommend": ("serving.commands.recommend", "Ask for recommendations for users."),
    "search": ("serving.commands.search", "Ask for the items that fit a text."),
    "similar": ("serving.commands.similar", "Ask for items like an item."),
    "status": ("pipeline.commands.status", "Show what a run has done and what it has pushed."),
    "monitor": ("pipeline.commands.monitor", "Measure drift, data quality and age of a served model."),
    "tensorboard": ("pipeline.commands.tensorboard", "Open TensorBoard on a run's training."),
    "compile": ("pipeline.commands.compile", "Write the pipeline as a Kubeflow specification, or check one."),
    "submit": ("pipeline.commands.submit", "Run the pipeline on Kubeflow, once or by a timetable."),
}


class LazyGroup(click.Group):
    """A group whose subcommands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports and returns one subcommand, or None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: aisle simulate --output runs/simulated-data && aisle run examples/simulated.yaml",
)
@click.version_option(importlib.metadata.version("aisle"), prog_name="aisle")
def main() -> None:
    """Search and recommendations from a shop's own tables.

    Exit status: 0 done, 1 the work failed, 2 wrong usage.
    """


def run() -> None:
    """Is the program `aisle`: the server first chooses its memory allocator, as only the start of a process can."""
    if sys.argv[1:2] == ["serve"]:
        importlib.import_module("serving.allocator").use_mimalloc()
    main()


if __name__ == "__main__":
    run()
