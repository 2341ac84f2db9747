"""The one place where signatures are made: graph functions with inputs and defaults as the contract says."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.python.saved_model import save_context

from pipeline import schema
from pipeline.config import Config
from trainer import contract
from trainer.contract import Port, SignatureContract
from trainer.request_reader import Tensors
from trainer.request_shapes import fit_batch, fit_lists
from trainer.served_model import ServedModel


def build_signatures(served: ServedModel, config: Config) -> dict[str, Any]:
    """Makes the function of every signature, with input names, types and defaults as the contract says.

    Args:
      served: the served graph.
      config: the shop.

    Returns:
      Graph functions by signature name, for `tf.saved_model.save`.
    """
    answers: dict[str, Callable[[Tensors], Tensors]] = {
        contract.RECOMMEND: served.recommend,
        contract.SEARCH: served.search,
        contract.FACETS: served.facets,
        contract.SIMILAR_ITEMS: served.similar_items,
        contract.EMBED_ITEMS: served.embed_items,
        contract.RANK: served.rank,
    }
    contracts = contract.signature_contracts(config, served.filterable, served.heads)
    functions = {
        name: _signature(each, answers[name]) for name, each in contracts.items() if name != contract.SERVING_DEFAULT
    }
    return {**functions, contract.SERVING_DEFAULT: functions[contract.RECOMMEND]}


def build_graphs(functions: Mapping[str, Any]) -> None:
    """Builds the graphs of signatures' functions as `tf.saved_model.save` would do, which then finds them made."""
    with save_context.save_context(tf.saved_model.SaveOptions()):
        for function in functions.values():
            function.get_concrete_function()


def _signature(described: SignatureContract, answer: Callable[[Tensors], Tensors]) -> Any:
    """Makes one signature's graph function; TensorFlow writes the arguments' defaults to `SignatureDef.defaults`."""
    parameters = [
        inspect.Parameter(port.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=_default(port))
        for port in described.inputs
    ]
    signature = inspect.Signature(parameters)
    names = {port.name: port for port in described.inputs}
    first = described.inputs[0].name

    def serve(*arguments: tf.Tensor, **named: tf.Tensor) -> dict[str, tf.Tensor]:
        bound = signature.bind(*arguments, **named)
        bound.apply_defaults()
        batch = tf.shape(bound.arguments[first])[0]
        fitted = {name: _fit(names[name], values, batch) for name, values in bound.arguments.items()}
        return dict(answer(fitted))

    serve.__name__ = described.name
    serve.__dict__["__signature__"] = signature  # where `inspect`, and so TensorFlow, looks first
    specs = [tf.TensorSpec([None] * port.rank, port.dtype, name=port.name) for port in described.inputs]
    return tf.function(serve, input_signature=specs, autograph=False)


def _default(port: Port) -> Any:
    if port.default is None:
        return inspect.Parameter.empty
    return tf.fill([1] * port.rank, tf.constant(port.default, port.dtype))


def _fit(port: Port, values: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    if port.name in schema.HISTORY_PADS:
        return values  # fitted together: a single type or age counts for every item
    return fit_batch(values, batch) if port.rank == 1 else fit_lists(values, batch)
