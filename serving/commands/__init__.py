"""The subcommands of `aisle` that ask or serve a model, one a file."""
