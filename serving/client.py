"""The client: typed calls to a model's signatures, on our server, the stock one, or in the same process.

    with Client(GrpcTransport("localhost:8500")) as client:
        for item in client.recommend(["4711"], k=5)[0]:
            print(item.item_id, item.score, item.title)

Loads no TensorFlow, unless a `LocalTransport` is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving import messages
from serving.errors import Code, ServingError
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
from serving.retries import Retries
from serving.rules import Rules
from serving.tensors import decode, encode
from serving.transports import GrpcTransport, LocalTransport, Transport

__all__ = [
    "Client",
    "Code",
    "GrpcTransport",
    "History",
    "LocalTransport",
    "Moment",
    "Rules",
    "ScoredItem",
    "ServingError",
    "Transport",
    "VersionState",
]


class Client:
    """Asks one model.

    Each call takes a batch: lists with one entry a row. Histories, queries, moments and exclusions may be left
    out; the model then uses its defaults. Rules hold for every row of the call.

    Args:
      transport: what carries the calls.
      model_name: the model's name on the server.
      version: the version to ask; None means the newest.
      deadline_s: when a call, its retries included, gives up.
      retries: how often a call that was answered UNAVAILABLE is tried again.
      backoff_s: pause before the first retry; it doubles each time, with jitter.
      sleep: what waits.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        model_name: str = "aisle",
        version: int | None = None,
        deadline_s: float = 10.0,
        retries: int = 5,
        backoff_s: float = 0.1,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.transport = transport
        self.model_name = model_name
        self.version = version
        self.deadline_s = deadline_s
        self._retries = Retries(retries, backoff_s, sleep)
        self._signatures: dict[str, Any] | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the transport."""
        self.transport.close()

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
    ) -> list[list[ScoredItem]]:
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
        return scored_items(self.predict("recommend", inputs, deadline_s=deadline_s))

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
    ) -> list[list[ScoredItem]]:
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
        return scored_items(self.predict("search", inputs, deadline_s=deadline_s))

    def similar(
        self,
        item_ids: Sequence[str],
        *,
        k: int | None = None,
        exclude_item_ids: Sequence[Sequence[str]] | None = None,
        rules: Rules | None = None,
        deadline_s: float | None = None,
    ) -> list[list[ScoredItem]]:
        """Asks for the items like each of some items.

        Returns:
          One list an item, best first, never the item itself; empty for an item that the model does not know.

        Raises:
          ServingError: what the server answered.
        """
        inputs = {"item_id": text_tensor(item_ids)}
        inputs |= shared_inputs(len(item_ids), exclude_item_ids=exclude_item_ids, k=k, rules=rules)
        return scored_items(self.predict("similar_items", inputs, deadline_s=deadline_s))

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
    ) -> list[list[float]]:
        """Asks for `scores` of given items, or the `rating` or `price` of a model with that head; filters count.

        Returns:
          One list a user, in its candidates' order; of what is unknown or filtered scores are -inf, others 0.

        Raises:
          ServingError: what the server answered.
        """
        inputs = {"user_id": text_tensor(user_ids), "candidate_item_ids": padded_tensor(candidate_item_ids)}
        inputs |= {} if rules is None else rules.filters(len(user_ids))
        inputs |= shared_inputs(len(user_ids), histories=histories, moments=moments, queries=queries)
        found = self.predict("rank", inputs, output_filter=[output], deadline_s=deadline_s)[output]
        return [row[: len(ids)].tolist() for row, ids in zip(found, candidate_item_ids, strict=True)]

    def embed(
        self,
        titles: Sequence[str],
        *,
        texts: Mapping[str, Sequence[str]] | None = None,
        prices: Sequence[float] | None = None,
        deadline_s: float | None = None,
    ) -> NDArray[np.float32]:
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
        return self.predict("embed_items", inputs, deadline_s=deadline_s)["embedding"]

    def predict(
        self,
        signature: str,
        inputs: Mapping[str, NDArray[Any]],
        *,
        output_filter: Sequence[str] = (),
        deadline_s: float | None = None,
    ) -> dict[str, NDArray[Any]]:
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
        request = messages.PredictRequest(output_filter=output_filter)
        self._fill_spec(request.model_spec)
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            encode(value, request.inputs[name])
        response = messages.PredictResponse.FromString(self._call("Predict", request, deadline_s))
        return {name: decode(proto) for name, proto in response.outputs.items()}

    def inputs(self, signature: str) -> dict[str, int]:
        """Tells what a signature takes.

        Returns:
          Input: TensorFlow's number of its dtype; empty if the model has no such signature.

        Raises:
          ServingError: what the server answered.
        """
        if self._signatures is None:
            request = messages.GetModelMetadataRequest(metadata_field=["signature_def"])
            self._fill_spec(request.model_spec)
            response = messages.GetModelMetadataResponse.FromString(self._call("GetModelMetadata", request, None))
            packed = response.metadata["signature_def"].value
            self._signatures = dict(messages.SignatureDefMap.FromString(packed).signature_def)
        found = self._signatures.get(signature)
        return {name: info.dtype for name, info in found.inputs.items()} if found else {}

    def versions(self) -> list[VersionState]:
        """Tells which versions of the model the server knows, newest first.

        Raises:
          ServingError: what the server answered.
        """
        request = messages.GetModelStatusRequest()
        self._fill_spec(request.model_spec)
        response = messages.GetModelStatusResponse.FromString(self._call("GetModelStatus", request, None))
        statuses, names = response.model_version_status, messages.STATES
        return [VersionState(s.version, names.get(s.state, "UNKNOWN"), s.status.error_message) for s in statuses]

    def _fill_spec(self, spec: Any) -> None:
        spec.name = self.model_name
        if self.version is not None:
            spec.version.value = self.version

    def _call(self, method: str, request: Any, deadline_s: float | None) -> bytes:
        limit_s = self.deadline_s if deadline_s is None else deadline_s
        return self._retries.call(self.transport, method, request.SerializeToString(), limit_s)
