"""The subcommands of `aisle` that belong to the pipeline, one a file."""
