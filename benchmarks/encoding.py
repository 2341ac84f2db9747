"""How fast a catalogue is encoded, beside sentence-transformers on torch with the same weights, texts and machine.

    python -m benchmarks.encoding [--items 1000] [--rounds 3]

Titles and whole texts of the ESCI sample, from strings to vectors, tokens included, both warm. Both take turns, so that
what else the machine does falls on both; the fastest round of each counts. The rival is installed by pip into
.tools/encoding-rival the first time (torch: some 200 MB where pip finds its CPU wheel, some GB of CUDA libraries where
it does not).
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.config import EncoderConfig, encoder_source
from pipeline.text import token_ids
from trainer.device import encoding_dtype
from trainer.encoders.batching import BatchEncoder
from trainer.encoders.bert import BertEncoder
from trainer.encoders.text import fast_encoder, load_encoder

ROOT = Path(__file__).resolve().parents[1]
RIVAL = ROOT / ".tools" / "encoding-rival"
_REQUIREMENTS = Path(__file__).with_name("encoding_rival.txt")
_TOKENS_AT_ONCE = 1_000
_WARM_UP = 64
Vectors = npt.NDArray[np.float32]


@dataclass
class Fastest:
    """The fastest of some rounds.

    Args:
      seconds: how long it took.
      vectors: [n, width].
    """

    seconds: float
    vectors: Vectors

    def better(self, other: Fastest | None) -> Fastest:
        """Answers with the faster of both."""
        return other if other is not None and other.seconds < self.seconds else self


def read_texts(count: int) -> dict[str, tuple[list[str], int]]:
    """Reads titles and whole texts, evenly from the whole catalogue, and how many tokens of them count."""
    file = Path(os.environ.get("AISLE_DATA", ROOT / ".." / "shared" / "data"), "esci", "products.jsonl.gz")
    if not file.is_file():
        raise SystemExit(f"{file} is not there: set AISLE_DATA to the folder that holds esci/products.jsonl.gz")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines if line.strip()]
    rows = rows[:: max(1, len(rows) // count)][:count]
    whole = [[row[name] or "" for name in ("title", "brand", "bullet_points", "description")] for row in rows]
    return {"titles": ([parts[0] for parts in whole], 48), "whole texts": ([" ".join(parts) for parts in whole], 128)}


def encode(encoder: BertEncoder, texts: list[str], length: int, dtype: str) -> Fastest:
    """Encodes texts as the pipeline does where no cache knows them; both sides are warm when the clock starts."""
    config = EncoderConfig(sequence_length=length, dtype=dtype)
    fast = fast_encoder(encoder, dtype)
    assert fast is not None
    batches = BatchEncoder(fast, config.batch_size)
    batches.encode(_tokens(texts[:_WARM_UP], config))
    started = time.perf_counter()
    found = batches.encode(_tokens(texts, config))
    return Fastest(time.perf_counter() - started, found)


def _tokens(texts: list[str], config: EncoderConfig) -> npt.NDArray[np.int32]:
    parts = [texts[start : start + _TOKENS_AT_ONCE] for start in range(0, len(texts), _TOKENS_AT_ONCE)]
    tokens = [token_ids(tf.constant(part)[:, tf.newaxis], config).numpy() for part in parts]
    return np.concatenate(tokens).astype(np.int32)


@contextmanager
def rival(texts: list[str], scratch: Path) -> Iterator[subprocess.Popen[str]]:
    """Starts the rival on texts, after installing it where it is missing, and ends it."""
    python = RIVAL / "bin" / "python"
    probe = [python, "-c", "import sentence_transformers"]
    if not python.exists() or subprocess.run(probe, check=False, capture_output=True).returncode:
        print(f"installing {_REQUIREMENTS.name} into {RIVAL}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", RIVAL], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--requirement", _REQUIREMENTS], check=True)
    (scratch / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    command = [python, Path(__file__).with_name("encoding_rival.py"), encoder_source(EncoderConfig())]
    with subprocess.Popen(
        [*command, scratch / "texts.json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=scratch
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def ask(process: subprocess.Popen[str], length: int, dtype: str, output: Path) -> Fastest:
    """Has the rival encode its texts once."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({"length": length, "dtype": dtype, "output": str(output)}) + "\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise SystemExit("sentence-transformers has ended; its last words are above")
    return Fastest(float(answer), np.load(output))


def compare(encoder: BertEncoder, texts: list[str], length: int, rounds: int) -> dict[str, Fastest]:
    """Lets both encode in turn; the fastest round of each."""
    fast = encoding_dtype()
    found: dict[str, Fastest] = {}
    with tempfile.TemporaryDirectory() as scratch, rival(texts, Path(scratch)) as process:
        for _ in range(rounds):
            for dtype in dict.fromkeys((fast, "float32")):
                name = f"aisle, {dtype}"
                found[name] = encode(encoder, texts, length, dtype).better(found.get(name))
            for dtype in ("float32", "bfloat16"):
                name = f"sentence-transformers, {dtype}"
                found[name] = ask(process, length, dtype, Path(scratch, "vectors.npy")).better(found.get(name))
    return found


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000, help="how many texts")
    parser.add_argument("--rounds", type=int, default=3, help="of each; the fastest counts")
    options = parser.parse_args()
    encoder = load_encoder(EncoderConfig())
    assert isinstance(encoder, BertEncoder)
    for name, (texts, length) in read_texts(options.items).items():
        found = compare(encoder, texts, length, options.rounds)
        exact, slow = found["aisle, float32"].vectors, found["sentence-transformers, float32"].seconds
        print(
            f"\n| {len(texts):,} {name}, {length} tokens at most | texts a second | ratio | least cosine to float32 |"
        )
        print("|---|---|---|---|")
        for who, best in found.items():
            cosine = (best.vectors * exact).sum(axis=1).min()
            rate = len(texts) / best.seconds
            print(f"| {who} | {rate:.0f} | {slow / best.seconds:.2f} | {cosine:.5f} |")


if __name__ == "__main__":
    main()
