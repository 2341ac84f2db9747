"""Readers of the shop's files: CSV, Parquet, JSON lines and OpenSearch's UBI, one a file, behind `source.Source`."""
