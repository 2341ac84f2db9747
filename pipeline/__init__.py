"""From a shop's tables to a pushed model: configuration, tables, examples, features and the TFX pipeline."""

from __future__ import annotations

import importlib
import os
from typing import Any

# Which Keras `tf.keras` is gets decided when TensorFlow is first imported, and the pipeline imports it before the
# training does, which needs the older one there (TFRS; see trainer/__init__.py).
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

# Kubeflow's entry point imports an artifact's class by its type name, and allows two parts in it: these are
# found here when asked for, so that importing the package stays free of TFX.
_ARTIFACTS = ("Files", "Tables", "Cases")


def __getattr__(name: str) -> Any:
    """Imports an artifact type when it is asked for."""
    if name in _ARTIFACTS:
        return getattr(importlib.import_module("pipeline.artifacts"), name)
    raise AttributeError(f"module 'pipeline' has no attribute '{name}'")
