"""The artifact types of ours: a shop's files, its cleaned tables, and the cases that judge a model.

The type names are importable paths (`pipeline.Tables`), because Kubeflow's entry point finds the class
of an artifact by importing its type name.
"""

from __future__ import annotations

from tfx.types.artifact import Artifact


class Files(Artifact):
    """A shop's own files, as they are, in a folder that was brought from an object store."""

    TYPE_NAME = "pipeline.Files"


class Tables(Artifact):
    """Cleaned tables: `events/bucket-*.parquet`, `items.parquet`, `users.parquet` and `report.json`."""

    TYPE_NAME = "pipeline.Tables"


class Cases(Artifact):
    """Requests with their true answers, `validation.parquet` and `test.parquet`, and `histories.parquet`."""

    TYPE_NAME = "pipeline.Cases"
