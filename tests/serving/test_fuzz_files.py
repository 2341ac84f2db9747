"""Files that no operator should write: configurations are refused with a reason, damaged models never take over."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damaged_models import ONE_ANSWER
from fuzzing import EXAMPLES, assert_tells_nothing, fuzzed
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import request, save_half_plus, write_warmup

from serving.batching_parameters import BatchingError, read_batching
from serving.errors import Code, ServingError
from serving.model_config import config_text, parse_config, read_config
from serving.option_files import OptionError, parse_channel_arguments, read_metrics_path, read_tls, read_tokens

CONFIG = """model_config_list {
  config {
    name: "shop" base_path: "/models/shop" model_platform: "tensorflow"
    model_version_policy { specific { versions: 3 versions: 4 } }
    version_labels { key: "stable" value: 3 }
  }
}
"""
BATCHING = """max_batch_size { value: 8 } batch_timeout_micros { value: 100 } num_batch_threads { value: 2 }
allowed_batch_sizes: 4 allowed_batch_sizes: 8 pad_variable_length_inputs: true
"""
TLS = 'server_key: "-----BEGIN K" server_cert: "-----BEGIN C" custom_ca: "" client_verify: false'
METRICS = 'prometheus_config { enable: true path: "/metrics" }'
TOKENS = "shop 1234\n# a comment\nother 5678\n"
WORDS = (
    "{",
    "}",
    '"',
    "'",
    ":",
    "0",
    "-1",
    "1e400",
    "value",
    "config",
    "latest",
    "all",
    "#",
    "\n",
    "\x00",
    "9" * 30,
    "{" * 3000,
)


@st.composite
def damaged(draw: Any, good: str) -> bytes:
    """A good text with some letters cut, doubled or replaced."""
    text = good.encode()
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        word = draw(st.sampled_from(WORDS)).encode()
        text = text[:start] + draw(st.sampled_from([word, text[start:end] * 2]) | st.binary(max_size=3)) + text[end:]
    return text


def outcome(work: Callable[[], Any], refusal: type[Exception]) -> Any:
    """Returns what the work returns, or its refusal."""
    try:
        return work()
    except refusal as error:
        return error


@given(text=damaged(CONFIG).map(lambda raw: raw.decode(errors="replace")))
@fuzzed(300)
def test_a_configuration_is_read_or_refused(text: str) -> None:
    found = outcome(lambda: parse_config(text), ServingError)
    if isinstance(found, ServingError):
        assert found.code == Code.INVALID_ARGUMENT
        assert found.message
    else:
        assert parse_config(config_text(found)) == found


READERS: dict[str, tuple[Callable[[Path], Any], str, type[Exception]]] = {
    "models": (read_config, CONFIG, ServingError),
    "batching": (read_batching, BATCHING, BatchingError),
    "tls": (read_tls, TLS, OptionError),
    "metrics": (read_metrics_path, METRICS, OptionError),
    "tokens": (read_tokens, TOKENS, OptionError),
}


@pytest.mark.parametrize("name", READERS)
def test_a_file_is_read_or_refused_by_its_name(tmp_path: Path, name: str) -> None:
    read, good, refusal = READERS[name]
    file = tmp_path / "file"

    @given(text=damaged(good))
    @fuzzed(80)
    def fuzz(text: bytes) -> None:
        file.write_bytes(text)
        found = outcome(lambda: read(file), refusal)
        assert not isinstance(found, refusal) or str(file) in str(found)

    fuzz()


@given(text=st.text(max_size=30) | st.sampled_from(["a=1,b=x", "a=-", "a=--1", "a=²", ",,", "a=-0", "=1", "a="]))
@fuzzed(150)
def test_channel_arguments_are_read_or_refused(text: str) -> None:
    found = outcome(lambda: parse_channel_arguments(text), OptionError)
    if isinstance(found, OptionError):
        assert "expected NAME=VALUE" in str(found)
    else:
        assert all(name for name, _ in found)


@pytest.mark.slow
def test_a_damaged_version_neither_crashes_nor_takes_over(tmp_path: Path) -> None:
    save_half_plus(tmp_path / "good")
    write_warmup(tmp_path / "good", [request("m", "", x=np.ones(1, np.float32))])
    script = Path(__file__).with_name("damaged_models.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(EXAMPLES or 8), str(EXAMPLES or 7)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100 + EXAMPLES,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (lines[-1:], done.stderr[-2000:])
    assert len(lines) == 2 * (EXAMPLES or 8)
    for damage, became in zip(lines[::2], lines[1::2], strict=True):
        assert became["answer"] == ONE_ANSWER, (damage, became)
        assert_tells_nothing(became["why"])
