"""Signatures that compute the same: `serving_default` is, as a rule, another name of one of the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})


def first_twins(meta_graph: Any) -> dict[str, str]:
    """Finds for each signature the first one, by name, that computes the same from the same inputs.

    TensorFlow optimises a graph for each set of tensors that is fed and fetched, which takes seconds and keeps a copy
    of it. A server that runs twins by the same tensors pays once.

    Args:
      meta_graph: the MetaGraphDef of a SavedModel.

    Returns:
      Signature name: its own name, or that of its twin.
    """
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    bodies = {function.signature.name: function for function in meta_graph.graph_def.library.function}
    found: dict[tuple[Any, ...], str] = {}
    return {
        name: found.setdefault(_computed(meta_graph.signature_def[name], nodes, bodies) or (name,), name)
        for name in sorted(meta_graph.signature_def)
    }


def _computed(definition: Any, nodes: Mapping[str, Any], bodies: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Describes what a signature computes, without the names that it gives; None where it is not by calls alone."""
    aliases = {tensor.name: alias for alias, tensor in definition.inputs.items()}
    outputs = []
    for alias, tensor in sorted(definition.outputs.items()):
        name, _, place = tensor.name.partition(":")
        call = nodes.get(name)
        body = bodies.get(call.attr["f"].func.name) if call is not None and call.op in _CALLS else None
        if call is None or body is None:
            return None
        read = [aliases.get(each if ":" in each else f"{each}:0", each) for each in call.input]
        outputs.append((alias, place, tuple(read), _without_name(body)))
    inputs = [(alias, tensor.dtype, _written(tensor.tensor_shape)) for alias, tensor in definition.inputs.items()]
    defaults = [(alias, _written(value)) for alias, value in definition.defaults.items()]
    return definition.method_name, tuple(sorted(inputs)), tuple(sorted(defaults)), tuple(outputs)


def _without_name(body: Any) -> bytes:
    unnamed = type(body)()
    unnamed.CopyFrom(body)
    unnamed.signature.name = ""
    unnamed.ClearField("arg_attr")  # what the arguments are called
    return _written(unnamed)


def _written(message: Any) -> bytes:
    written: bytes = message.SerializeToString(deterministic=True)
    return written
