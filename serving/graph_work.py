"""How long a graph may run at worst, as far as its ops tell."""

from __future__ import annotations

from typing import Any

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
