"""How this machine trains: its devices, precision and determinism."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import keras
import tensorflow as tf

# TensorFlow exports the switch only in one direction.
from tensorflow.python.framework import config as framework_config

_CPU_INFO = Path("/proc/cpuinfo")


def choose_strategy() -> tf.distribute.Strategy:
    """Answers the strategy for this machine: every GPU if there are several, else what TensorFlow does by itself."""
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def precision_policy(mixed: bool) -> str:
    """Answers the precision policy: bfloat16 products if mixed, or float16 on GPUs that are too old for it."""
    if not mixed:
        return "float32"
    for device in tf.config.list_physical_devices("GPU"):
        if tf.config.experimental.get_device_details(device).get("compute_capability", (8, 0)) < (8, 0):
            return "mixed_float16"
    return "mixed_bfloat16"


def encoding_dtype(asked: str = "auto") -> str:
    """Answers in which precision to encode; `auto` is the fastest here: bfloat16 where the processors multiply in it.

    That is every GPU of compute capability 8 or more; without a GPU, a CPU with AVX512_BF16, AMX or Arm's BF16, as long
    as TensorFlow computes with oneDNN.

    Args:
      asked: `auto`, `float32` or `bfloat16`.
    """
    if asked != "auto":
        return asked
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        able = all(found.get("compute_capability", (0, 0)) >= (8, 0) for found in details)
    else:
        able = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") != "0" and _multiplies_bfloat16(_CPU_INFO)
    return "bfloat16" if able else "float32"


def _multiplies_bfloat16(cpu_info: Path) -> bool:
    if not cpu_info.is_file():
        return False
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", cpu_info.read_text(encoding="utf-8"), re.MULTILINE)
    return flags is not None and not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(flags[1].split())


@contextlib.contextmanager
def precision(policy: str) -> Iterator[None]:
    """Layers that are made inside have this policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextlib.contextmanager
def deterministic_ops(enabled: bool) -> Iterator[None]:
    """Ops that run inside give the same results each time, if enabled.

    Only inside: ops that read the clock, as a served model does, refuse to run meanwhile.
    """
    before = framework_config.is_op_determinism_enabled()
    if enabled:
        framework_config.enable_op_determinism()
    try:
        yield
    finally:
        if not before:
            framework_config.disable_op_determinism()
