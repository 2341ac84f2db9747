"""From a shop's tables to a pushed model: configuration, tables, examples, features and the TFX pipeline."""
