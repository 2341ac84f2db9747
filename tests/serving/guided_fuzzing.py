"""Looks for inputs that reach new code and break it; a process of its own, for it rewrites what it imports.

python tests/serving/guided_fuzzing.py TARGET RUNS FOLDER
"""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))
with atheris.instrument_imports(include=["serving"]):
    from serving import errors, json_tensors, messages, model_config, tensors

from google.protobuf.message import DecodeError

JSON_DEPTH = 256
DTYPES = {"x": 1, "s": 7, "k": 9, "b": 10}
SEEDS = {
    "json": (
        b'{"signature_name": "e", "instances": [{"x": 1.5, "s": {"b64": "w6k="}, "k": -1, "b": true}]}',
        b'{"inputs": {"x": [NaN, 1e3], "s": "\\ud83d\\ude00", "k": [[1], [2]], "b": [false]}}',
    ),
    "tensor": (messages.TensorProto(dtype=7, string_val=[b"a"]).SerializeToString(),),
    "config": (
        b'model_config_list { config { name: "a" base_path: "/b" model_platform: "tensorflow" '
        b'model_version_policy { specific { versions: 3 } } version_labels { key: "s" value: 3 } } }',
    ),
}
# What the fuzzer would take long to guess.
WORDS = (
    '{"inputs":',
    '"instances":',
    '{"b64":',
    "NaN",
    "-Infinity",
    "1e999",
    "\\ud800",
    "null",
    "[[",
    "all {}",
    "latest",
)


def json(data: bytes) -> None:
    """Reads the body of a REST request."""
    signature = messages.SignatureDef()
    for name, dtype in DTYPES.items():
        signature.inputs[name].dtype = dtype
    try:
        json_tensors.read_inputs(json_tensors.parse_call(data, JSON_DEPTH), signature.inputs)
    except errors.ServingError as error:
        assert error.code == errors.Code.INVALID_ARGUMENT, error  # noqa: PT017


def tensor(data: bytes) -> None:
    """Reads a tensor as it travels over gRPC."""
    try:
        proto = messages.TensorProto.FromString(data)
    except DecodeError:
        return
    try:
        tensors.decode(proto)
    except tensors.TensorError:
        return


def config(data: bytes) -> None:
    """Reads a model_config_file."""
    try:
        model_config.parse_config(data.decode(errors="replace"))
    except errors.ServingError as error:
        assert error.code == errors.Code.INVALID_ARGUMENT, error  # noqa: PT017


def main(target: str, runs: str, folder: Path) -> None:
    """Fuzzes one target, from its seeds, always in the same way."""
    corpus = folder / target
    corpus.mkdir()
    for number, seed in enumerate(SEEDS[target]):
        (corpus / str(number)).write_bytes(seed)
    escaped = [word.replace("\\", "\\\\").replace('"', '\\"') for word in WORDS]
    (folder / "words").write_text("".join(f'"{word}"\n' for word in escaped))
    options = [f"-runs={runs}", "-seed=7", "-timeout=10", "-rss_limit_mb=4096", f"-dict={folder / 'words'}"]
    function = {"json": json, "tensor": tensor, "config": config}[target]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={folder}/found-", str(corpus)], function)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
