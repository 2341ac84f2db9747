"""How much work a graph is, as far as its ops and its variables tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

# Ops that may run for any time, whatever the size of their inputs.
_LOOPS = frozenset({"While", "StatelessWhile", "For", "Enter", "RefEnter", "EagerPyFunc", "PyFunc"})
# Ops whose work is given by the size of their inputs: not those that make as much as a value says (Range, Fill, Tile).
# The last lines save and load variables.
_NAMES = """
    Abs Add AddN AddV2 All Any ArgMax ArgMin BatchMatMulV2 BiasAdd Cast Ceil ConcatV2 Const Cos DivNoNan Elu
    Equal Erf Exp ExpandDims Floor GatherNd GatherV2 Greater GreaterEqual HashTableV2 Identity IdentityN
    IsFinite IsNan LeakyRelu Less LessEqual Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr
    LookupTableFindV2 MatMul Max Maximum Mean Min Minimum Mul Neg NoOp NotEqual Pack PartitionedCall
    Placeholder PlaceholderWithDefault Pow Prod ReadVariableOp RealDiv Reciprocal Relu Relu6 Reshape
    ResourceGather Round Rsqrt Select SelectV2 Selu Shape Sigmoid Sign Sin Size Softmax Softplus Split SplitV
    Sqrt Square SquaredDifference Squeeze StatefulPartitionedCall StopGradient StridedSlice Sub Sum Tanh
    Transpose Unpack VarHandleOp VarIsInitializedOp VariableV2
    Assign AssignVariableOp DisableCopyOnRead LookupTableImportV2 MergeV2Checkpoints RestoreV2 SaveV2
    ShardedFilename StaticRegexFullMatch StringJoin
"""
_BY_SIZE = frozenset(_NAMES.split())
# A product with so many values, 16 MiB of them, takes so long that a second thread wins more than it costs.
_LONG_PRODUCT = 2**22


def op_names(graph: Any) -> frozenset[str]:
    """Lists the ops of a GraphDef and of its functions."""
    bodies = [graph.node, *(function.node_def for function in graph.library.function)]
    return frozenset(node.op for body in bodies for node in body)


def may_loop(ops: frozenset[str]) -> bool:
    """Tells whether a graph may run for any time."""
    return bool(_LOOPS & ops)


def follows_size(ops: frozenset[str]) -> bool:
    """Tells whether the work of a graph surely follows the size of its inputs, whatever their values."""
    return ops <= _BY_SIZE


def has_long_products(folder: Path) -> bool:
    """Tells whether a SavedModel multiplies by a matrix that is worth several threads: an index of many items.

    Such a matrix is wider than it is high, [dim, items]; a table of vectors that are looked up is the other way round.

    Raises:
      tf.errors.OpError: if the variables cannot be read.
    """
    variables = folder / "variables" / "variables"
    if not variables.with_suffix(".index").is_file():
        return False
    shapes = [shape for _, shape in tf.train.list_variables(str(variables)) if len(shape) == 2]
    return any(rows < columns and rows * columns >= _LONG_PRODUCT for rows, columns in shapes)
