"""One loaded SavedModel: its signatures, and the fastest way to run them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the ops that tokenise text in the graph)
from numpy.typing import NDArray
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2
from tensorflow.python.client import pywrap_tf_session

from serving.contract import CONTRACT_FILE
from serving.errors import Code, ServingError
from serving.graph_work import follows_size, has_long_products, may_loop, op_names
from serving.memory import return_memory
from serving.run_times import RunsUnderWay, RunTimes
from serving.tensors import TensorError, decode
from serving.twins import first_twins

DEFAULT_SIGNATURE = "serving_default"
_HERE = config_pb2.RunOptions(inter_op_thread_pool=-1).SerializeToString()


class LoadError(Exception):
    """A folder holds no SavedModel that loads; the message says what is wrong with it."""


@dataclass(frozen=True)
class Signature:
    """One signature, prepared for calls.

    Args:
      name: its key in the SavedModel.
      definition: the SignatureDef.
      inputs: input alias: the tensor to feed, by alias; that of its twin, if it has one.
      outputs: output alias: the tensor to fetch; likewise.
      defaults: input alias: the value when a call brings none.
    """

    name: str
    definition: Any
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    defaults: Mapping[str, NDArray[Any]]

    def check_inputs(self, sent: Set[str]) -> None:
        """Compares the inputs of a call with the signature's, in TensorFlow Serving's words.

        Raises:
          ServingError: INVALID_ARGUMENT, naming extra and missing inputs.
        """
        known = self.inputs.keys()
        if sent == known:
            return
        if len(sent) > len(known) or (len(sent) < len(known) and not self.defaults):
            raise ServingError(
                Code.INVALID_ARGUMENT,
                f"input size does not match signature: {len(sent)}!={len(known)} "
                f"len({{{_joined(sent)}}}) != len({{{_joined(known)}}}). Sent extra: {{{_joined(sent - known)}}}. "
                f"Missing but required: {{{_joined(known - sent)}}}.",
            )
        for alias in sorted(known - sent - self.defaults.keys()):
            raise ServingError(
                Code.INVALID_ARGUMENT,
                f"Signature input alias: {alias}(feed name: {self.definition.inputs[alias].name}) not found in "
                f"request and no default value provided. Inputs expected to be in the request {{{_joined(sent)}}}, "
                f"or default input alias set: {_joined(self.defaults)}",
            )
        if sent - known:
            raise ServingError(
                Code.INVALID_ARGUMENT,
                f"Inputs contains invalid name. Used request inputs: {_joined(sent & known)}, "
                f"request input: {_joined(sent)}",
            )

    def select(self, output_filter: Iterable[str]) -> list[str]:
        """Returns the outputs that a call asks for: all of them if it names none.

        Raises:
          ServingError: INVALID_ARGUMENT for an unknown or a repeated output.
        """
        chosen: list[str] = []
        for alias in output_filter:
            if alias not in self.outputs:
                raise ServingError(
                    Code.INVALID_ARGUMENT,
                    f"output tensor alias not found in signature: {alias} Outputs expected to be in the set "
                    f"{{{_joined(self.outputs)}}}.",
                )
            if alias in chosen:
                raise ServingError(Code.INVALID_ARGUMENT, f"duplicate output tensor alias: {alias}")
            chosen.append(alias)
        return chosen or list(self.outputs)


class Predictor:
    """A SavedModel in memory; calls may come from several threads at once.

    Args:
      folder: the folder that holds `saved_model.pb`.
      threads: how many threads one call may use; 0 leaves it to TensorFlow.

    Raises:
      LoadError: if the folder holds no SavedModel that loads.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        if not (folder / "saved_model.pb").is_file():
            raise LoadError(f"{folder}: holds no saved_model.pb; expected a SavedModel, copied whole")
        # With aisle's contract it is known that each row is answered by itself.
        self.has_contract = (folder / CONTRACT_FILE).is_file()
        self._runs = RunsUnderWay(threads or len(os.sched_getaffinity(0)))
        graph = tf.Graph()
        self._session: Any = None
        try:
            # Of a model of unknown make nobody knows how long its ops are.
            shares_ops = not self.has_contract or has_long_products(folder)
            self._session = tf.compat.v1.Session(graph=graph, config=session_config(threads, shares_ops=shares_ops))
            with graph.as_default():
                meta_graph = tf.compat.v1.saved_model.load(self._session, [tf.saved_model.SERVING], str(folder))
            self.signatures: Mapping[str, Signature] = {
                name: _prepare(name, meta_graph.signature_def, twin, graph)
                for name, twin in first_twins(meta_graph).items()
            }
        except (tf.errors.OpError, OSError, RuntimeError, ValueError, KeyError) as error:
            self.close()
            raise LoadError(f"{folder}: does not load: {error}") from error
        ops = op_names(meta_graph.graph_def)
        # aisle's own models end by themselves, and answer no more than their catalogue.
        self._times = {name: RunTimes() for name in self.signatures} if self.has_contract or not may_loop(ops) else {}
        self._no_surprises = self.has_contract or follows_size(ops)
        # The raw call below skips what Session.run does first: handing new nodes to the C++ session.
        self._session._extend_graph()
        del meta_graph
        # Loading has held the graph several times over: half a GiB of a catalogue of a million items.
        return_memory()

    def signature(self, name: str) -> Signature:
        """Returns a signature; an empty name means the default one.

        Raises:
          ServingError: FAILED_PRECONDITION, in TensorFlow Serving's words.
        """
        found = self.signatures.get(name or DEFAULT_SIGNATURE)
        if found is None:
            raise ServingError(
                Code.FAILED_PRECONDITION, f'Serving signature key "{name or DEFAULT_SIGNATURE}" not found.'
            )
        return found

    def is_quick(self, signature: Signature, size: int) -> bool:
        """Tells whether a run on so many values is surely so short that handing it to another thread costs more."""
        times = self._times.get(signature.name)
        return times is not None and times.are_short(size) and self._no_surprises

    def predict(
        self,
        signature: Signature,
        inputs: Mapping[str, NDArray[Any]],
        output_filter: Iterable[str] = (),
        timeout_s: float | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Runs one signature.

        Args:
          signature: one of this predictor's.
          inputs: input alias: value; those with a default may be missing.
          output_filter: output aliases wanted; none means all.
          timeout_s: when to give up; None never does.

        Returns:
          Output alias: value.

        Raises:
          ServingError: what the stock server would answer.
        """
        signature.check_inputs(inputs.keys())
        chosen = signature.select(output_filter)
        feeds = {}
        for alias, tensor in signature.inputs.items():
            value = inputs.get(alias)
            feeds[tensor] = signature.defaults[alias] if value is None else value
        times = self._times.get(signature.name)
        size = sum(value.size for value in inputs.values())
        here = times is not None and times.stays_here(size, timeout_s, room=self._runs.leave_room)
        with self._runs:
            started_s = time.perf_counter()
            values = self._run(feeds, [signature.outputs[alias] for alias in chosen], timeout_s, here=here)
            if times is not None:
                times.note(size, time.perf_counter() - started_s)
        return dict(zip(chosen, values, strict=True))

    def cancel(self) -> None:
        """Ends the calls under way, which are answered with CANCELLED, and those to come."""
        self._session.close()

    def close(self) -> None:
        """Frees the model. No call may be under way or come later."""
        if self._session is not None:
            self._session.close()
        self.signatures, self._session = {}, None

    def _run(
        self, feeds: dict[Any, NDArray[Any]], fetches: list[Any], timeout_s: float | None, *, here: bool
    ) -> list[NDArray[Any]]:
        """Calls the session without Python's wrapping, which costs five times the run of a small model.

        `here` runs the graph in this thread: that saves waking others, but nothing can end the run.
        """
        if timeout_s is not None and timeout_s <= 0:
            raise ServingError(Code.DEADLINE_EXCEEDED, "Timed out waiting for notification")
        options = None
        if here:
            options = pywrap_tf_session.TF_NewBufferFromString(_HERE)
        elif timeout_s is not None:
            milliseconds = max(1, int(min(timeout_s, 1e6) * 1000))
            options = pywrap_tf_session.TF_NewBufferFromString(
                config_pb2.RunOptions(timeout_in_ms=milliseconds).SerializeToString()
            )
        session = self._session._session
        try:
            values = pywrap_tf_session.TF_SessionRun_wrapper(session, options, feeds, fetches, [], None)
        except tf.errors.OpError as error:
            raise ServingError(Code(error.error_code), error.message) from error
        except UnicodeDecodeError as error:
            # The graph's message quotes bytes from a request that are no text; its code is lost on the way.
            raise ServingError(Code.INVALID_ARGUMENT, error.object.decode(errors="replace")) from error
        finally:
            if options is not None:
                pywrap_tf_session.TF_DeleteBuffer(options)
        return [np.asarray(value) for value in values]


def session_config(threads: int, *, shares_ops: bool) -> Any:
    """Returns TensorFlow's settings of a model.

    Args:
      threads: how many threads one run may use; 0 leaves it to TensorFlow.
      shares_ops: whether a single op may use them all. Shared out, the small ops of one request take longer.
    """
    config = config_pb2.ConfigProto(inter_op_parallelism_threads=threads)
    config.intra_op_parallelism_threads = threads if shares_ops else 1
    rewriting = config.graph_options.rewrite_options
    # Swapping and recomputing save memory in training only; here the planning costs time and prints warnings.
    rewriting.memory_optimization = rewriter_config_pb2.RewriterConfig.NO_MEM_OPT
    # A second pass over a graph of thousands of ops takes a second for each signature, and no call is faster for it.
    rewriting.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.ONE
    return config


def _prepare(name: str, definitions: Mapping[str, Any], twin: str, graph: tf.Graph) -> Signature:
    definition, defaults = definitions[name], {}
    for alias, proto in definition.defaults.items():
        try:
            defaults[alias] = decode(proto)
        except TensorError as error:
            raise ValueError(f"signature '{name}': default of input '{alias}': {error}") from error
    return Signature(
        name=name,
        definition=definition,
        inputs=_handles(definitions[twin].inputs, graph),
        outputs=_handles(definitions[twin].outputs, graph),
        defaults=defaults,
    )


def _handles(tensors: Mapping[str, Any], graph: tf.Graph) -> dict[str, Any]:
    """Looks up TensorFlow's C handles, in the order of the aliases so that error texts are always the same."""
    handles = {}
    for alias in sorted(tensors):
        if tensors[alias].name:
            found = graph.as_graph_element(tensors[alias].name, allow_operation=True)
            if isinstance(found, tf.Tensor):
                handles[alias] = found._as_tf_output()
    return handles


def _joined(names: Iterable[str]) -> str:
    return ",".join(sorted(names))
