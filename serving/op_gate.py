"""The gate that a model passes before it is pushed: every op must be one that the stock server has.

A SavedModel that uses an op which TensorFlow Serving's image lacks loads here, where TF Text is newer and
Python is at hand, and fails in production. So each op of `saved_model.pb` is looked up beforehand, those of
the functions in its library included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

# They call back into the Python process that made the graph, and a server has none.
PYTHON_OPS = frozenset({"EagerPyFunc", "PyFunc", "PyFuncStateless"})

# What TF Text 2.12.1 links into the server (target ops_lib of its BUILD file; images 2.16 to 2.19). Newer
# releases register more: RoundRobinTrim, RoundRobinGenerateMasks and Utf8Binarize are not in the server.
TF_TEXT_OPS = frozenset(
    {
        "CaseFoldUTF8",
        "ConstrainedSequence",
        "FastBertNormalize",
        "FastWordpieceTokenizeWithOffsets",
        "FindSourceOffsets",
        "MaxSpanningTree",
        "NormalizeUTF8",
        "NormalizeUTF8WithOffsetsMap",
        "PhraseTokenize",
        "RegexSplitWithOffsets",
        "RougeL",
        "SentenceFragments",
        "SentenceFragmentsV2",
        "SentencepieceDetokenizeOp",
        "SentencepieceIdToStringOp",
        "SentencepieceOp",
        "SentencepieceStringToIdOp",
        "SentencepieceTokenizeOp",
        "SentencepieceTokenizeWithOffsetsOp",
        "SentencepieceVocabSizeOp",
        "SplitMergeTokenizeWithOffsets",
        "TFText>BoiseTagsToOffsets",
        "TFText>ByteSplitByOffsets",
        "TFText>ByteSplitWithOffsets",
        "TFText>FastSentencepieceDetokenize",
        "TFText>FastSentencepieceTokenize",
        "TFText>FastWordpieceDetokenize",
        "TFText>NgramsStringJoin",
        "TFText>OffsetsToBoiseTags",
        "TFText>PhraseDetokenize",
        "TFText>WhitespaceTokenizeWithOffsetsV2",
        "TokenizerFromLogits",
        "UnicodeScriptTokenizeWithOffsets",
        "WhitespaceTokenizeWithOffsets",
        "WordpieceTokenizeWithOffsets",
    }
)
_SHOWN = 10


class OpGateError(ValueError):
    """The model cannot be pushed; the message names each op and where it stands."""


@dataclass(frozen=True)
class OpUse:
    """One node of a SavedModel.

    Args:
      op: the name of its op.
      node: the name of the node.
      function: the library function that holds the node, "" in the main graph.
    """

    op: str
    node: str
    function: str

    def __str__(self) -> str:
        place = f"function '{self.function}'" if self.function else "the main graph"
        return f"{self.op}: node '{self.node}' of {place}"


def server_ops() -> frozenset[str]:
    """Returns the names of the ops that the stock server has.

    TensorFlow's own are those of `tf.raw_ops`, a list fixed when TensorFlow was built. The registry of this
    process would also hold what other libraries have loaded into it, and ops that only the wheel links.
    """
    core = {name for name in dir(tf.raw_ops) if not name.startswith("_")}
    return frozenset(core - PYTHON_OPS) | TF_TEXT_OPS


def op_uses(model_dir: str) -> Iterator[OpUse]:
    """Lists every node of a SavedModel, library functions included; calls of its own functions are no ops.

    Args:
      model_dir: the folder that holds `saved_model.pb`.

    Raises:
      OpGateError: if there is no such file or it cannot be read.
    """
    file = Path(model_dir) / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel()
    try:
        saved_model.ParseFromString(file.read_bytes())
    except OSError as error:
        raise OpGateError(f"{file}: cannot be read: {error.strerror}; expected a SavedModel") from error
    except DecodeError as error:
        raise OpGateError(f"{file}: is no SavedModel; was it copied whole? ({error})") from error
    for meta_graph in saved_model.meta_graphs:
        library = meta_graph.graph_def.library.function
        own = {function.signature.name for function in library}
        for node in meta_graph.graph_def.node:
            if node.op not in own:
                yield OpUse(node.op, node.name, "")
        for function in library:
            for node in function.node_def:
                if node.op not in own:
                    yield OpUse(node.op, node.name, function.signature.name)


def check_ops(model_dir: str) -> None:
    """Refuses a SavedModel that uses an op which the stock server does not have.

    Args:
      model_dir: the folder that holds `saved_model.pb`.

    Raises:
      OpGateError: naming each such op, its node and function.
    """
    allowed = server_ops()
    refused = [use for use in op_uses(model_dir) if use.op not in allowed]
    if not refused:
        return
    lines = [f"  {use}{_advice(use.op)}" for use in refused[:_SHOWN]]
    if len(refused) > _SHOWN:
        lines.append(f"  ... and {len(refused) - _SHOWN} more nodes")
    names = ", ".join(sorted({use.op for use in refused}))
    raise OpGateError(
        f"{model_dir}: TensorFlow Serving has no op {names}; allowed are TensorFlow's own and TF Text 2.12.1's:\n"
        + "\n".join(lines)
    )


def _advice(op: str) -> str:
    if op in PYTHON_OPS:
        return " (calls Python: write it with TensorFlow ops)"
    if op.startswith("TFText>RoundRobin"):
        return " (newer than the server: trim with truncate='waterfall' or a StartEndPacker)"
    return ""
