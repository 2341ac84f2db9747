"""What a client can ask a model: typed arguments to questions, and responses to typed answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving import messages
from serving.facets import Facets, read_facets
from serving.question import Answer, Question
from serving.requests import (
    History,
    Moment,
    ScoredItem,
    VersionState,
    padded_tensor,
    scored_items,
    shared_inputs,
    text_tensor,
)
from serving.rules import Rules
from serving.tensors import decode, encode


@dataclass(frozen=True)
class Questions:
    """Makes questions to one model; both clients have these methods, and answer what each question reads.

    Args:
      model_name: the model's name on the server.
      version: the version to ask; None means the newest.
      label: the label of the version to ask; None means none. Give a version or a label, not both.
    """

    model_name: str
    version: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if self.version is not None and self.label is not None:
            raise ValueError(f"expected a version or a label, got version {self.version} and label '{self.label}'")

    def recommend(
        self,
        user_ids: Sequence[str],
        *,
        k: int | None = None,
        histories: Sequence[History] | None = None,
        moments: Sequence[Moment] | None = None,
        queries: Sequence[str] | None = None,
        exclude_item_ids: Sequence[Sequence[str]] | None = None,
        rules: Rules | None = None,
        deadline_s: float | None = None,
    ) -> Question[list[list[ScoredItem]]]:
        """Asks for the best items for users, known or not.

        Returns:
          One list a user, best first; shorter than `k` where too few items are left.

        Raises:
          ServingError: what the server answered.
        """
        inputs = {"user_id": text_tensor(user_ids)} | shared_inputs(
            len(user_ids),
            histories=histories,
            moments=moments,
            queries=queries,
            exclude_item_ids=exclude_item_ids,
            k=k,
            rules=rules,
        )
        return self._predict("recommend", inputs, scored_items, deadline_s=deadline_s)

    def search(
        self,
        queries: Sequence[str],
        *,
        k: int | None = None,
        user_ids: Sequence[str] | None = None,
        histories: Sequence[History] | None = None,
        moments: Sequence[Moment] | None = None,
        exclude_item_ids: Sequence[Sequence[str]] | None = None,
        rules: Rules | None = None,
        deadline_s: float | None = None,
    ) -> Question[list[list[ScoredItem]]]:
        """Asks for the items that fit texts; with users or histories, for those that fit them too.

        Returns:
          One list a query, best first.

        Raises:
          ServingError: what the server answered.
        """
        inputs = shared_inputs(
            len(queries),
            histories=histories,
            moments=moments,
            queries=queries,
            exclude_item_ids=exclude_item_ids,
            k=k,
            rules=rules,
        )
        if user_ids is not None:
            inputs["user_id"] = text_tensor(user_ids)
        return self._predict("search", inputs, scored_items, deadline_s=deadline_s)

    def facets(
        self,
        queries: Sequence[str],
        *,
        size: int | None = None,
        exclude_item_ids: Sequence[Sequence[str]] | None = None,
        rules: Rules | None = None,
        deadline_s: float | None = None,
    ) -> Question[list[Facets]]:
        """Asks how many relevant items of each kind there are, `size` categories and brands; "" counts all items.

        Returns:
          The counts, one a query; only filters of the rules count.

        Raises:
          ServingError: what the server answered.
        """
        inputs = {} if rules is None else rules.filters(len(queries))
        inputs |= shared_inputs(len(queries), queries=queries, exclude_item_ids=exclude_item_ids)
        if size is not None:
            inputs["facet_size"] = np.full(len(queries), size, np.int32)
        return self._predict("facets", inputs, read_facets, deadline_s=deadline_s)

    def similar(
        self,
        item_ids: Sequence[str],
        *,
        k: int | None = None,
        exclude_item_ids: Sequence[Sequence[str]] | None = None,
        rules: Rules | None = None,
        deadline_s: float | None = None,
    ) -> Question[list[list[ScoredItem]]]:
        """Asks for the items like each of some items.

        Returns:
          One list an item, best first, never the item itself; empty for an item that the model does not know.

        Raises:
          ServingError: what the server answered.
        """
        inputs = {"item_id": text_tensor(item_ids)}
        inputs |= shared_inputs(len(item_ids), exclude_item_ids=exclude_item_ids, k=k, rules=rules)
        return self._predict("similar_items", inputs, scored_items, deadline_s=deadline_s)

    def rank(
        self,
        user_ids: Sequence[str],
        candidate_item_ids: Sequence[Sequence[str]],
        *,
        histories: Sequence[History] | None = None,
        moments: Sequence[Moment] | None = None,
        queries: Sequence[str] | None = None,
        rules: Rules | None = None,
        output: str = "scores",
        deadline_s: float | None = None,
    ) -> Question[list[list[float]]]:
        """Asks for `scores` of given items, or the `rating` or `price` of a model with that head; filters count.

        Returns:
          One list a user, in its candidates' order; of what is unknown or filtered scores are -inf, others 0.

        Raises:
          ServingError: what the server answered.
        """
        inputs = {"user_id": text_tensor(user_ids), "candidate_item_ids": padded_tensor(candidate_item_ids)}
        inputs |= {} if rules is None else rules.filters(len(user_ids))
        inputs |= shared_inputs(len(user_ids), histories=histories, moments=moments, queries=queries)
        lengths = [len(ids) for ids in candidate_item_ids]

        def read(outputs: Mapping[str, NDArray[Any]]) -> list[list[float]]:
            return [row[:length].tolist() for row, length in zip(outputs[output], lengths, strict=True)]

        return self._predict("rank", inputs, read, output_filter=[output], deadline_s=deadline_s)

    def embed(
        self,
        titles: Sequence[str],
        *,
        texts: Mapping[str, Sequence[str]] | None = None,
        prices: Sequence[float] | None = None,
        deadline_s: float | None = None,
    ) -> Question[NDArray[np.float32]]:
        """Asks for the vectors of items, in the catalogue or not.

        Args:
          titles: one an item.
          texts: `item_id`, `description`, `brand`, `category`: one value an item.
          prices: one an item.
          deadline_s: when to give up; None means the client's deadline.

        Returns:
          Vectors, [item, dimension].

        Raises:
          ServingError: what the server answered.
        """
        inputs = {"title": text_tensor(titles)} | {name: text_tensor(values) for name, values in (texts or {}).items()}
        if prices is not None:
            inputs["price"] = np.asarray(prices, dtype=np.float32)
        return self._predict("embed_items", inputs, lambda outputs: outputs["embedding"], deadline_s=deadline_s)

    def predict(
        self,
        signature: str,
        inputs: Mapping[str, NDArray[Any]],
        *,
        output_filter: Sequence[str] = (),
        deadline_s: float | None = None,
    ) -> Question[dict[str, NDArray[Any]]]:
        """Calls any signature.

        Args:
          signature: its name; "" means the default one.
          inputs: input: value.
          output_filter: the outputs wanted; none means all.
          deadline_s: when to give up; None means the client's deadline.

        Returns:
          Output: value; strings as `bytes`.

        Raises:
          ServingError: what the server answered.
        """
        return self._predict(
            signature, inputs, lambda outputs: outputs, output_filter=output_filter, deadline_s=deadline_s
        )

    def inputs(self, signature: str, *, deadline_s: float | None = None) -> Question[dict[str, int]]:
        """Asks what a signature takes.

        Returns:
          Input: TensorFlow's number of its dtype; empty if the model has no such signature.

        Raises:
          ServingError: what the server answered.
        """
        request = messages.GetModelMetadataRequest(model_spec=self._spec(), metadata_field=["signature_def"])

        def read(response: bytes) -> dict[str, int]:
            packed = messages.GetModelMetadataResponse.FromString(response).metadata["signature_def"].value
            found = messages.SignatureDefMap.FromString(packed).signature_def
            return {name: info.dtype for name, info in found[signature].inputs.items()} if signature in found else {}

        return Question("GetModelMetadata", request.SerializeToString(), read, deadline_s)

    def versions(self, *, deadline_s: float | None = None) -> Question[list[VersionState]]:
        """Asks which versions of the model the server knows, newest first.

        Raises:
          ServingError: what the server answered.
        """
        request = messages.GetModelStatusRequest(model_spec=self._spec())
        return Question("GetModelStatus", request.SerializeToString(), _read_versions, deadline_s)

    def _predict(
        self,
        signature: str,
        inputs: Mapping[str, NDArray[Any]],
        read: Callable[[dict[str, NDArray[Any]]], Answer],
        *,
        output_filter: Sequence[str] = (),
        deadline_s: float | None = None,
    ) -> Question[Answer]:
        request = messages.PredictRequest(model_spec=self._spec(signature), output_filter=output_filter)
        for name, value in inputs.items():
            encode(value, request.inputs[name])
        return Question(
            "Predict", request.SerializeToString(), lambda response: read(_read_outputs(response)), deadline_s
        )

    def _spec(self, signature: str = "") -> Any:
        spec = messages.ModelSpec(name=self.model_name, signature_name=signature)
        if self.version is not None:
            spec.version.value = self.version
        if self.label is not None:
            spec.version_label = self.label
        return spec


def _read_outputs(response: bytes) -> dict[str, NDArray[Any]]:
    outputs = messages.PredictResponse.FromString(response).outputs
    return {name: decode(proto) for name, proto in outputs.items()}


def _read_versions(response: bytes) -> list[VersionState]:
    statuses, names = messages.GetModelStatusResponse.FromString(response).model_version_status, messages.STATES
    return [VersionState(s.version, names.get(s.state, "UNKNOWN"), s.status.error_message) for s in statuses]
