"""No model with an op that the stock server lacks gets through, wherever the op stands."""

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow_text as tf_text
from tensorflow.core.framework import op_def_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.client import pywrap_tf_session

from serving.op_gate import PYTHON_OPS, TF_TEXT_OPS, OpGateError, check_ops, op_uses, server_ops

TEXTS = tf.TensorSpec([None], tf.string)
VOCABULARY = ["[UNK]", "red", "shoe", "##s"]


def _save(folder: Path, function: Any) -> str:
    module = tf.Module()
    module.tokenizer = getattr(function, "tokenizer", None)
    module.call = tf.function(function, input_signature=[TEXTS])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.call})
    return str(folder)


def test_core_and_safe_text_ops_pass(tmp_path: Path) -> None:
    tokenizer = tf_text.FastWordpieceTokenizer(VOCABULARY, token_out_type=tf.int32)

    def tokenize(texts: Any) -> Any:
        folded = tf_text.case_fold_utf8(texts)
        return {"ids": tokenizer.tokenize(folded).merge_dims(1, -1).to_tensor(shape=[None, 8])}

    folder = _save(tmp_path / "m", tokenize)
    assert {"FastWordpieceTokenizeWithOffsets", "CaseFoldUTF8"} <= {use.op for use in op_uses(folder)}
    check_ops(folder)


def test_round_robin_trim_is_refused_with_its_place(tmp_path: Path) -> None:
    def trim(texts: Any) -> Any:
        segments = [tf.strings.split(texts), tf.strings.split(texts)]
        return {"ids": tf_text.RoundRobinTrimmer(4).trim(segments)[0].to_tensor()}

    folder = _save(tmp_path / "m", trim)
    with pytest.raises(OpGateError) as caught:
        check_ops(folder)
    message = str(caught.value)
    assert "TensorFlow Serving has no op TFText>RoundRobinTrim;" in message
    assert "TFText>RoundRobinTrim: node 'RoundRobinTrim" in message
    assert "function '__inference_" in message
    assert "waterfall" in message


def test_python_is_refused(tmp_path: Path) -> None:
    def shout(texts: Any) -> Any:
        return {"loud": tf.numpy_function(lambda array: array, [texts], tf.string)}

    with pytest.raises(OpGateError, match=r"PyFunc.*\n.*calls Python"):
        check_ops(_save(tmp_path / "m", shout))


def test_an_op_in_the_main_graph_is_found(tmp_path: Path) -> None:
    folder = _save(tmp_path / "m", lambda texts: {"same": tf.identity(texts)})
    file = Path(folder) / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    saved_model.meta_graphs[0].graph_def.node.add(name="odd", op="ScannSearch")
    file.write_bytes(saved_model.SerializeToString())
    with pytest.raises(OpGateError, match="ScannSearch: node 'odd' of the main graph"):
        check_ops(folder)


def test_what_is_no_saved_model_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(OpGateError, match="cannot be read: No such file"):
        check_ops(str(tmp_path))
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01\x12\xff\xff")
    with pytest.raises(OpGateError, match="is no SavedModel"):
        check_ops(str(tmp_path))


def test_what_other_libraries_register_is_not_counted_as_the_servers() -> None:
    ops = server_ops()
    assert not PYTHON_OPS & ops
    assert {"MatMul", "StatefulPartitionedCall", "While", "LookupTableFindV2", "TopKV2"} <= ops
    assert not {"TFText>RoundRobinTrim", "TFText>RoundRobinGenerateMasks", "TFText>Utf8Binarize", "TRTEngineOp"} & ops


def test_the_lists_hold_real_ops_and_do_not_overlap() -> None:
    """TF Text of today still has each op of 2.12.1, so a misspelt name would show."""
    loaded = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    registered = {op.name for op in loaded.op}
    core = server_ops() - TF_TEXT_OPS
    assert registered >= TF_TEXT_OPS
    assert registered >= core
    # TF Text is loaded here, and its ops are not taken for TensorFlow's own.
    assert len(core) + len(TF_TEXT_OPS) == len(server_ops())
    assert len(core) > 1000
