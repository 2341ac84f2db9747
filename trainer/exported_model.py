"""Asks an exported SavedModel through its signatures, as a server does."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
import tensorflow_text  # noqa: F401  # registers the tokenisers' ops, without which the model does not load

from trainer import contract
from trainer.cases import SEARCH, Cases, case_inputs, padded

Rows = npt.NDArray[np.int64]
Progress = Callable[[int], None]

_BATCH = 128


class ExportedModel:
    """A SavedModel and its contract.

    Args:
      model_dir: folder of the SavedModel.

    Raises:
      ValueError: if there is no contract beside it.
    """

    def __init__(self, model_dir: str) -> None:
        file = Path(model_dir, contract.CONTRACT_FILE)
        if not file.is_file():
            raise ValueError(f"{file} is missing: {model_dir} is no model that aisle exported")
        self.contract: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        self._loaded = tf.saved_model.load(model_dir)

    @property
    def searches(self) -> bool:
        """Whether the model answers searches."""
        return contract.SEARCH in self.contract["signatures"]

    def item_vectors(self, item_ids: Sequence[str]) -> npt.NDArray[np.float32] | None:
        """Reads the vectors of items, [items, dim]; None where the SavedModel does not keep all of them."""
        known, vectors = (getattr(self._loaded, name, None) for name in ("item_ids", "item_vectors"))
        if known is None or vectors is None:
            return None
        index = pa.array(known.numpy()[1:].tolist(), pa.binary()).cast(pa.string())  # a pad is the first
        rows = pc.index_in(pa.array(item_ids, pa.string()), value_set=index)
        return None if rows.null_count else vectors.numpy()[rows.to_numpy()]

    def ask(self, signature: str, inputs: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
        """Asks a signature; inputs that are left out take the contract's defaults.

        Args:
          signature: its name.
          inputs: values by input name, [batch] or [batch, n]; those that the signature does not have are ignored.

        Returns:
          The outputs by name.

        Raises:
          ValueError: if a required input is missing.
        """
        tensors = {}
        for name, port in self.contract["signatures"][signature]["inputs"].items():
            if name in inputs:
                tensors[name] = tf.constant(inputs[name], port["dtype"])
            elif port["required"]:
                raise ValueError(f"signature '{signature}' needs input '{name}'; got {', '.join(inputs) or 'none'}")
            else:
                tensors[name] = tf.fill([1] * len(port["shape"]), tf.constant(port["default"], port["dtype"]))
        return {name: values.numpy() for name, values in self._loaded.signatures[signature](**tensors).items()}

    def rank(
        self,
        cases: Cases,
        k: int,
        excluded: Sequence[Rows],
        item_ids: Sequence[str],
        on_progress: Progress | None = None,
        *,
        unknown: bool = False,
    ) -> Rows:
        """Ranks the catalogue for cases of one task.

        Args:
          cases: all of task `recommend`, or all of `search`.
          k: how many items.
          excluded: for each case the rows that must not be answered.
          item_ids: str [items], the catalogue whose rows are meant.
          on_progress: called with the number of cases after each batch.
          unknown: whether it may answer items that are not in the catalogue; they count as -1.

        Returns:
          Item rows [cases, k], best first, padded with -1.

        Raises:
          ValueError: if the model answers an item that is not in the catalogue.
        """
        index = pa.array(item_ids, pa.string())
        ranked = np.full((len(cases), k), -1, np.int64)
        for start in range(0, len(cases), _BATCH):
            part = slice(start, start + _BATCH)
            inputs = case_inputs(cases.table.slice(start, _BATCH), self.contract["context"])
            inputs[contract.EXCLUDE] = padded([[item_ids[row] for row in rows] for rows in excluded[part]], "")
            inputs[contract.K] = [k]
            signature = contract.SEARCH if cases.table["task"][start].as_py() == SEARCH else contract.RECOMMEND
            answers = self.ask(signature, inputs)["item_ids"]
            ranked[part, : answers.shape[1]] = _rows(answers, index, unknown=unknown)
            if on_progress is not None:
                on_progress(len(answers))
        return ranked


def _rows(answers: npt.NDArray[Any], index: pa.Array, *, unknown: bool) -> Rows:
    ids = pa.array(answers.ravel().tolist(), pa.binary()).cast(pa.string())
    rows = pc.fill_null(pc.index_in(ids, value_set=index), -1).to_numpy(zero_copy_only=False).astype(np.int64)
    strange = np.flatnonzero((rows < 0) & (answers.ravel() != b""))
    if len(strange) and not unknown:
        raise ValueError(f"the model answered item '{ids[int(strange[0])]}', which is not in the items table")
    return rows.reshape(answers.shape)
