"""The rival of benchmarks/encoding.py: sentence-transformers on torch, in a process and an environment of its own.

    python benchmarks/encoding_rival.py PRESET TEXTS.json

Reads lines of JSON, {"length": tokens, "dtype": "float32", "output": "vectors.npy"}, and answers each with the
seconds that it took to encode all texts from strings to vectors. It imports nothing of aisle.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

_WARM_UP = 64


def published_name(name: str) -> str:
    """Returns the name that a tensor had before KerasNLP's converter needed another."""
    name = re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name))
    return name.removeprefix("bert.")


def load(preset: Path, scratch: Path) -> SentenceTransformer:
    """Makes the model of the very weights and vocabulary that aisle reads."""
    for file in preset.iterdir():
        if file.suffix in {".json", ".txt"} and file.name != "source.json":
            (scratch / file.name).write_bytes(file.read_bytes())
    tensors = {published_name(name): tensor for name, tensor in load_file(preset / "model.safetensors").items()}
    save_file(tensors, scratch / "model.safetensors", metadata={"format": "pt"})
    network = Transformer(str(scratch))
    pooling = Pooling(network.get_embedding_dimension(), "mean")
    return SentenceTransformer(modules=[network, pooling, Normalize()], device="cpu")


def encode(model: SentenceTransformer, texts: list[str], order: dict[str, Any]) -> float:
    """Encodes texts as an order says, writes the vectors, and answers with the seconds."""
    model.max_seq_length = order["length"]
    model.to(getattr(torch, order["dtype"]))
    model.encode(texts[:_WARM_UP], show_progress_bar=False)
    started = time.perf_counter()
    vectors = model.encode(texts, show_progress_bar=False)
    seconds = time.perf_counter() - started
    np.save(order["output"], vectors.astype(np.float32))
    return seconds


def main() -> None:
    """Answers orders until there are no more."""
    preset, texts = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as scratch:
        model = load(preset, Path(scratch))
        weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        for line in sys.stdin:
            model.float().load_state_dict(weights)  # bfloat16 has rounded them
            print(encode(model, texts, json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
